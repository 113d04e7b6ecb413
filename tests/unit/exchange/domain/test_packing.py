"""Bytes of commands and events, and what is refused as bytes."""

import msgspec
import pytest

from exchange.domain.commands import (
    Amend,
    BatchCut,
    Cancel,
    CancelMany,
    CancelScope,
    ChainRequest,
    ChainRequestKind,
    Clock,
    Command,
    EpochStart,
    ListInstrument,
    OrderFlag,
    Place,
    PriceSource,
    Replace,
    SessionClose,
    SessionOpen,
    SetPrices,
    SetSelfTradePrevention,
    Side,
    SignedAmend,
    TimeInForce,
    Trigger,
    TriggerKind,
    UnderlyingRow,
)
from exchange.domain.events import OrderAccepted
from exchange.domain.market_limits import MarketLimits, SetMarketLimits
from exchange.domain.packing import (
    RECORD_BYTES,
    BadRecord,
    CommandEvents,
    pack_command,
    pack_events,
    unpack_commands,
    unpack_events,
)
from exchange.domain.portfolio import ExpiryTrust, MarginKind, ScenarioRow, SetMarginKind, SetScenarios
from exchange.domain.safeguards import (
    CancelAllAfter,
    KeyLimits,
    KeyRight,
    RevokeKey,
    SetDisconnectRule,
    SetKeyLimits,
)
from tests.unit.exchange.engine.world import World, instruments

PLACE = Place(
    subaccount=7,
    instrument=(1 << 31) | 1,
    side=Side.SELL,
    time_in_force=TimeInForce.GTD,
    flags=OrderFlag.POST_ONLY | OrderFlag.STP_DECREMENT_BOTH,
    price_ticks=1 << 40,
    quantity_lots=(1 << 47) - 1,
    nonce=(1 << 64) - 1,
    expiry_s=2_000_000_000,
    signer=b"\x01" * 20,
    max_fee_e18=(1 << 128) - 1,
    expires_at_s=1_999_999_999,
    reject_after_ms=1 << 50,
    domain=1,
    session=99,
    digest=b"\x02" * 32,
    signature=b"\x03" * 65,
    client_order_id="c" * 36,
    label="ü" * 64,
)
COMMANDS: list[Command] = [
    PLACE,
    Place(
        subaccount=2,
        instrument=3,
        side=Side.BUY,
        time_in_force=TimeInForce.GTC,
        flags=OrderFlag.NONE,
        price_ticks=1,
        quantity_lots=1,
        nonce=1,
        expiry_s=1,
        signer=b"\x01" * 20,
    ),
    msgspec.structs.replace(
        PLACE,
        trigger=Trigger(
            kind=TriggerKind.TRAILING,
            source=PriceSource.LAST,
            price_e9=1 << 62,
            offset_e9=1 << 62,
            offset_ppm=999_999,
            parent=1 << 62,
            partner=(1 << 64) - 1,
        ),
    ),
    Replace(target_order=1 << 60, order=PLACE, expected_filled_lots=5),
    SignedAmend(target_order=1 << 60, order=PLACE, expected_filled_lots=5, trigger_e9=1 << 62),
    SignedAmend(target_order=1, order=PLACE),
    Cancel(subaccount=2, order=5),
    Cancel(subaccount=2, client_order_id="x", instrument=4),
    CancelMany(subaccount=2, instrument=1, label="l"),
    CancelMany(subaccount=2, scope=CancelScope.TRIGGERS, underlying="BTC"),
    SetSelfTradePrevention(subaccount=2, mode=OrderFlag.STP_DECREMENT_BOTH, by_owner=True),
    SetMarginKind(subaccount=2, kind=MarginKind.PORTFOLIO),
    SetMarketLimits(limits=MarketLimits(instrument=2, governance_e6=1 << 62, owner_e6=5, scaling_to_e6=7)),
    SetScenarios(
        underlying="BTC",
        round=7,
        expiries=(ExpiryTrust(1_790_000_000, 940_000_000, 10**9, 660_000_000),),
        rows=(ScenarioRow.of(3, (0, 1, 9 * 10**15)),),
    ),
    Amend(subaccount=2, order=9, quantity_lots=4),
    Amend(subaccount=2, order=9, quantity_lots=4, trigger_e9=1 << 62),
    Clock(),
    EpochStart(epoch=4),
    SessionOpen(owner=b"\x01" * 20, signer=b"\x02" * 20),
    SessionClose(session=3, logged_out=True),
    ChainRequest(index=1, kind=ChainRequestKind.SET_KEY, account=2, key=b"k" * 20, scopes=4, accounts=(1, 2)),
    BatchCut(),
    BatchCut(allows_empty=True),
    SetPrices(round=1, underlyings=(UnderlyingRow("BTC", 5),)),
    ListInstrument(instrument=instruments()[1]),
    SetKeyLimits(owner=b"\x01" * 20, key=b"\x02" * 20, limits=KeyLimits()),
    SetKeyLimits(
        owner=b"\x01" * 20,
        key=b"\x02" * 20,
        limits=KeyLimits(
            rights=KeyRight.DELETE_SESSION_KEY,
            instruments=(1, 1 << 31),
            underlyings=("BTC",),
            max_notional_e6=1 << 62,
            ip_whitelist=("10.0.0.0/8",),
            label="ü",
        ),
    ),
    RevokeKey(owner=b"\x01" * 20, key=b"\x02" * 20),
    SetDisconnectRule(owner=b"\x01" * 20, is_enabled=True, spares_reduce_only=True),
    CancelAllAfter(subaccount=2, timeout_ms=1_000, spares_reduce_only=True),
]


@pytest.mark.parametrize(
    ("records", "attachments"),
    [(bytes(63), b""), (bytes(64), b""), (b"\x01" + bytes(63), b""), (b"\x28" + bytes(63), b""), (b"\xff" * 64, b"")],
)
def test_bad_records(records: bytes, attachments: bytes) -> None:
    """Wrong lengths, unknown kinds, missing attachments."""
    with pytest.raises(BadRecord):
        list(unpack_commands(records, attachments))


def test_damaged_attachments() -> None:
    """Cut short, or with a length that does not add up; and what is no command has no record."""
    record, attachments = pack_command(PLACE)
    for damaged in (attachments[:3], attachments[:40], attachments[:-8], attachments[:4] + b"\xff" + attachments[5:]):
        with pytest.raises(BadRecord):
            list(unpack_commands(record, damaged))
    with pytest.raises(BadRecord):
        pack_command("no command")  # type: ignore[arg-type]


@pytest.mark.parametrize("blob", [b"", b"\x00", b"\x91\x93\x01\x01\x91\x91\x63", b"\xc1"])
def test_bad_event_blobs(blob: bytes) -> None:
    """Anything that is no event blob is refused as one."""
    with pytest.raises(BadRecord):
        unpack_events(blob)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_commands_come_back(command: Command) -> None:
    """One record of 64 bytes, attachments padded to 8."""
    record, attachments = pack_command(command)
    assert (len(record), len(attachments) % 8) == (RECORD_BYTES, 0)
    assert list(unpack_commands(record, attachments)) == [command]


def test_consecutive_records() -> None:
    """Attachments follow each other in the order of their records."""
    packed = [pack_command(command) for command in COMMANDS]
    records, attachments = (b"".join(column) for column in zip(*packed, strict=True))
    assert list(unpack_commands(records, attachments)) == COMMANDS


def test_fee_caps_of_amendments_survive_too() -> None:
    """OrderRevised carries the new signature's cap."""
    world = World().open()
    number = world.place(2, Side.BUY, 500_000, 1)[0].order  # type: ignore[union-attr]
    order = world.order(2, Side.BUY, 500_001, 1, max_fee_e18=(1 << 128) - 1)
    history = [CommandEvents(1, 2, world.run(SignedAmend(target_order=number, order=order)))]
    assert unpack_events(pack_events(history)) == history


@pytest.mark.parametrize("max_fee_e18", [0, (1 << 64) - 1, 1 << 64, (1 << 128) - 1])
def test_fee_caps_of_any_width_survive_in_events(max_fee_e18: int) -> None:
    """1e-18 USDC passes 64 bits at 18 USDC per unit."""
    world = World().open()
    accepted = world.place(2, Side.BUY, 500_000, 1, max_fee_e18=max_fee_e18)
    assert isinstance(accepted[0], OrderAccepted)
    history = [CommandEvents(1, 2, accepted)]
    assert unpack_events(pack_events(history)) == history
