"""Bytes of what only some orders have: the terms of a trigger, the slice of an iceberg."""

from struct import Struct
from typing import Final

from exchange.domain.commands import PriceSource, Trigger, TriggerKind

__all__ = ["pack_display", "pack_trigger", "unpack_display", "unpack_trigger"]

_TRIGGER: Final = Struct("<BBHIqqQQ")
_DISPLAY: Final = Struct("<q")


def pack_trigger(trigger: Trigger) -> bytes:
    """40 bytes."""
    return _TRIGGER.pack(
        trigger.kind, trigger.source, 0, trigger.offset_ppm, trigger.price_e9, trigger.offset_e9, trigger.parent,
        trigger.partner,
    )  # fmt: skip


def unpack_trigger(raw: bytes) -> Trigger:
    """Inverse of `pack_trigger`. Raises struct.error or ValueError."""
    kind, source, _, offset_ppm, price_e9, offset_e9, parent, partner = _TRIGGER.unpack(raw)
    return Trigger(
        kind=TriggerKind(kind),
        source=PriceSource(source),
        price_e9=price_e9,
        offset_e9=offset_e9,
        offset_ppm=offset_ppm,
        parent=parent,
        partner=partner,
    )


def pack_display(lots: int) -> bytes:
    """Eight bytes; an order that shows everything has none."""
    return _DISPLAY.pack(lots)


def unpack_display(raw: bytes) -> int:
    """Inverse of `pack_display`. Raises struct.error, and ValueError for a slice that would not have been written."""
    (lots,) = _DISPLAY.unpack(raw)
    if lots == 0:
        raise ValueError("a display of 0 lots has no attachment")
    return int(lots)
