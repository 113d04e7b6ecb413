"""Mass quotes as bytes: what is signed, what is journaled, what is refused."""

import struct

import pytest

from exchange.domain.commands import CancelMany
from exchange.domain.packing import BadRecord, pack_command, unpack_commands
from exchange.domain.quotes import MassQuote, QuoteLine, ResetMmp, SetMmpConfig, pack_lines, unpack_lines
from settlement.protocol import eip712
from settlement.protocol.keccak import keccak256

LINES = (QuoteLine(2, 125_050, 20, 0, 0), QuoteLine(0x80000001, 840_000, 50, 840_010, 50))
CALL = MassQuote(
    subaccount=7,
    mmp_group=3,
    lines=LINES,
    nonce=(1 << 64) - 1,
    expiry_s=2_000_000_000,
    signer=b"\x01" * 20,
    max_fee_e18=(1 << 128) - 1,
    domain=1,
    session=99,
    digest=b"\x02" * 32,
    signature=b"\x03" * 65,
)
UNSIGNED = MassQuote(subaccount=7, mmp_group=3, lines=LINES)
CONFIG = SetMmpConfig(
    subaccount=7, mmp_group=3, underlying="BTC", lot_e9=10**7, interval_ns=1, frozen_ns=2, quantity_lots=1 << 62
)


@pytest.mark.parametrize(
    "line", [QuoteLine(1 << 32, 1, 1, 2, 1), QuoteLine(1, 1 << 63, 1, 2, 1), QuoteLine(1, 1, -1, 2, 1)]
)
def test_numbers_beyond_their_field_are_no_line(line: QuoteLine) -> None:
    """Nothing is cut off silently."""
    with pytest.raises(struct.error):
        pack_lines((line,))


def test_a_line_that_is_missing_is_noticed() -> None:
    """The record counts its lines."""
    record, attachments = pack_command(UNSIGNED)
    fewer = struct.pack("<q", 1)
    with pytest.raises(BadRecord, match="2 lines, the record says 1"):
        list(unpack_commands(record[:24] + fewer + record[32:], attachments))


@pytest.mark.parametrize("command", [CALL, UNSIGNED, CONFIG, ResetMmp(subaccount=7, mmp_group=3)])
def test_records_give_their_command_back(command: MassQuote | SetMmpConfig | ResetMmp) -> None:
    """Signed or not, and what sets up a group."""
    assert list(unpack_commands(*pack_command(command))) == [command]


def test_a_cancel_by_group_keeps_its_group() -> None:
    """In the record's own field."""
    command = CancelMany(subaccount=7, mmp_group=3)
    assert list(unpack_commands(*pack_command(command))) == [command]


def test_lines_are_packed_as_they_are_signed() -> None:
    """36 bytes each, big endian; hash, action and digest are those that api.md prints."""
    packed = pack_lines(LINES)
    assert unpack_lines(packed) == LINES
    assert len(packed) == 72
    assert keccak256(packed).hex() == "12be491621af89c779e4cb29254ee309252d87793b650cc7d4119df01dd5debe"
    data = eip712.encode_mass_quote(
        settlement_contract=b"\x66" * 20, packed_lines=packed, line_count=2, max_fee_e18=10 * 10**18, subaccount_id=7
    )
    assert keccak256(data).hex() == "4feb231118cebbc16098b2e25baaee17fbc134c345e2a28438e19dfda2848470"
    action = eip712.Action(
        subaccount_id=7,
        nonce=1795357455576914615,
        module=eip712.MASS_QUOTE_MODULE,
        data=data,
        expiry_s=1_800_000_000,
        owner=bytes(18) + b"\xde\xad",
        signer=bytes.fromhex("86042886b1063625D0B3DDCC9e4cBcf912B79e16"),
    )
    assert eip712.action_hash(action).hex() == "2b88001b2831152fb99a1b2ca7e231d88254eeb6fce5b92f3d964653c9b6b56d"
    digest = eip712.digest(eip712.domain_separator(424_242), action)
    assert digest.hex() == "23dd88a799535e84fe1006576389d4203f099c0e39de30167ce9b57b63c0b154"
