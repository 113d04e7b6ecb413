"""What `mutations.py` changes in a copy of the contracts: for each threat a defence, and the test that must miss it."""

from dataclasses import dataclass
from typing import Final

__all__ = ["MUTATIONS", "Mutation"]


@dataclass(frozen=True, slots=True)
class Mutation:
    """In `file` (under src) `old`, which stands there once, becomes `new`; `test` (`File::name`) must fail then."""

    threat: str
    file: str
    old: str
    new: str
    test: str

    @property
    def name(self) -> str:
        """Unique in the table; what the log knows it by."""
        return f"{self.test} {self.file} {' '.join(self.old.split())!r}"


def _of(threat: str, *rows: tuple[str, str, str, str]) -> tuple[Mutation, ...]:
    return tuple(Mutation(threat, *row) for row in rows)


_BATCHES: Final = "Batches.sol"
_AUTHORITY: Final = "Authority.sol"
_ORDERS: Final = "Orders.sol"

MUTATIONS: Final[tuple[Mutation, ...]] = (
    *_of(
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
    *_of(
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
            _AUTHORITY,
            "require(block.timestamp > asked.deadline, NotOpen());",
            "",
            "Authority::test_silence_is_slashed_after_the_answer_window",
        ),
    ),
    *_of(
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
    *_of(
        "collusive bankrupt account drains the pool",
        ("Claims.sol", " && id <= _final.reqFinal", "", "Claims::test_refuses_before_finality"),
        ("Claims.sol", "out.dayOut <= dayLimit && ", "", "Outflow::test_a_day_has_a_limit"),
    ),
    *_of(
        "censorship of a user",
        (_BATCHES, "require(full, RequestOverdue());", "", "Post::test_refuses_to_leave_an_overdue_request"),
        ("Freezes.sol", "if (asked < since) since = asked;", "", "Freeze::test_a_request_that_waits_is_enough"),
    ),
    *_of(
        "withdrawal consumed with nothing approved for ever",
        (
            "Refusals.sol",
            "standing.equity > int256(standing.high)",
            "standing.equity < int256(standing.high)",
            "Refusals::test_cash_that_is_there_is_not_refused",
        ),
    ),
    *_of(
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
    ),
    *_of(
        "operator vanishes",
        (
            "Escape.sol",
            "return assets < total ? uint256(row.amount) * assets / total : row.amount;",
            "return row.amount;",
            "EscapeInvariants::test_script_reaches_payments_and_refunds",
        ),
    ),
    *_of(
        "L2 sequencer censors the challenger or stalls",
        (
            _BATCHES,
            "require(block.number >= uint256(header.blockNumber) + finalityBlocks, WindowOpen());",
            "",
            "Post::test_finalize_waits_for_blocks_too",
        ),
    ),
    *_of(
        "double post, lost acknowledgement",
        (
            _BATCHES,
            "if (money.resetAt != 0 && block.timestamp <= uint256(money.resetAt) + escapeDelay) return;",
            "",
            "Reverts::test_old_trades_are_posted_again_after_a_revert",
        ),
    ),
    *_of(
        "operator key theft",
        (
            _BATCHES,
            "require(progress.halted == PAUSED && block.timestamp >= _pause.until, Halted());",
            "",
            "Pauses::test_posting_waits_for_the_end_of_the_pause",
        ),
    ),
    *_of(
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
    *_of(
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
    *_of(
        "reentrancy, odd ERC-20, USDC blacklist or pause",
        (
            "Queue.sol",
            "function deposit(uint32 acct, uint64 amount) external nonReentrant returns",
            "function deposit(uint32 acct, uint64 amount) external returns",
            "Queue::test_a_token_that_calls_back_is_refused",
        ),
    ),
    *_of(
        "griefing by challenges",
        (
            _AUTHORITY,
            "require(_challenges[id].challenger == address(0), BadChallenge());",
            "",
            "Authority::test_refuses_challenges_out_of_place",
        ),
    ),
    *_of(
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
    *_of(
        "rounding dust drains",
        ("Claims.sol", "row.aux = uint40(row.aux);", "", "Solvency::invariant_vault_holds_what_it_owes"),
    ),
    *_of(
        "bridge token risk, L1 dispute bug",
        (
            "Queue.sol",
            "require(received >= minimumDeposit, BadAmount());",
            "",
            "Queue::test_refuses_amounts_out_of_bounds",
        ),
    ),
    *_of(
        "over-approved withdrawal",
        (
            _BATCHES,
            "approved <= row.amount && approved <= collateral_",
            "approved <= collateral_",
            "Post::test_refuses_an_approval_above_the_request",
        ),
        (
            "Refusals.sol",
            "require(_isOverdrawn(asked), NoFraud());",
            "require(!_isOverdrawn(asked), NoFraud());",
            "Refusals::test_one_unit_to_an_empty_account_is_reverted",
        ),
    ),
    *_of(
        "honest answer counted twice (second challenge, posted again)",
        (
            _AUTHORITY,
            "bool isLive_ = uint192(row) == uint192(uint256(_batchHash[seq]));",
            "bool isLive_ = true;",
            "Authority::test_a_posted_again_batch_counts_once",
        ),
    ),
    *_of(
        "same order or transfer used in two batches, or twice in one",
        (
            _AUTHORITY,
            "require(e.leafIndex >= state.nextLeaf && ref > state.lastRef, BadLeaves());",
            "require(e.leafIndex >= state.nextLeaf, BadLeaves());",
            "Authority::test_refuses_one_order_twice_in_a_batch",
        ),
        (
            _AUTHORITY,
            "require(seq > last && seq <= _head.head, BadSeq());",
            "",
            "Authority::test_six_and_six_of_ten_lots_is_reverted",
        ),
    ),
    *_of(
        "signature for one subaccount or deployment used for another",
        (
            "Relay.sol",
            "require(_accounts[acct].owner == action.owner, NotOwner());",
            "",
            "Relay::test_refuses_a_foreign_account",
        ),
        (
            "SessionKeys.sol",
            "require(_accounts[accts[i]].owner == owner, NotOwner());",
            "",
            "SessionKeys::test_refuses_foreign_accounts",
        ),
    ),
    *_of(
        "revert makes honest requests overdue, no operator in time",
        (
            _BATCHES,
            "if (since < money.resetAt) since = money.resetAt;",
            "",
            "Reverts::test_queue_clock_starts_at_the_revert",
        ),
        (
            "Reverts.sol",
            "progress.lastPost = uint40(block.timestamp);",
            "",
            "Freeze::test_a_revert_starts_the_clocks_anew",
        ),
    ),
    *_of(
        "two frauds open at once, empty bond",
        ("Reverts.sol", "bond > 0 ? bond / 2 : pot / 2", "bond / 2", "Reverts::test_two_frauds_prove_nine_then_five"),
    ),
    *_of(
        "operator self-challenges or late challenges delay finality",
        (
            _BATCHES,
            "require(_openChallenges[_batchHash[seq]] == 0, ChallengeOpen());",
            "",
            "Authority::test_an_open_challenge_holds_finality_and_a_good_answer_ends_it",
        ),
    ),
    *_of(
        "answer load",
        (
            _AUTHORITY,
            "else require(keccak256(abi.encode(state)) == before, BadState());",
            "",
            "Authority::test_two_parts_of_one_sender",
        ),
    ),
    *_of(
        "oracle vector not published, row dropped",
        (
            _BATCHES,
            "require(time != 0 && time <= uint40(h >> 104), BadRound());",
            "",
            "Markets::test_post_wants_a_known_round_of_its_time",
        ),
        (
            "OracleBounds.sol",
            "was && (!is_ || OracleRules.isJump(",
            "was && (is_ && OracleRules.isJump(",
            "OracleBounds::test_an_index_that_is_gone_is_reverted",
        ),
    ),
    *_of(
        "offline user misses the claim period",
        (
            "Escape.sol",
            "uint256 left = assets > total ? assets - total - _escapeLatePaid : 0;",
            "uint256 left = 0;",
            "Escape::test_a_late_claim_is_paid_from_what_is_left",
        ),
    ),
    *_of(
        "chain outage, then instant freeze",
        (
            "Freezes.sol",
            "notice == 0 || notice < stalledFrom ? 0 :",
            "notice == 0 ? 0 :",
            "Freeze::test_an_operator_that_comes_back_takes_the_notice_away",
        ),
        (
            "Freezes.sol",
            "require(block.timestamp >= from, FreezeTooEarly(from));",
            "",
            "Freeze::test_refuses_a_second_call_before_the_gap",
        ),
    ),
    *_of(
        "liquidation of a healthy account by the operator",
        (
            "ForcedRules.sol",
            "if (_size(book.moved[place]) > _size(book.lots[place])) return GROWS;",
            "",
            "Forced::test_refuses_what_a_venue_may_not_do_on_the_book",
        ),
        (
            "Forced.sol",
            "require(_isPosted(acct, book.instrs, book.moved, book.cash, proof.data), NotTheDelta());",
            "",
            "Forced::test_refuses_leaves_that_are_not_the_delta",
        ),
    ),
    *_of(
        "time lag in the operator's favour",
        (
            _BATCHES,
            "require(block.timestamp <= uint256(money.resumedAt) + MAX_LAG, BadTime());",
            "",
            "Post::test_refuses_times_out_of_order",
        ),
        (_BATCHES, "lastMatchTo_ <= matchFrom && ", "", "Post::test_refuses_times_out_of_order"),
    ),
    *_of(
        "collusive bankrupt account drains the pool",
        (
            "libraries/FloorBook.sol",
            "if (book.need > 0) return true;",
            "",
            "Floors::test_a_position_without_money_is_reverted",
        ),
    ),
    *_of(
        "bankrupt account closes at 1 tick",
        (
            "libraries/FloorBook.sol",
            "return !book.isOpaque && loss > int256(book.band) + before + room;",
            "return !book.isOpaque && loss > int256(book.band) + before + room && false;",
            "Floors::test_closing_at_a_tick_is_reverted",
        ),
    ),
)
