"""The book of fast payments: which state follows which, across a restart."""

import pytest

from settlement.onchain.fast_book import BadMove, FastBook, FastRow, FastState

ROW = FastRow(request=7, seq=1, batch_hash=b"\x01" * 32, amount_e6=50_000_000, fee_e6=1_000_000)
PATHS = {
    FastState.PLANNED: (),
    FastState.DROPPED: (FastState.DROPPED,),
    FastState.PAID: (FastState.PAID,),
    FastState.REPAID: (FastState.PAID, FastState.REPAID),
    FastState.LOST: (FastState.PAID, FastState.LOST),
}
ALLOWED = {
    (FastState.PLANNED, FastState.PAID),
    (FastState.PLANNED, FastState.DROPPED),
    (FastState.PAID, FastState.PLANNED),
    (FastState.PAID, FastState.REPAID),
    (FastState.PAID, FastState.LOST),
}


def in_state(path, state):
    """A book with the row in `state`, opened again."""
    book = FastBook(path)
    book.plan(ROW)
    for step in PATHS[state]:
        book.move(book.row(ROW.request), step)
    book.close()
    return FastBook(path)


@pytest.mark.parametrize("before", list(FastState))
@pytest.mark.parametrize("after", list(FastState))
def test_a_state_follows_its_own_alone(tmp_path, before, after):
    """Every pair of states; what is refused changes nothing."""
    book = in_state(tmp_path / "book.sqlite", before)
    row = book.row(ROW.request)
    assert row.state is before
    if (before, after) in ALLOWED:
        book.move(row, after, "why")
        assert (book.row(ROW.request).state, book.row(ROW.request).reason) == (after, "why")
    else:
        with pytest.raises(BadMove):
            book.move(row, after)
        assert book.row(ROW.request) == row


@pytest.mark.parametrize("state", list(FastState))
def test_a_withdrawal_is_planned_again_only_after_it_was_dropped(tmp_path, state):
    """A payment that may be out is never begun a second time."""
    book = in_state(tmp_path / "book.sqlite", state)
    if state is FastState.DROPPED:
        book.plan(ROW)
        assert book.row(ROW.request) == ROW
    else:
        with pytest.raises(BadMove):
            book.plan(ROW)


@pytest.mark.parametrize("state", list(FastState))
def test_money_is_out_while_a_payment_is_open(tmp_path, state):
    """Planned counts as out: the transaction may be on its way."""
    is_open = state in (FastState.PLANNED, FastState.PAID)
    book = in_state(tmp_path / "book.sqlite", state)
    assert book.outstanding_e6() == (49_000_000 if is_open else 0)
    assert len(book.open_rows()) == is_open
    assert book.row(8) is None
