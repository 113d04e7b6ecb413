"""Tests of settlement.protocol.actions: every encoder against eth_abi."""

import pytest
from eth_abi import encode

from settlement.protocol import actions
from settlement.protocol.abi import EncodingError
from settlement.protocol.keccak import reference_keccak256

A1, A2, A3 = b"\x11" * 20, b"\x22" * 20, b"\x33" * 20
E18 = 10**18


def test_negative_subaccount_is_refused() -> None:
    """A value outside its ABI type does not get encoded."""
    with pytest.raises(EncodingError, match="uint256"):
        actions.encode_trade(
            asset=A1,
            sub_id=0,
            limit_price_e18=1,
            amount_e18=1,
            max_fee_e18=0,
            recipient_subaccount_id=-1,
            is_bid=True,
        )


def test_trade() -> None:
    """An order is seven static words."""
    data = actions.encode_trade(
        asset=A1,
        sub_id=2**95 + 5,
        limit_price_e18=-3,
        amount_e18=4,
        max_fee_e18=5,
        recipient_subaccount_id=6,
        is_bid=False,
    )
    types = ["address", "uint256", "int256", "int256", "uint256", "uint256", "bool"]
    assert encode(types, [A1, 2**95 + 5, -3, 4, 5, 6, False]) == data
    assert len(data) == 224


def test_withdraw() -> None:
    """A withdrawal carries the amount in the token's decimals."""
    data = actions.encode_withdraw(asset=A3, max_fee_usd_e18=E18, recipient=A1, amount_native=7, force_batch=True)
    assert encode(["address", "uint256", "address", "uint256", "bool"], [A3, E18, A1, 7, True]) == data


@pytest.mark.parametrize(("scopes", "accounts"), [((), ()), ((3, 7), ()), ((0,), (2, 3, 4))])
def test_set_session_key(scopes: tuple[int, ...], accounts: tuple[int, ...]) -> None:
    """Both arrays follow the static head, also when they are empty."""
    data = actions.encode_set_session_key(key=A1, expiry_s=9, scopes=scopes, subaccount_ids=accounts)
    assert encode(["address", "uint256", "uint256[]", "uint256[]"], [A1, 9, scopes, accounts]) == data


@pytest.mark.parametrize(("add", "remove"), [([], []), ([A1, A2], [A3])])
def test_whitelist(add: list[bytes], remove: list[bytes]) -> None:
    """Both lists of addresses are dynamic arrays."""
    assert encode(["address[]", "address[]"], [add, remove]) == actions.encode_whitelist(add=add, remove=remove)


def test_transfers() -> None:
    """The external transfer adds the recipient to the words of the internal one."""
    fields = {
        "to_subaccount_id": 8,
        "manager": 1,
        "asset": A3,
        "sub_id": 2,
        "amount_e18": 25 * E18,
        "max_fee_usd_e18": 3,
    }
    types = ["uint256", "uint256", "address", "uint256", "uint256", "uint256"]
    values = [8, 1, A3, 2, 25 * E18, 3]
    assert encode(types, values) == actions.encode_transfer_spot(**fields)
    external = actions.encode_transfer_spot_external(**fields, recipient=A2)
    assert encode([*types, "address"], [*values, A2]) == external


def test_rfq() -> None:
    """The taker signs the hash of the legs exactly as the maker signed them."""
    legs = [
        actions.RfqLeg(asset=A1, sub_id=0, price_e18=5, amount_e18=6),
        actions.RfqLeg(asset=A2, sub_id=7, price_e18=8, amount_e18=-9),
    ]
    rows = [(A1, 0, 5, 6), (A2, 7, 8, -9)]
    leg_type = "(address,uint256,uint256,int256)[]"
    quote = actions.encode_rfq_quote(max_fee_e18=10, legs=legs)
    assert encode([f"(uint256,{leg_type})"], [(10, rows)]) == quote
    legs_hash = reference_keccak256(encode([leg_type], [rows]))
    execute = actions.encode_rfq_execute(maker_legs=legs, max_fee_e18=11)
    assert encode(["bytes32", "uint256"], [legs_hash, 11]) == execute


def test_liquidate() -> None:
    """The price limit of a bid may be negative."""
    data = actions.encode_liquidate(
        liquidated_subaccount_id=3,
        cash_transfer_e18=4,
        percent_e18=5,
        price_limit_e18=-6,
        last_seen_trade_id=7,
        merge_account=True,
    )
    types = ["uint256", "uint256", "uint256", "int256", "uint256", "bool"]
    assert encode(types, [3, 4, 5, -6, 7, True]) == data


def test_mass_quote() -> None:
    """The lines enter as their hash."""
    data = actions.encode_mass_quote(
        settlement_contract=A1, packed_lines=b"lines", line_count=2, max_fee_e18=3, subaccount_id=4
    )
    types = ["address", "bytes32", "uint256", "uint256", "uint256"]
    assert encode(types, [A1, reference_keccak256(b"lines"), 2, 3, 4]) == data
