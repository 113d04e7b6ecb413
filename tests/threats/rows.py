"""Every threat against the settlement contract, and the tests that show its defence.

`OPEN` says what a row does not show yet; `test_rows.py` holds the table to the tests that exist.
A test is `path::name`; tests in Solidity stand under settlement/contracts/test.
"""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["OPEN", "ROOT", "ROWS", "exists"]

ROOT: Final = Path(__file__).parents[2]
_SOL: Final = "settlement/contracts/test"
_ONCHAIN: Final = "tests/unit/settlement/onchain"
_CHAOS: Final = "tests/unit/exchange/app/test_chaos_chain.py"
_DONE: Final = "tests/e2e/test_done_when_settlement.py"
_POSTS: Final = "tests/unit/settlement/watch/test_posts.py"
_ROOTS: Final = "tests/differential/test_wrong_root.py"


def _sol(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{_SOL}/{file}.t.sol::{name}" for name in names)


ROWS: Final[dict[str, tuple[str, ...]]] = {
    "operator mints cash, unbalanced netting": (
        *_sol("BatchData", "testFuzz_flipped_cash_bit_reverts", "testFuzz_flipped_delta_bit_reverts"),
        *_sol("BatchData", "testFuzz_changed_fee_reverts", "testFuzz_changed_length_reverts"),
        *_sol("Post", "test_refuses_unequal_deltas", "test_refuses_cash_that_is_not_minus_the_fee"),
        f"{_SOL}/symbolic/MoneySymbolic.sol::check_posted_cash_is_minus_the_fee",
        f"{_SOL}/symbolic/CodecSymbolic.sol::check_sum_of_a_narrow_word_is_the_plain_sum",
    ),
    "wrong or garbage root": (
        f"{_ROOTS}::test_wrong_or_garbage_root",
        "tests/e2e/test_disputes.py::test_a_wrong_root_is_reverted_by_the_watcher",
    ),
    "forged or altered order, price worse than limit, overfill, fee above cap": (
        *_sol("Authority", "test_refuses_unauthorized_leaves", "test_silence_is_slashed_after_the_answer_window"),
        *_sol("Quotes", "test_refuses_unauthorized_quotes"),
        *_sol("Blocks", "test_refuses_unauthorized_legs", "test_a_session_key_needs_the_scopes_of_blocks"),
        "tests/e2e/test_disputes.py::test_a_forged_fill_is_asked_about_and_slashed",
    ),
    "replay of an old order, after cancel or key revoke": (
        *_sol("Authority", "test_cancel_all_ends_older_orders", "test_lock_ends_all_orders"),
        *_sol("Authority", "test_revoked_key_signs_nothing_matched_after_its_end"),
        *_sol("Authority", "test_six_and_six_of_ten_lots_is_reverted"),
    ),
    "collusive bankrupt account drains the pool": (
        *_sol("Claims", "test_refuses_before_finality"),
        *_sol("Outflow", "test_a_day_has_a_limit"),
        *_sol("Floors", "test_a_position_without_money_is_reverted", "test_an_option_bought_without_money_is_reverted"),
        "tests/differential/test_floors.py::test_three_readings_of_a_floor_agree",
        "tests/property/test_margin_floor.py::test_no_honest_batch_breaks_a_floor",
        "tests/e2e/test_floors.py::test_a_position_that_nothing_covers_is_slashed",
    ),
    "data withheld": (
        "tests/differential/test_settlement_twins.py::test_ledger_rebuilt_from_posted_bytes_equals_the_builder",
        "tests/differential/test_watch_replay.py::test_both_come_to_the_same_roots",
        "tests/e2e/test_disputes.py::test_a_batch_behind_a_decoy_is_never_taken_for_checked",
        f"{_POSTS}::test_a_call_that_differs_from_its_event_is_hidden",
        f"{_POSTS}::test_an_unusual_encoding_hides_nothing",
        *_sol("Post", "test_refuses_a_post_from_inside_another_call"),
    ),
    "censorship of a user": (
        *_sol("Post", "test_refuses_to_leave_an_overdue_request"),
        *_sol("Freeze", "test_a_request_that_waits_is_enough", "test_two_calls_of_anyone_freeze"),
    ),
    "withdrawal consumed with nothing approved for ever": (
        *_sol("Refusals", "test_cash_that_is_there_is_not_refused", "test_a_part_that_is_there_is_not_refused"),
        "tests/e2e/test_refusals.py::test_a_solvent_account_is_not_refused",
    ),
    "request flood": (
        *_sol("Post", "test_a_full_share_of_requests_is_enough"),
        *_sol("Queue", "test_owner_s_requests_are_his_and_one_per_kind", "test_refuses_a_small_deposit"),
        *_sol("Flood", "test_ten_thousand_requests_stop_no_post_and_the_oldest_go_first"),
        *_sol("Flood", "test_one_owner_cannot_flood_the_queue_with_requests"),
        *_sol("Markets", "test_a_flood_of_closes_stops_no_post_and_skips_nobody"),
    ),
    "operator vanishes": (
        *_sol("EscapeInvariants", "invariant_no_more_is_paid_than_there_is"),
        *_sol("EscapeInvariants", "test_script_reaches_payments_and_refunds"),
        *_sol("Escape", "testFuzz_claims_pay_the_same_in_any_order"),
        *_sol("Escape", "test_an_option_without_a_row_counts_nothing_on_either_side"),
        "tests/e2e/test_exit_drill.py::test_everybody_leaves_without_the_operator",
        f"{_DONE}::test_twenty_accounts_leave_after_the_operator_has_disappeared",
    ),
    "L2 sequencer censors the challenger or stalls": (
        *_sol("Post", "test_finalize_waits_for_blocks_too"),
        f"{_ONCHAIN}/test_stalled_chain.py::test_no_blocks_for_48_hours_finalize_nothing",
        f"{_DONE}::test_a_stalled_sequencer_does_not_eat_the_window",
    ),
    "L2 reorg": (
        f"{_ONCHAIN}/test_poster.py::test_reorganization",
        f"{_CHAOS}::test_a_deliberate_defect_is_found",
    ),
    "double post, lost acknowledgement": (
        f"{_ONCHAIN}/test_poster.py::test_lost_replies",
        f"{_CHAOS}::test_a_death_is_survived",
        "tests/unit/settlement/contracts/test_settlement.py::test_wrong_sequence_reverts_with_the_known_selector",
        *_sol("Reverts", "test_old_trades_are_posted_again_after_a_revert"),
    ),
    "operator key theft": (
        *_sol("Pauses", "test_posting_waits_for_the_end_of_the_pause"),
        *_sol("Reverts", "test_slash_pays_half_and_installs_the_first_bonded_successor"),
        *_sol("StolenKey", "test_a_stolen_key_takes_nothing_but_the_bond"),
        *_sol("FastPayments", "test_a_unit_paid_before_a_revert_buys_no_withdrawal"),
        f"{_DONE}::test_a_stolen_key_takes_nothing",
    ),
    "guardian or timelock abuse": (
        *_sol("Pauses", "test_no_pause_stops_an_exit", "test_a_pause_is_bounded_and_followed_by_rest"),
        *_sol("Freeze", "test_a_pause_does_not_hold_a_freeze_up"),
        *_sol("FastPayments", "test_a_pause_of_fast_payments_stops_nothing_else"),
        *_sol("FastPayments", "test_a_pause_of_fast_payments_is_bounded_and_followed_by_rest"),
        *_sol("Notices", "test_refuses_a_delay_that_an_exit_can_outlast"),
        *_sol("Notices", "test_who_asks_at_the_announcement_is_out_before_the_change"),
        *_sol("Notices", "test_refuses_every_call_that_was_not_announced", "test_a_revert_begins_the_notice_anew"),
    ),
    "oracle manipulation": (
        *_sol("Markets", "test_refuses_too_few_double_or_foreign_signatures"),
        *_sol("OracleBounds", "test_an_index_that_jumps_is_reverted", "test_funding_that_jumps_is_reverted"),
        "tests/differential/test_oracle_bounds.py::test_three_readings_of_a_round_agree",
        "tests/e2e/test_oracle_bounds.py::test_a_round_that_goes_too_far_is_reverted",
        "tests/unit/settlement/onchain/test_feed_panel.py::test_what_does_not_count_leaves_too_few",
        "tests/unit/exchange/feeds/test_round_judge.py::test_a_round_that_is_out_of_bounds_is_refused",
        "tests/e2e/test_signed_rounds.py::test_a_round_beyond_a_feeds_own_prices_is_not_signed",
    ),
    "reentrancy, odd ERC-20, USDC blacklist or pause": (
        *_sol("Queue", "test_fee_on_transfer_is_the_depositor_s", "test_a_token_that_answers_false_is_refused"),
        *_sol("Queue", "test_a_token_that_calls_back_is_refused"),
        *_sol("Claims", "test_blocked_owner_redirects"),
        *_sol("Escape", "test_an_owner_whom_the_token_blocks_holds_nobody_up"),
    ),
    "griefing by challenges": (
        *_sol("Authority", "test_refuses_challenges_out_of_place"),
        "tests/e2e/test_disputes.py::test_a_stranger_who_challenges_everything_loses_his_bonds",
    ),
    "huge batch makes proof impossible": (
        "tests/differential/test_wrong_root_size.py::test_huge_batch_stays_provable",
        "tests/differential/test_wrong_root_size.py::test_huge_batch_under_a_hostile_vector_is_provable_soon",
    ),
    "integer overflow, sign": (
        *_sol("BatchData", "testFuzz_narrow_sum_is_the_plain_sum", "testFuzz_wide_sum_is_the_plain_sum"),
        *_sol("BatchData", "testFuzz_zigzag_round_trip"),
        "tests/differential/test_batch_codec.py::test_codecs_agree",
    ),
    "rounding dust drains": (
        "tests/differential/test_ledger_of_rounds.py::test_the_ledger_charges_and_pays_what_the_engine_does",
        *_sol("Solvency", "invariant_vault_holds_what_it_owes"),
    ),
    "bound mismatch with the engine": (
        *_sol("Markets", "test_refuses_an_asset_of_a_class_without_a_floor"),
        "tests/property/test_linear_bounds.py::test_low_never_passes_the_maintenance_requirement",
        "tests/property/test_linear_bounds.py::test_what_is_above_high_may_be_withdrawn",
        "tests/differential/test_honest_batches.py::test_nothing_honest_can_be_proven_wrong",
    ),
    "bridge token risk, L1 dispute bug": (
        *_sol("Queue", "test_refuses_amounts_out_of_bounds"),
        f"{_ONCHAIN}/test_requests.py::test_another_token_is_refused",
    ),
    "privileged upgrade": (
        f"{_ONCHAIN}/test_requests.py::test_swapped_code_is_refused",
        f"{_ONCHAIN}/test_requests.py::test_a_single_other_byte_of_code_is_refused",
        "tests/unit/settlement/contracts/test_artifacts.py::test_runtime_code_has_its_hash_and_fits",
    ),
    "rebate or fund payment mints from the float": (
        f"{_ROOTS}::test_rules_that_post_does_not_check",
        f"{_ROOTS}::test_a_payment_of_the_fund_is_wrong_under_the_very_root_that_follows",
        "tests/unit/settlement/protocol/test_transition.py::test_fund_cannot_pay_more_than_it_has",
    ),
    "over-approved withdrawal": (
        *_sol("Post", "test_refuses_an_approval_above_the_request"),
        *_sol("Refusals", "test_one_unit_to_an_empty_account_is_reverted", "test_a_unit_more_than_cash_is_reverted"),
        "tests/e2e/test_refusals.py::test_more_than_the_account_has_is_not_paid",
    ),
    "bankrupt account closes at 1 tick": (
        *_sol("Floors", "test_closing_at_a_tick_is_reverted", "test_a_slice_by_one_who_has_nothing_left_has_no_room"),
        *_sol("Floors", "test_a_stop_out_at_the_edge_of_the_band_is_honest"),
        "tests/e2e/test_floors.py::test_a_large_position_closed_at_one_tick_is_slashed",
    ),
    "honest answer counted twice (second challenge, posted again)": _sol(
        "Authority", "test_a_posted_again_batch_counts_once"
    ),
    "same order or transfer used in two batches, or twice in one": (
        *_sol("Authority", "test_six_and_six_of_ten_lots_is_reverted", "test_refuses_one_order_twice_in_a_batch"),
        *_sol("Quotes", "test_a_side_filled_twice_is_reverted"),
        *_sol("Blocks", "test_a_leg_settled_twice_is_reverted"),
        *_sol("Bindings", "test_a_transfer_is_no_answer"),
    ),
    "signature for one subaccount or deployment used for another": (
        *_sol("Relay", "test_refuses_subaccounts_of_other_deployments", "test_refuses_a_foreign_account"),
        *_sol("Relay", "test_separators"),
        *_sol("SessionKeys", "test_refuses_foreign_accounts"),
        *_sol("Bindings", "test_no_order_and_no_quote_of_elsewhere_is_an_answer"),
        *_sol("Bindings", "test_no_withdrawal_of_elsewhere_is_relayed", "test_no_key_of_elsewhere_is_relayed"),
        *_sol("Bindings", "test_a_broken_signature_owns_neither_the_fund_nor_the_clearing_account"),
    ),
    "revert makes honest requests overdue, no operator in time": (
        *_sol("Freeze", "test_a_revert_starts_the_clocks_anew"),
        *_sol(
            "Reverts", "test_queue_clock_starts_at_the_revert", "test_requests_return_to_the_queue_and_are_paid_once"
        ),
    ),
    "two frauds open at once, empty bond": _sol(
        "Reverts", "test_two_frauds_prove_nine_then_five", "test_a_proof_reverts_with_nothing_left_to_pay"
    ),
    "operator self-challenges or late challenges delay finality": (
        *_sol("Authority", "test_an_open_challenge_holds_finality_and_a_good_answer_ends_it"),
        *_sol("ManyChallenges", "test_a_thousand_late_challenges_are_answered_and_end_within_72_hours"),
        *_sol("ManyChallenges", "test_a_thousand_unanswered_challenges_end_after_72_hours_by_one_call"),
    ),
    "answer load": (
        "tests/differential/test_forced.py::test_an_answer_as_large_as_a_batch_fits_a_transaction",
        *_sol("Authority", "test_two_parts_of_one_sender"),
        *_sol("ManyChallenges", "test_a_thousand_late_challenges_are_answered_and_end_within_72_hours"),
    ),
    "oracle vector not published, row dropped": (
        *_sol("Markets", "test_post_wants_a_known_round_of_its_time", "test_a_round_is_kept_by_hash_and_time"),
        *_sol("Markets", "test_refuses_a_round_from_inside_another_call"),
        f"{_POSTS}::test_a_round_that_is_not_in_the_calldata_is_hidden",
        *_sol("OracleBounds", "test_a_charged_perpetual_that_is_gone_is_reverted"),
        *_sol("OracleBounds", "test_an_index_that_is_gone_is_reverted"),
    ),
    "offline user misses the claim period": (
        *_sol("Claims", "test_pays_owners_for_anyone"),
        *_sol("Escape", "test_a_late_claim_is_paid_from_what_is_left"),
    ),
    "chain outage, then instant freeze": _sol(
        "Freeze", "test_refuses_a_second_call_before_the_gap", "test_an_operator_that_comes_back_takes_the_notice_away"
    ),
    "foreign chunks in a staged proof": (f"{_ROOTS}::test_staged_proof_belongs_to_its_sender",),
    "liquidation of a healthy account by the operator": (
        *_sol(
            "Forced", "test_refuses_what_a_venue_may_not_do_on_the_book", "test_refuses_leaves_that_are_not_the_delta"
        ),
        "tests/differential/test_forced.py::test_contract_and_twin_name_the_same_reason",
        "tests/e2e/test_forced_disputes.py::test_a_dishonest_liquidation_is_slashed",
    ),
    "time lag in the operator's favour": (
        *_sol("Post", "test_refuses_times_out_of_order"),
        *_sol("Reverts", "test_the_lag_rule_rests_for_what_was_matched_before_a_revert"),
    ),
}

OPEN: Final[dict[str, str]] = {
    "operator mints cash, unbalanced netting": "proven for two accounts and 8 deltas (`make halmos`), fuzzed beyond",
    "collusive bankrupt account drains the pool": (
        "short options have no floor, and who closes may lose a quarter of it, as the exchange allows: a bound; "
        "F3 sees no option without a row in the round, and no account that holds a perpetual which is not listed"
    ),
    "request flood": (
        "closes come one per batch: who locks the minimum deposit of more accounts than batches fit into the escape "
        "delay (65,000 at 4 s) can have the venue frozen"
    ),
    "huge batch makes proof impossible": "one call at the caps; under a hostile vector every second block fits",
    "signature for one subaccount or deployment used for another": (
        "a key without a list of subaccounts counts in a second live deployment of the same chain, for an hour"
    ),
    "liquidation of a healthy account by the operator": (
        "perpetuals and long options without a row count nothing: a round that leaves one out makes accounts poor"
    ),
    "two frauds open at once, empty bond": (
        "an operator that has its own wrong batches proven from the last to the first gets most of its bond back"
    ),
    "answer load": "one answer of the largest size, and a thousand small ones; not a thousand of the largest",
}
"""What a row's tests do not show."""


@cache
def _names(path: Path) -> frozenset[str]:
    text = path.read_text()
    if path.suffix == ".sol":
        return frozenset(re.findall(r"function (\w+)\(", text))
    found = ast.walk(ast.parse(text))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def exists(node: str) -> bool:
    """Whether the test `path::name` stands where it is said to stand."""
    path, name = node.split("::")
    return (ROOT / path).is_file() and name in _names(ROOT / path)
