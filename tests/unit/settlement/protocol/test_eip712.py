"""Tests of settlement.protocol.eip712: the published vectors of the wire protocol."""

import struct

import pytest

from settlement.protocol import eip712
from settlement.protocol.keccak import keccak256
from settlement.protocol.signature import address_of, checksum_address, parse_address, sign_digest

KEY = bytes.fromhex("2ae8be44db8a590d20bffbe3b6872df9b569147d3bf6801a35a28281a4816bbd")
OWNER = parse_address("0x000000000000000000000000000000000000dEaD")
A1, A2, A3, A4, A5, A6 = (bytes([byte]) * 20 for byte in (0x11, 0x22, 0x33, 0x44, 0x55, 0x66))
E18 = 10**18
NONCE = 1795357455576914615
EXPIRY_S = 1800000000
VECTOR_CHAIN = 424242

TRADE = {
    "asset": A1,
    "sub_id": 0,
    "limit_price_e18": 84000 * E18,
    "amount_e18": E18 // 2,
    "max_fee_e18": 100 * E18,
    "is_bid": True,
}
LEGS = (
    eip712.RfqLeg(asset=A1, sub_id=0, price_e18=84000 * E18, amount_e18=E18 // 2),
    eip712.RfqLeg(asset=A2, sub_id=5, price_e18=12505 * E18 // 10, amount_e18=-2 * E18),
)
QUOTE_LINES = struct.pack(">IqQqQ", 2, 125050, 20, 0, 0) + struct.pack(">IqQqQ", 0x80000001, 840000, 50, 840010, 50)
SPOT = {
    "manager": 0,
    "asset": A3,
    "sub_id": 0,
    "amount_e18": 25 * E18,
    "max_fee_usd_e18": 0,
}

# module, data, wallet-scoped, keccak(data), action hash, digest on chain 424242
MODULES = {
    "withdraw": (
        eip712.WITHDRAW_MODULE,
        eip712.encode_withdraw(asset=A3, max_fee_usd_e18=E18, recipient=OWNER, amount_native=250_000_000),
        False,
        "bc546ff1e7283c8d2fc84270089ac7f7c69c6b74b21fae8233658b89dc6b57f2",
        "b2e4754afbfe2732b96620f52072bc2a0c041e3e2cc8918b644abef73445036f",
        "23ae56ed3bc6053c43a63bbafeaa890d0ac195f7c1b6f2d4ad0b906f50ca7be4",
    ),
    "transfer_spot": (
        eip712.TRANSFER_SPOT_MODULE,
        eip712.encode_transfer_spot(to_subaccount_id=8, **SPOT),
        False,
        "99a58bed0b429723bab6faabbffb39db0bec9256b0e450422062bf822e85db2f",
        "004390c67d8c8789e744dc24aea58079fc17dd52388e08403807d0be974577b0",
        "42202c934c574c944af34b0f7d30a98c3ae802b27fc1dcbce1b0088143073730",
    ),
    "transfer_spot_external": (
        eip712.TRANSFER_SPOT_EXTERNAL_MODULE,
        eip712.encode_transfer_spot_external(to_subaccount_id=9, recipient=A4, **SPOT),
        False,
        "41deac45901edb7722cd7b05fd34361caff7a1c4e6957cc01f23486b6e40634d",
        "074906a2295e36f2c291e177726a86fcee47e682cec86d1977f3b7b681c44bd7",
        "f13fbb17291d2ae1131f2b8da8ad4c0ff0ea1f8f4a16fc470527d887b4881511",
    ),
    "rfq_quote": (
        eip712.RFQ_MODULE,
        eip712.encode_rfq_quote(max_fee_e18=10 * E18, legs=LEGS),
        False,
        "edccc05840af1772ff8ce48ef7a076a3714814f6b5ef35debfbabf49fde62db0",
        "b9a91598270f85ba7645d218d7a62805d0a8d2a09dba992f369a7eb54cca19c6",
        "2002613352a52badf3fa8dc58b6731b225538ce8d87d446977c67d836aeba4c8",
    ),
    "rfq_execute": (
        eip712.RFQ_MODULE,
        eip712.encode_rfq_execute(maker_legs=LEGS, max_fee_e18=10 * E18),
        False,
        "37140d417896d7a73a6911c63f2c327d7d13f5c97e5c9058d080ace598b50635",
        "7aaed9feae886a9a1d2f75673537bc253a2f56ac6f9d117ec0ad25782b9cc98e",
        "a95c4c2735f3b141454f03d4f851148645fc770d7ee387078d996f874475fc4e",
    ),
    "set_session_key": (
        eip712.SET_SESSION_KEY_MODULE,
        eip712.encode_set_session_key(key=A5, expiry_s=EXPIRY_S, scopes=[3, 7], subaccount_ids=[7]),
        True,
        "bdd1c1afe121e79caa5f05f3b965d304908c778bf9e6818ed2bfc5dffd08c673",
        "55e03b2b8b6dcf087ec214a222121d1f413ddfe77933888cf1649fdf8722bf7b",
        "d485854c88e3f79fa4256f230fa13b1f414a676b809db2c5ba967512af3e802c",
    ),
    "mass_quote": (
        eip712.MASS_QUOTE_MODULE,
        eip712.encode_mass_quote(
            settlement_contract=A6, packed_lines=QUOTE_LINES, line_count=2, max_fee_e18=10 * E18, subaccount_id=7
        ),
        False,
        "4feb231118cebbc16098b2e25baaee17fbc134c345e2a28438e19dfda2848470",
        "2b88001b2831152fb99a1b2ca7e231d88254eeb6fce5b92f3d964653c9b6b56d",
        "23dd88a799535e84fe1006576389d4203f099c0e39de30167ce9b57b63c0b154",
    ),
    "whitelist": (
        eip712.WHITELIST_MODULE,
        eip712.encode_whitelist(add=[A4]),
        True,
        "6ba312ffecbfaa17dd75fbe847b59a915e732a64f7d6fe5f2d51df4e498ec102",
        "80c1019d67db01d45a95177df2428e2faf8709f51e64cae621ba001e4eaa40cb",
        "a90684ecc0eff56ad6d729fbaf088ae70817fababc40345741b0de1de22d9bdb",
    ),
}
ORDER_DIGESTS = {
    1: (
        "73c6425353d90ac66974304fcc28e01c46eb780201944695d18dfd357cc8c84c",
        (
            "6ff6391b671062b46b5027d1a4597ccab5ce1c021787af19d60e5ab845b85c42"
            "2df421a2e22f6061770d3b76d8a9465bdc71312351da6bdf7a08d7fa62dd5ffa1c"
        ),
    ),
    11155111: (
        "f0e4effe26bb259a76977a8b503f885db28ecda6aa93a51b9e9722ec189f87fc",
        (
            "f18cec69951ad3655ee3dde6cfb3273bc0dc49a03e45a9d629350f8bc8688e27"
            "29695751cac37b67eaee7ebaae6d4795b8317075081c55886ceda364fe802c7c1c"
        ),
    ),
    VECTOR_CHAIN: (
        "d4e1975dd093d7aa93fb7452425eeb11d7372a513daff264bff6156667aceba9",
        (
            "a31f63466fac6756734291503212b0d9caabd2cee185d385151988bb7ec4535c"
            "35cc1c88ba40a93c7efde14fa85ce0a0c81b151eed83717cc2310a98de8ee8821c"
        ),
    ),
}


def action(module: bytes, data: bytes, *, subaccount_id: int = 7) -> eip712.Action:
    """Return an action with the common fields of the published vectors."""
    return eip712.Action(
        subaccount_id=subaccount_id,
        nonce=NONCE,
        module=module,
        data=data,
        expiry_s=EXPIRY_S,
        owner=OWNER,
        signer=address_of(KEY),
    )


def order() -> eip712.Action:
    """Return the order of the published vectors."""
    return action(eip712.TRADE_MODULE, eip712.encode_trade(recipient_subaccount_id=7, **TRADE))


@pytest.mark.parametrize(("strike_e8", "expiry_s"), [(0, 1), (-1, 1), (1 << 63, 1), (1, 0), (1, 1 << 32)], ids=str)
def test_option_id_refuses_what_does_not_fit(strike_e8: int, expiry_s: int) -> None:
    """A strike or expiry outside its bits would alias another option."""
    with pytest.raises(eip712.EncodingError):
        eip712.option_sub_id(is_call=True, strike_e8=strike_e8, expiry_s=expiry_s)


FAST = {
    **TRADE,
    "subaccount_id": 7,
    "nonce": NONCE,
    "expiry_s": EXPIRY_S,
    "owner": OWNER,
    "signer": address_of(KEY),
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("asset", A1[1:]),
        ("owner", A1 + b"\x00"),
        ("signer", b""),
        ("sub_id", -1),
        ("sub_id", 1 << 256),
        ("limit_price_e18", 1 << 255),
        ("amount_e18", -(1 << 255) - 1),
        ("max_fee_e18", -1),
        ("subaccount_id", -1),
        ("nonce", 1 << 256),
        ("expiry_s", -1),
    ],
)
def test_fast_path_names_the_value_that_does_not_fit(field: str, value: object) -> None:
    """The fast path refuses what the general one refuses."""
    with pytest.raises(eip712.EncodingError):
        eip712.trade_digest(eip712.domain_separator(1), **{**FAST, field: value})


def test_fast_path_needs_a_whole_separator() -> None:
    """A truncated separator is refused there too."""
    with pytest.raises(eip712.EncodingError):
        eip712.trade_digest(b"\x01" * 31, **FAST)


def test_separator_must_have_32_bytes() -> None:
    """A truncated separator never yields a digest."""
    with pytest.raises(eip712.EncodingError):
        eip712.digest(b"\x01" * 31, order())


def test_type_hashes() -> None:
    """Both type hashes are the published ones."""
    assert eip712.ACTION_TYPEHASH.hex() == "4d7a9f27c403ff9c0f19bce61d76d82f9aa29f8d6d4b0c5474607d9770d1af17"
    assert eip712.DOMAIN_TYPEHASH.hex() == "8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f"


@pytest.mark.parametrize(
    ("chain_id", "expected"),
    [
        (VECTOR_CHAIN, "4582e7784106671900b8f036e59b6f36689e70153df479827b8c805913741d57"),
        (31337, "8a010a34fc48f792a220b0b63077f0f8ba664f21340882d60fb34b4959397842"),
        (eip712.DERIVE_SEPOLIA_CHAIN_ID, "24d674cd5f2b9d564691c51e9d88f649b99246a2244dd74ce27b96578d773e85"),
        (eip712.DERIVE_MAINNET_CHAIN_ID, "da616dfabb88681b08e1592820a41d55ddc62d68de110e327ae99d734506fe19"),
    ],
)
def test_domain_separators(chain_id: int, expected: str) -> None:
    """The separators of all four domains are the published ones."""
    assert expected == eip712.domain_separator(chain_id).hex()


def test_asset_address_binds_chain_and_contract() -> None:
    """The published vector, and another address for another deployment."""
    own = {"chain_id": VECTOR_CHAIN, "settlement_contract": A6, "currency": "BTC", "kind": "perp"}
    address = eip712.asset_address(**own)
    assert checksum_address(address) == "0xe6878dfA1821f912210e8eC1F83c2D298568E381"
    for other in ({"chain_id": 1}, {"settlement_contract": A5}, {"currency": "ETH"}, {"kind": "option"}):
        assert address != eip712.asset_address(**{**own, **other})


def test_option_id() -> None:
    """The 100,000 call of 2026-12-25; the put differs in the top bit alone."""
    fields = {"strike_e8": 100_000 * 10**8, "expiry_s": 1798185600}
    call = eip712.option_sub_id(is_call=True, **fields)
    assert call == 39614124206805128798570160768
    assert call ^ eip712.option_sub_id(is_call=False, **fields) == 1 << 95


def test_mass_quote_module_is_derived_from_its_name() -> None:
    """Our own module address follows from a readable label."""
    assert checksum_address(eip712.MASS_QUOTE_MODULE) == "0x73AD123C12f9a534f6E6733eb84C9Fb15fA11059"


def test_packed_quote_lines() -> None:
    """The lines of the published mass quote have the published hash."""
    assert keccak256(QUOTE_LINES).hex() == "12be491621af89c779e4cb29254ee309252d87793b650cc7d4119df01dd5debe"


def test_order_hashes() -> None:
    """Data hash and struct hash of the published order."""
    assert keccak256(order().data).hex() == "e5e07ecf856f63eae1ee1242c0deb55c24592e6b4fccde92f9d8a558ea5a6e3c"
    assert eip712.action_hash(order()).hex() == "a2ec7c0a48e7dfa0f8245029118b842911fcddff71d0ff371b2d1b80d170919e"


@pytest.mark.parametrize("chain_id", ORDER_DIGESTS)
def test_order_digest_and_signature(chain_id: int) -> None:
    """Digest and deterministic signature of the published order on each chain."""
    expected_digest, expected_signature = ORDER_DIGESTS[chain_id]
    digest = eip712.digest(eip712.domain_separator(chain_id), order())
    assert expected_digest == digest.hex()
    assert expected_signature == sign_digest(KEY, digest).hex()


@pytest.mark.parametrize("chain_id", ORDER_DIGESTS)
def test_fast_path_gives_the_same_digest(chain_id: int) -> None:
    """The order path without an Action agrees with the general one."""
    digest = eip712.trade_digest(eip712.domain_separator(chain_id), **FAST)
    assert ORDER_DIGESTS[chain_id][0] == digest.hex()


@pytest.mark.parametrize("name", MODULES)
def test_other_modules(name: str) -> None:
    """Data hash, struct hash and digest of every other published action."""
    module, data, wallet_scoped, data_hash, struct_hash, digest = MODULES[name]
    signed = action(module, data, subaccount_id=0 if wallet_scoped else 7)
    assert data_hash == keccak256(data).hex()
    assert struct_hash == eip712.action_hash(signed).hex()
    assert digest == eip712.digest(eip712.domain_separator(VECTOR_CHAIN), signed).hex()
