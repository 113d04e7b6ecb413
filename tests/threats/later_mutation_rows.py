"""The rest of the table of `mutation_rows.py`: threats from 26 on, and those that were found late."""

from typing import Final

from tests.threats.mutation import Mutation, of_threat

__all__ = ["LATER_MUTATIONS"]

_BATCHES: Final = "Batches.sol"
_AUTHORITY: Final = "Authority.sol"
_ORDERS: Final = "Orders.sol"

LATER_MUTATIONS: Final[tuple[Mutation, ...]] = (
    *of_threat(
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
    *of_threat(
        "honest answer counted twice (second challenge, posted again)",
        (
            _AUTHORITY,
            "bool isLive_ = uint192(row) == uint192(uint256(_batchHash[seq]));",
            "bool isLive_ = true;",
            "Authority::test_a_posted_again_batch_counts_once",
        ),
    ),
    *of_threat(
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
        (
            _ORDERS,
            "isKnown = e.action.module == ActionHash.TRADE_MODULE && e.data.length == ORDER_DATA;",
            "isKnown = e.data.length == ORDER_DATA;",
            "Bindings::test_a_transfer_is_no_answer",
        ),
    ),
    *of_threat(
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
        (
            _ORDERS,
            "e.action.subaccountId != q.subaccount || terms.recipient != q.subaccount || e.action.owner != q.owner",
            "e.action.owner != q.owner",
            "Bindings::test_no_order_and_no_quote_of_elsewhere_is_an_answer",
        ),
        (
            "libraries/ActionHash.sol",
            'keccak256("1.0"), chainId, VERIFYING_CONTRACT',
            'keccak256("1.0"), uint256(31337), VERIFYING_CONTRACT',
            "Bindings::test_no_withdrawal_of_elsewhere_is_relayed",
        ),
        (
            "Relay.sol",
            "require(asset == settlementAsset && recipient != address(0), BadAsset());",
            "require(recipient != address(0), BadAsset());",
            "Bindings::test_no_withdrawal_of_elsewhere_is_relayed",
        ),
        (
            "Relay.sol",
            "require(subaccountId >= subaccountBase && subaccountId < subaccountBase + MAX_ACCOUNTS, BadSubaccount());",
            "",
            "Bindings::test_no_key_of_elsewhere_is_relayed",
        ),
        (
            "Relay.sol",
            "require(SignatureChecker.isValidSignatureNowCalldata(action.owner, digest, sig), BadSignature());",
            "",
            "Bindings::test_a_broken_signature_owns_neither_the_fund_nor_the_clearing_account",
        ),
    ),
    *of_threat(
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
    *of_threat(
        "two frauds open at once, empty bond",
        ("Reverts.sol", "bond > 0 ? bond / 2 : pot / 2", "bond / 2", "Reverts::test_two_frauds_prove_nine_then_five"),
    ),
    *of_threat(
        "operator self-challenges or late challenges delay finality",
        (
            _BATCHES,
            "require(_openChallenges[_batchHash[seq]] == 0, ChallengeOpen());",
            "",
            "Authority::test_an_open_challenge_holds_finality_and_a_good_answer_ends_it",
        ),
        (
            _AUTHORITY,
            "_isWindowOpen(header) && _accounts[acct]",
            "_accounts[acct]",
            "ManyChallenges::test_a_thousand_late_challenges_are_answered_and_end_within_72_hours",
        ),
        (
            "Challenges.sol",
            "_openChallenges[asked.batchHash] -= 1;",
            "_openChallenges[asked.batchHash] = 0;",
            "ManyChallenges::test_a_thousand_late_challenges_are_answered_and_end_within_72_hours",
        ),
    ),
    *of_threat(
        "answer load",
        (
            _AUTHORITY,
            "else require(keccak256(abi.encode(state)) == before, BadState());",
            "",
            "Authority::test_two_parts_of_one_sender",
        ),
    ),
    *of_threat(
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
        (
            "Markets.sol",
            "bytes calldata sigs) external direct {",
            "bytes calldata sigs) external {",
            "Markets::test_refuses_a_round_from_inside_another_call",
        ),
    ),
    *of_threat(
        "offline user misses the claim period",
        (
            "Escape.sol",
            "uint256 left = assets > total ? assets - total - _escapeLatePaid : 0;",
            "uint256 left = 0;",
            "Escape::test_a_late_claim_is_paid_from_what_is_left",
        ),
    ),
    *of_threat(
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
    *of_threat(
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
    *of_threat(
        "time lag in the operator's favour",
        (
            _BATCHES,
            "require(block.timestamp <= uint256(money.resumedAt) + MAX_LAG, BadTime());",
            "",
            "Post::test_refuses_times_out_of_order",
        ),
        (_BATCHES, "lastMatchTo_ <= matchFrom && ", "", "Post::test_refuses_times_out_of_order"),
        (
            _BATCHES,
            "if (matchTo <= money.resetAt && block",
            "if (money.resetAt != 0 && block",
            "Reverts::test_the_lag_rule_rests_for_what_was_matched_before_a_revert",
        ),
    ),
    *of_threat(
        "bound mismatch with the engine",
        (
            "Markets.sol",
            "require(row.class == LinearBounds.LARGE_CAP || row.class == LinearBounds.MAJOR, BadAsset());",
            "",
            "Markets::test_refuses_an_asset_of_a_class_without_a_floor",
        ),
    ),
    *of_threat(
        "request flood",
        (
            _BATCHES,
            "_requests[upTo + 1].kind == uint8(Kind.CLOSE_ALL) && _closes(done, upTo) == MAX_CLOSES",
            "_requests[upTo + 1].kind == uint8(Kind.CLOSE_ALL)",
            "Markets::test_a_flood_of_closes_stops_no_post_and_skips_nobody",
        ),
    ),
    *of_threat(
        "operator vanishes",
        (
            "libraries/Equity.sol",
            "if (row == 0) return 0;",
            "if (row == 0) return int64(uint64(entry >> 160));",
            "Escape::test_an_option_without_a_row_counts_nothing_on_either_side",
        ),
    ),
    *of_threat(
        "data withheld",
        ("Direct.sol", "msg.sender == tx.origin && ", "", "Post::test_refuses_a_post_from_inside_another_call"),
        ("Direct.sol", " && msg.sender.code.length == 0", "", "Post::test_refuses_a_post_from_inside_another_call"),
        (
            _BATCHES,
            "bytes calldata data) external direct {",
            "bytes calldata data) external {",
            "Post::test_refuses_a_post_from_inside_another_call",
        ),
    ),
    *of_threat(
        "collusive bankrupt account drains the pool",
        (
            "libraries/FloorBook.sol",
            "if (book.need > 0) return true;",
            "",
            "Floors::test_a_position_without_money_is_reverted",
        ),
    ),
    *of_threat(
        "bankrupt account closes at 1 tick",
        (
            "libraries/FloorBook.sol",
            "return !book.isOpaque && loss > int256(book.band) + before + room;",
            "return !book.isOpaque && loss > int256(book.band) + before + room && false;",
            "Floors::test_closing_at_a_tick_is_reverted",
        ),
    ),
)
