"""Logins, cancel-on-disconnect and a new writer."""

import pytest

from exchange.domain.commands import ChainRequestKind, EpochStart, OrderFlag, SessionClose, SessionOpen
from exchange.domain.events import CommandRefused, OrderClosed, SessionClosed, SessionOpened
from exchange.domain.result_codes import CloseReason, ResultCode
from tests.unit.exchange.engine.world import BUY, SECOND_NS, World, owner

FLAG = OrderFlag.CANCEL_ON_DISCONNECT


def test_refusals() -> None:
    """An unknown key opens no session, an unknown session does not close."""
    world = World().open()
    opened = world.run(SessionOpen(owner=owner(2), signer=b"\x03" * 20))
    assert opened == [CommandRefused(code=ResultCode.SIGNER_UNKNOWN)]
    assert world.run(SessionClose(session=4)) == [CommandRefused(code=ResultCode.SESSION_MISSING, detail=4)]


def test_an_expired_key_opens_no_session() -> None:
    """The refusal names the end of its life."""
    world, key = World().open(), b"\x03" * 20
    ends_s = world.now_ns // SECOND_NS + 5
    world.request(ChainRequestKind.SET_KEY, 2, owner=owner(2), key=key, valid_to_s=ends_s, scopes=4)
    world.clock(5)
    opened = world.run(SessionOpen(owner=owner(2), signer=key))
    assert opened == [CommandRefused(code=ResultCode.SESSION_KEY_EXPIRED, detail=ends_s)]


@pytest.mark.parametrize(("logged_out", "canceled"), [(False, 1), (True, 0)])
def test_disconnect_cancels_flagged_orders_of_the_session(logged_out: bool, canceled: int) -> None:
    """Only this session's orders with the flag, and none after a logout."""
    world = World().open()
    for number in (1, 2):
        assert world.run(SessionOpen(owner=owner(2), signer=owner(2))) == [
            SessionOpened(session=number, owner=owner(2), signer=owner(2))
        ]
    world.place(2, BUY, 500_000, 1, session=1, flags=FLAG)
    world.place(2, BUY, 500_000, 1, session=1)
    world.place(2, BUY, 500_000, 1, session=2, flags=FLAG)
    events = world.run(SessionClose(session=1, logged_out=logged_out))
    reasons = [event.reason for event in events if isinstance(event, OrderClosed)]
    assert reasons == [CloseReason.CANCEL_ON_DISCONNECT] * canceled
    assert SessionClosed(session=1) in events


def test_epoch_start_ends_every_session() -> None:
    """By ascending number, each with its cancels; numbers go on."""
    world = World().open()
    for account in (2, 3):
        world.run(SessionOpen(owner=owner(account), signer=owner(account)))
        world.place(account, BUY, 500_000, 1, session=account - 1, flags=FLAG)
    events = world.run(EpochStart(epoch=1))
    kinds = [type(event) for event in events[:4]]
    assert kinds == [OrderClosed, SessionClosed, OrderClosed, SessionClosed]
    assert world.run(SessionOpen(owner=owner(2), signer=owner(2)))[0] == SessionOpened(
        session=3, owner=owner(2), signer=owner(2)
    )
