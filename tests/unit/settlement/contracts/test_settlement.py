"""The contract on a chain in the process: the life of a deposit, and the gas of a netted batch."""

import random
from collections import defaultdict
from typing import Any

import pytest
from eth_abi import encode
from web3 import Web3

from settlement.protocol.batch import batch_hash
from settlement.protocol.encoding import encode_batch
from settlement.protocol.netting import NetDeltas
from tests.unit.settlement.contracts.packed_batch import pack_batch

BAD_SEQ = bytes.fromhex("d21fff71")
NOT_CLAIMABLE = Web3.keccak(text="NotClaimable(uint64)")[:4]
NOTHING_TO_CLAIM = Web3.keccak(text="NothingToClaim(uint64)")[:4]
NOBODY = "0x" + "00" * 20
VERIFYING_CONTRACT = "0xeB8d770ec18DB98Db922E9D83260A585b9F0DeAD"
ACCOUNTS, INSTRUMENTS = 100, 10


def _empty_root() -> bytes:
    node = bytes(32)
    for _ in range(20):
        node = bytes(Web3.keccak(node + node))
    return node


def test_new_contract_starts_at_the_empty_tree(vault: Any) -> None:
    """Before the first batch the root is that of 2^20 empty leaves and nothing is owed."""
    chain = vault.settlement.functions
    assert chain.root().call() == _empty_root()
    assert (chain.head().call(), chain.finalized().call(), chain.collateral().call()) == (0, 0, 0)


def test_domain_is_the_protocols_on_this_chain(vault: Any) -> None:
    """The separator names the constant contract and the chain id that the EVM reports."""
    fields = (
        Web3.keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
        Web3.keccak(text="Matching"),
        Web3.keccak(text="1.0"),
        vault.web3.eth.chain_id,
        VERIFYING_CONTRACT,
    )
    expected = Web3.keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], fields))
    assert vault.settlement.functions.domainSeparator().call() == expected


def test_wrong_sequence_reverts_with_the_known_selector(vault: Any) -> None:
    """A batch that is not head + 1 gives BadSeq, which a poster recognizes by its selector."""
    call = vault.settlement.functions.post(7, bytes(32), bytes(32), 0, b"\x00\x00\x00")
    assert vault.refusal(call) == BAD_SEQ


def test_deposit_trade_withdraw_claim(vault: Any) -> None:
    """Two owners deposit, trade in a batch, one withdraws: the money leaves only when the batch is final."""
    chain = vault.settlement.functions
    alice, bob = vault.web3.eth.accounts[1:3]
    vault.fund(alice, 1_000_000_000)
    vault.fund(bob, 2_000_000_000)
    assert [chain.accountOwner(index).call() for index in (2, 3)] == [alice, bob]

    vault.post(pack_batch({2: -501_000_000, 3: 500_000_000}, {1: {2: 5, 3: -5}}), b"\x01" * 32, fee_e6=1_000_000)
    assert chain.collateral().call() == 3_000_000_000
    vault.send(chain.requestWithdraw(3, 700_000_000), bob)
    vault.post(pack_batch({3: 0}, {}, [600_000_000]), b"\x02" * 32)
    assert chain.collateral().call() == 2_400_000_000

    claim = chain.claim([3], NOBODY, b"")
    assert vault.refusal(claim) == NOT_CLAIMABLE
    vault.finalize(1)
    vault.finalize(2)
    vault.send(claim)
    assert vault.token.functions.balanceOf(bob).call() == 600_000_000
    assert vault.refusal(claim) == NOTHING_TO_CLAIM


def _netted_fills(seed: int, fills: int) -> tuple[dict[int, int], dict[int, dict[int, int]]]:
    """Net seeded fills between skewed pairs of accounts, with an 11-digit spread of cash and a fee per side."""
    draw = random.Random(seed)
    cash_e6: dict[int, int] = defaultdict(int)
    lots_by_cell: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for _ in range(fills):
        buyer, seller = 0, 0
        while buyer == seller:
            buyer, seller = (2 + int(ACCOUNTS * draw.random() ** 1.5) for _ in range(2))
        instrument, lots = draw.randrange(1, INSTRUMENTS + 1), draw.randrange(1, 50)
        notional_e6 = lots * draw.randrange(800_000, 850_000)
        lots_by_cell[instrument][buyer] += lots
        lots_by_cell[instrument][seller] -= lots
        cash_e6[buyer] -= notional_e6 + notional_e6 // 2000
        cash_e6[seller] += notional_e6 - notional_e6 // 2000
    cells = {key: {account: lots for account, lots in row.items() if lots} for key, row in lots_by_cell.items()}
    return dict(cash_e6), cells


@pytest.mark.parametrize(
    ("fills", "most_gas", "least_cells"),
    [(100, 230_000, 100), (1_000, 230_000, 600), (10_000, 230_000, 980), (100_000, 250_000, 980)],
)
def test_gas_of_a_hundred_accounts_on_ten_instruments(vault: Any, fills: int, most_gas: int, least_cells: int) -> None:
    """The second such batch of a warm contract stays under the mark of its size, calldata floor included."""
    gas = 0
    for seed in (1, 2):
        cash_e6, cells = _netted_fills(seed, fills)
        active = sum(len(row) for row in cells.values())
        assert active >= least_cells
        data = pack_batch(cash_e6, cells)
        gas = vault.post(data, Web3.keccak(data), fee_e6=-sum(cash_e6.values()))["gasUsed"]
    print(f"post of {fills:,} fills: {gas:,} gas, {gas / fills:.2f} per fill, {active} cells, {len(data)} bytes")  # noqa: T201
    assert gas <= most_gas


def test_production_encoder_gives_the_plain_encoders_bytes(vault: Any) -> None:
    """The codec of settlement.protocol writes what the plain encoder writes, and its chain value is the contract's."""
    cash_e6, cells = _netted_fills(3, 10_000)
    fee_e6 = -sum(cash_e6.values())
    wide = {99: {2: 1 << 30, 3: -(1 << 30), 4: 5, 5: -5}}
    positions = {(account, key): lots for key, row in (cells | wide).items() for account, lots in row.items()}
    data = encode_batch(NetDeltas(cash_e6, positions), [])
    assert data == pack_batch(cash_e6, cells | wide)
    vault.post(data, Web3.keccak(data), fee_e6=fee_e6)
    seq = vault.settlement.functions.head().call()
    names = ("previous_batch_hash", "previous_root", "new_root", "orders_root", "data_hash")
    numbers = ("h", "block_time_s", "block_number", "collateral_e6")
    header = dict(zip((*names, *numbers), vault.headers[seq], strict=True))
    assert batch_hash(**header) == vault.settlement.functions.batchHash(seq).call()
