"""Deterministic generator of signing_vectors.json: signed actions of every module on four chains, and refusals.

Run `UPDATE_GOLDEN=1 python -m tests.golden.signing_vectors` to rewrite the file; review the difference as code.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from settlement.protocol import eip712
from settlement.protocol.keccak import reference_keccak256
from settlement.protocol.signature import CURVE_ORDER, address_of, checksum_address, sign_digest

PATH = Path(__file__).with_name("signing_vectors.json")
CHAINS = (424242, 31337, 11155111, 1)
E18 = 10**18
NONCE = 1795357455576914615
EXPIRY_S = 1800000000
PUBLIC_TEST_KEY = bytes.fromhex("2ae8be44db8a590d20bffbe3b6872df9b569147d3bf6801a35a28281a4816bbd")
KEYS = (PUBLIC_TEST_KEY, *(reference_keccak256(b"offbook.test.key.%d" % number) for number in range(3)))
DEAD = bytes.fromhex("000000000000000000000000000000000000dEaD")


def asset(kind: str, currency: str = "BTC", chain_id: int = 424242) -> bytes:
    """Return the published address of an asset of the vector deployment."""
    return eip712.asset_address(chain_id=chain_id, settlement_contract=b"\x66" * 20, currency=currency, kind=kind)


def trade_rows() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield named orders: both sides, small and large numbers, options with large sub ids."""
    call = eip712.option_sub_id(is_call=True, strike_e8=100_000 * 10**8, expiry_s=1798185600)
    put = eip712.option_sub_id(is_call=False, strike_e8=25 * 10**6, expiry_s=1893456000)
    largest = eip712.option_sub_id(is_call=True, strike_e8=(1 << 63) - 1, expiry_s=(1 << 32) - 1)
    perp, option = asset("perp"), asset("option")
    yield "buy perp", row(perp, 0, 84000 * E18, E18 // 2, 100 * E18, bid=True)
    yield "sell perp", row(perp, 0, 84000 * E18, E18 // 2, 100 * E18, bid=False)
    yield "buy ether perp without fee", row(asset("perp", "ETH"), 0, 5 * E18 // 10, 1, 0, bid=True)
    yield "sell smallest amount", row(perp, 0, 10**6, 10**6, 10**6, bid=False)
    yield "buy call", row(option, call, 1250 * E18, 3 * E18, 12 * E18, bid=True)
    yield "sell put", row(option, put, 7 * E18, 40 * E18, E18, bid=False)
    yield "largest sub id", row(option, largest, 1, 1, 1, bid=True)
    yield "largest numbers", row(perp, 2**256 - 1, 2**255 - 1, 2**255 - 1, 2**256 - 1, bid=True)
    yield "negative price", row(perp, 0, -(2**255), E18, 0, bid=False)


def row(address: bytes, sub_id: int, price_e18: int, amount_e18: int, fee_e18: int, *, bid: bool) -> dict[str, Any]:
    """Return the signed fields of one order."""
    return {
        "asset": address,
        "sub_id": sub_id,
        "limit_price_e18": price_e18,
        "amount_e18": amount_e18,
        "max_fee_e18": fee_e18,
        "is_bid": bid,
    }


def other_rows() -> Iterator[tuple[str, bytes, bytes, int]]:
    """Yield (name, module, data, subaccount) of every other module, optional fields present and absent."""
    usdc, recipient = asset("erc20", "USDC"), b"\x44" * 20
    legs = [
        eip712.RfqLeg(asset=asset("perp"), sub_id=0, price_e18=84000 * E18, amount_e18=E18 // 2),
        eip712.RfqLeg(asset=asset("option"), sub_id=5, price_e18=1250 * E18, amount_e18=-2 * E18),
    ]
    spot = {"manager": 0, "asset": usdc, "sub_id": 0, "amount_e18": 25 * E18, "max_fee_usd_e18": 0}
    for force in (False, True):
        data = eip712.encode_withdraw(
            asset=usdc, max_fee_usd_e18=E18, recipient=recipient, amount_native=250_000_000, force_batch=force
        )
        yield f"withdraw, forced {force}", eip712.WITHDRAW_MODULE, data, 7
    for scopes, accounts in (((), ()), ((0,), ()), ((3, 7), (7,)), ((2, 5, 6), (7, 8, 9))):
        data = eip712.encode_set_session_key(
            key=b"\x55" * 20, expiry_s=EXPIRY_S, scopes=scopes, subaccount_ids=accounts
        )
        yield f"session key, scopes {scopes}, accounts {accounts}", eip712.SET_SESSION_KEY_MODULE, data, 0
    yield "transfer", eip712.TRANSFER_SPOT_MODULE, eip712.encode_transfer_spot(to_subaccount_id=8, **spot), 7
    external = eip712.encode_transfer_spot_external(to_subaccount_id=9, recipient=recipient, **spot)
    yield "external transfer", eip712.TRANSFER_SPOT_EXTERNAL_MODULE, external, 7
    for count in (0, 1, 2):
        quote = eip712.encode_rfq_quote(max_fee_e18=10 * E18, legs=legs[:count])
        yield f"rfq quote, {count} legs", eip712.RFQ_MODULE, quote, 7
    yield "rfq execute", eip712.RFQ_MODULE, eip712.encode_rfq_execute(maker_legs=legs, max_fee_e18=1), 7
    yield "whitelist", eip712.WHITELIST_MODULE, eip712.encode_whitelist(add=[recipient], remove=[DEAD]), 0
    liquidate = eip712.encode_liquidate(
        liquidated_subaccount_id=3,
        cash_transfer_e18=E18,
        percent_e18=E18 // 10,
        price_limit_e18=-E18,
        last_seen_trade_id=77,
        merge_account=False,
    )
    yield "liquidation bid", eip712.LIQUIDATE_MODULE, liquidate, 7
    mass_quote = eip712.encode_mass_quote(
        settlement_contract=b"\x66" * 20, packed_lines=bytes(72), line_count=2, max_fee_e18=10 * E18, subaccount_id=7
    )
    yield "mass quote", eip712.MASS_QUOTE_MODULE, mass_quote, 7


def action_rows() -> Iterator[tuple[str, int, bytes, eip712.Action]]:
    """Yield (name, chain, key, action): orders on every chain, the rest on the first two."""
    for chain_id in CHAINS:
        for number, (name, fields) in enumerate(trade_rows()):
            key = KEYS[number % len(KEYS)]
            data = eip712.encode_trade(recipient_subaccount_id=7 + number, **fields)
            yield name, chain_id, key, action(eip712.TRADE_MODULE, data, 7 + number, key)
    for chain_id in CHAINS[:2]:
        for number, (name, module, data, subaccount_id) in enumerate(other_rows()):
            key = KEYS[number % len(KEYS)]
            yield name, chain_id, key, action(module, data, subaccount_id, key)


def action(module: bytes, data: bytes, subaccount_id: int, key: bytes) -> eip712.Action:
    """Return an action owned by the key itself, or by another wallet for the public test key."""
    signer = address_of(key)
    return eip712.Action(
        subaccount_id=subaccount_id,
        nonce=NONCE + subaccount_id,
        module=module,
        data=data,
        expiry_s=EXPIRY_S,
        owner=DEAD if key == PUBLIC_TEST_KEY else signer,
        signer=signer,
    )


def vector(name: str, chain_id: int, key: bytes, signed: eip712.Action) -> dict[str, Any]:
    """Return one accepted vector; big numbers are decimal strings."""
    separator = eip712.domain_separator(chain_id)
    digest = eip712.digest(separator, signed)
    return {
        "name": f"{name}, chain {chain_id}",
        "chain_id": chain_id,
        "domain_separator": separator.hex(),
        "subaccount_id": signed.subaccount_id,
        "nonce": str(signed.nonce),
        "module": checksum_address(signed.module),
        "data": signed.data.hex(),
        "expiry": signed.expiry_s,
        "owner": checksum_address(signed.owner),
        "signer": checksum_address(signed.signer),
        "data_hash": reference_keccak256(signed.data).hex(),
        "action_hash": eip712.action_hash(signed).hex(),
        "digest": digest.hex(),
        "signature": sign_digest(key, digest).hex(),
    }


def refusals(accepted: dict[str, Any]) -> list[dict[str, str]]:
    """Return changed copies of one accepted signature, each with what is wrong with it."""
    digest, signature = accepted["digest"], bytes.fromhex(accepted["signature"])
    high_s = (CURVE_ORDER - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    changed = {
        "high s": signature[:32] + high_s + bytes([55 - signature[64]]),
        "v is 29": signature[:64] + b"\x1d",
        "v is 2": signature[:64] + b"\x02",
        "64 bytes": signature[:64],
        "66 bytes": signature + b"\x00",
        "r is zero": bytes(32) + signature[32:],
        "s is zero": signature[:32] + bytes(32) + signature[64:],
        "r is above the order": b"\xff" * 32 + signature[32:],
        "wrong signer": sign_digest(KEYS[1], bytes.fromhex(digest)),
    }
    signer = accepted["signer"]
    return [{"name": name, "digest": digest, "signer": signer, "signature": raw.hex()} for name, raw in changed.items()]


def document() -> dict[str, Any]:
    """Return the whole file."""
    accepted = [vector(*fields) for fields in action_rows()]
    return {"version": 1, "accepted": accepted, "refused": refusals(accepted[0])}


def text() -> str:
    """Return the file's exact text."""
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    if os.environ.get("UPDATE_GOLDEN") != "1":
        raise SystemExit("set UPDATE_GOLDEN=1 to rewrite signing_vectors.json")
    PATH.write_text(text())
