"""What `mutations.py` changes in a copy of the contracts: for each threat a defence, and the test that must miss it."""

from typing import Final

from tests.threats.later_mutation_rows import LATER_MUTATIONS
from tests.threats.mutation import Mutation, of_threat

__all__ = ["MUTATIONS", "Mutation"]

_BATCHES: Final = "Batches.sol"
_AUTHORITY: Final = "Authority.sol"
_ORDERS: Final = "Orders.sol"

MUTATIONS: Final[tuple[Mutation, ...]] = (
    *of_threat(
        "operator mints cash, unbalanced netting",
        (
            _BATCHES,
            "require(cash + BatchData.unzigzag(uint64(h)) == 0, BadCash());",
            "require(cash == 0 || cash + BatchData.unzigzag(uint64(h)) == 0, BadCash());",
            "Post::test_refuses_cash_that_is_not_minus_the_fee",
        ),
        (
            "libraries/BatchData.sol",
            "if (sum != 0) faults |= NOT_ZERO_SUM;",
            "",
            "Post::test_refuses_unequal_deltas",
        ),
        (
            _BATCHES,
            "require(cash + BatchData.unzigzag(uint64(h)) == 0, BadCash());",
            "",
            "BatchData::testFuzz_changed_fee_reverts",
        ),
    ),
    *of_threat(
        "forged or altered order, price worse than limit, overfill, fee above cap",
        (
            _ORDERS,
            "if (filledE18 > uint256(terms.amountE18)) return OVER_AMOUNT;",
            "",
            "Authority::test_refuses_unauthorized_leaves",
        ),
        (
            _ORDERS,
            "terms.isBid ? paid > limit : paid < limit",
            "terms.isBid ? paid < limit : paid > limit",
            "Authority::test_refuses_unauthorized_leaves",
        ),
        (
            _ORDERS,
            "fault != ECDSA.RecoverError.NoError || signer != e.action.signer",
            "fault != ECDSA.RecoverError.NoError",
            "Authority::test_refuses_unauthorized_leaves",
        ),
        (
            _ORDERS,
            "vault != address(this) || keccak256(e.lines) != linesHash",
            "vault != address(this)",
            "Quotes::test_refuses_unauthorized_quotes",
        ),
        (
            _ORDERS,
            "isTaker && keccak256(legs) != bytes32(e.data[:32])",
            "false",
            "Blocks::test_refuses_unauthorized_legs",
        ),
        (
            _ORDERS,
            "if (filledE18 != uint256(terms.amountE18)) return OVER_AMOUNT;",
            "",
            "Blocks::test_refuses_unauthorized_legs",
        ),
        (
            _ORDERS,
            "if (!isAtPrice) return BEYOND_LIMIT;",
            "",
            "Blocks::test_refuses_unauthorized_legs",
        ),
        (
            _ORDERS,
            "terms.isBid = isTaker != (amount > 0);",
            "terms.isBid = amount > 0;",
            "Blocks::test_refuses_unauthorized_legs",
        ),
        (
            _ORDERS,
            "uint256(uint64(e.fee)) * E12 > terms.maxFeeE18 ? FEE_TOO_HIGH : 0",
            "0",
            "Blocks::test_refuses_unauthorized_legs",
        ),
        (
            _ORDERS,
            "if (e.fee < 0) return REBATE_TOO_HIGH;",
            "",
            "Blocks::test_refuses_unauthorized_legs",
        ),
        (
            _ORDERS,
            "if (e.line >= count || count != legs.length / LEG || legs.length % LEG != 0) return (terms, false);",
            "if (e.line >= legs.length / LEG) return (terms, false);",
            "Blocks::test_refuses_unauthorized_legs",
        ),
        (
            _ORDERS,
            "_isLeg(e) ? ALWAYS_RFQ | (scopes << RFQ_SHIFT) : ALWAYS | scopes",
            "ALWAYS | scopes",
            "Blocks::test_a_session_key_needs_the_scopes_of_blocks",
        ),
        (
            _AUTHORITY,
            "require(block.timestamp > asked.deadline, NotOpen());",
            "",
            "Authority::test_silence_is_slashed_after_the_answer_window",
        ),
    ),
    *of_threat(
        "replay of an old order, after cancel or key revoke",
        (
            _ORDERS,
            "if (e.action.nonce <= q.canceledNs) return CANCELED;",
            "",
            "Authority::test_cancel_all_ends_older_orders",
        ),
        (_ORDERS, "if (q.isLocked) return LOCKED;", "", "Authority::test_lock_ends_all_orders"),
        (
            _ORDERS,
            " || row.validTo < q.matchFrom",
            "",
            "Authority::test_revoked_key_signs_nothing_matched_after_its_end",
        ),
    ),
    *of_threat(
        "collusive bankrupt account drains the pool",
        ("Claims.sol", " && id <= _final.reqFinal", "", "Claims::test_refuses_before_finality"),
        ("Claims.sol", "out.dayOut <= dayLimit && ", "", "Outflow::test_a_day_has_a_limit"),
    ),
    *of_threat(
        "censorship of a user",
        (_BATCHES, "require(full, RequestOverdue());", "", "Post::test_refuses_to_leave_an_overdue_request"),
        ("Freezes.sol", "if (asked < since) since = asked;", "", "Freeze::test_a_request_that_waits_is_enough"),
    ),
    *of_threat(
        "withdrawal consumed with nothing approved for ever",
        (
            "Refusals.sol",
            "standing.equity > int256(standing.high)",
            "standing.equity < int256(standing.high)",
            "Refusals::test_cash_that_is_there_is_not_refused",
        ),
    ),
    *of_threat(
        "request flood",
        (
            _BATCHES,
            "if (upTo == last || upTo == done + MAX_REQUESTS) return;",
            "if (upTo == last) return;",
            "Post::test_a_full_share_of_requests_is_enough",
        ),
        (
            "Queue.sol",
            "require(last <= _progress.reqDone, RequestOpen(last));",
            "",
            "Queue::test_owner_s_requests_are_his_and_one_per_kind",
        ),
        ("Queue.sol", "require(received >= minimumDeposit, BadAmount());", "", "Queue::test_refuses_a_small_deposit"),
    ),
    *of_threat(
        "operator vanishes",
        (
            "Escape.sol",
            "return assets < total ? uint256(row.amount) * assets / total : row.amount;",
            "return row.amount;",
            "EscapeInvariants::test_script_reaches_payments_and_refunds",
        ),
    ),
    *of_threat(
        "L2 sequencer censors the challenger or stalls",
        (
            _BATCHES,
            "require(block.number >= uint256(header.blockNumber) + finalityBlocks, WindowOpen());",
            "",
            "Post::test_finalize_waits_for_blocks_too",
        ),
    ),
    *of_threat(
        "double post, lost acknowledgement",
        (
            _BATCHES,
            "if (matchTo <= money.resetAt && block.timestamp <= uint256(money.resetAt) + escapeDelay) return;",
            "",
            "Reverts::test_old_trades_are_posted_again_after_a_revert",
        ),
    ),
    *of_threat(
        "operator key theft",
        (
            _BATCHES,
            "require(progress.halted == PAUSED && block.timestamp >= _pause.until, Halted());",
            "",
            "Pauses::test_posting_waits_for_the_end_of_the_pause",
        ),
        (
            "FastPayments.sol",
            "require(approved == row.amount, NotClaimable(id));",
            "",
            "FastPayments::test_a_unit_paid_before_a_revert_buys_no_withdrawal",
        ),
    ),
    *of_threat(
        "guardian or timelock abuse",
        (
            "Pauses.sol",
            "require(duration > 0 && duration <= MAX_PAUSE, BadPause());\n        require(_progress.halted",
            "require(_progress.halted",
            "Pauses::test_a_pause_is_bounded_and_followed_by_rest",
        ),
        (
            "Pauses.sol",
            "require(block.timestamp >= _fastPause.allowedFrom, BadPause());",
            "",
            "FastPayments::test_a_pause_of_fast_payments_is_bounded_and_followed_by_rest",
        ),
        (
            "Parameters.sol",
            "require(setup.timelockDelay >= _longestExit(setup), BadParameter());",
            "",
            "Notices::test_refuses_a_delay_that_an_exit_can_outlast",
        ),
        (
            "Announced.sol",
            "require(from != 0 && block.timestamp < from + NOTICE_LIFE, NotAnnounced());",
            "",
            "Notices::test_refuses_every_call_that_was_not_announced",
        ),
        (
            "Announced.sol",
            "(row.time < resetAt ? resetAt : row.time)",
            "row.time",
            "Notices::test_a_revert_begins_the_notice_anew",
        ),
    ),
    *of_threat(
        "oracle manipulation",
        (
            "Markets.sol",
            "count >= threshold && sigs.length == count * SIGNATURE",
            "sigs.length == count * SIGNATURE",
            "Markets::test_refuses_too_few_double_or_foreign_signatures",
        ),
        (
            "libraries/OracleRules.sol",
            "moved * PPM > before * (JUMP_PPM + DRIFT_PPM * elapsed)",
            "moved * PPM < before * (JUMP_PPM + DRIFT_PPM * elapsed)",
            "OracleBounds::test_an_index_that_jumps_is_reverted",
        ),
    ),
    *of_threat(
        "reentrancy, odd ERC-20, USDC blacklist or pause",
        (
            "Queue.sol",
            "function deposit(uint32 acct, uint64 amount) external nonReentrant returns",
            "function deposit(uint32 acct, uint64 amount) external returns",
            "Queue::test_a_token_that_calls_back_is_refused",
        ),
    ),
    *of_threat(
        "griefing by challenges",
        (
            _AUTHORITY,
            "require(_challenges[id].challenger == address(0), BadChallenge());",
            "",
            "Authority::test_refuses_challenges_out_of_place",
        ),
    ),
    *of_threat(
        "integer overflow, sign",
        (
            "libraries/BatchData.sol",
            "sub(mod(lanes, 0xffffffff), shl(21, count))",
            "sub(mod(lanes, 0xffffffff), shl(20, count))",
            "BatchData::testFuzz_narrow_sum_is_the_plain_sum",
        ),
        (
            "libraries/BatchData.sol",
            "v := xor(shr(1, z), sub(0, and(z, 1)))",
            "v := shr(1, z)",
            "BatchData::testFuzz_zigzag_round_trip",
        ),
    ),
    *of_threat(
        "rounding dust drains",
        ("Claims.sol", "row.aux = uint40(row.aux);", "", "Solvency::invariant_vault_holds_what_it_owes"),
    ),
    *of_threat(
        "bridge token risk, L1 dispute bug",
        (
            "Parameters.sol",
            "require(setup.minimumDeposit > 0 && setup.minimumDeposit <= MAX_MINIMUM_DEPOSIT, BadParameter());",
            "",
            "Queue::test_refuses_amounts_out_of_bounds",
        ),
    ),
    *LATER_MUTATIONS,
)
