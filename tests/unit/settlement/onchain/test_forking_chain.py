"""The chain with branches: what it remembers and what it makes in one step is what py-evm says."""

import pytest
from eth._utils.address import generate_contract_address
from eth.vm.forks.prague import PragueVM

from settlement.onchain.errors import CallReverted
from settlement.onchain.following_header import following_header
from settlement.onchain.forking_chain import ForkingChain
from settlement.onchain.funded_accounts import account_address, account_key
from settlement.onchain.local_chain import LocalChain, LocalSettings
from settlement.onchain.wallet import sign_transaction

KEY = account_key(1, 0)
OWNER = account_address(KEY)
SLOT_CODE = bytes.fromhex("3615600c57600035600055005b60005460005260206000f3")
"""With data: store the first word in slot 0. Without: return slot 0."""
COUNTING_CODE = bytes.fromhex("6000546001018060005560005260206000f3")
"""Return slot 0 plus one, and store it."""
REVERTING_CODE = bytes.fromhex("60006000fd")


@pytest.fixture
def chain():
    """A fresh chain whose clock stands still."""
    return ForkingChain(LocalSettings(history_blocks=0), lambda: 1_800_000_000)


def send(chain, to, data):
    """Mine one transaction; returns the address that it made, if it made one."""
    nonce = chain.nonce(OWNER, chain.head_number)
    raw, _ = sign_transaction(
        KEY, chain_id=31337, nonce=nonce, to=to, data=data, gas=500_000, max_fee_wei=10**10, priority_fee_wei=1
    )
    header = chain.mine((chain.decode(raw),))
    (receipt,) = chain.receipts_of(header)
    assert receipt.state_root == b"\x01"
    return header


def deploy(chain, code):
    """Address of a contract with this code."""
    address = generate_contract_address(OWNER, chain.nonce(OWNER, chain.head_number))
    size = len(code)
    send(chain, None, bytes([0x60, size, 0x60, 0x0C, 0x60, 0, 0x39, 0x60, size, 0x60, 0, 0xF3]) + code)
    return address


def ask(chain, to, data=b"", number=None):
    """Answer of a call, as a number."""
    request = {"from": OWNER, "to": to, "value": 0, "data": data}
    return int.from_bytes(chain.call(request, chain.head_number if number is None else number), "big")


def word(value):
    """32 bytes."""
    return value.to_bytes(32, "big")


def test_a_reverting_call_raises_every_time(chain):
    """A refusal is not remembered as an answer."""
    address = deploy(chain, REVERTING_CODE)
    for _ in range(2):
        with pytest.raises(CallReverted):
            ask(chain, address)


def test_an_answer_follows_the_slot_that_it_read(chain):
    """Another value gives another answer, the old value the old one, at the head and in the past."""
    address = deploy(chain, SLOT_CODE)
    first = chain.head_number
    told = [ask(chain, address)]
    for value in (7, 8, 7, 0):
        send(chain, address, word(value))
        told.append(ask(chain, address))
    assert told == [0, 7, 8, 7, 0]
    assert [ask(chain, address, number=first + step) for step in range(5)] == told


def test_an_answer_holds_on_its_branch_only(chain):
    """After blocks were taken back the slot is what it was."""
    address = deploy(chain, SLOT_CODE)
    send(chain, address, word(7))
    assert ask(chain, address) == 7
    chain.take_back(1)
    assert ask(chain, address) == 0
    send(chain, address, word(9))
    assert ask(chain, address) == 9


def test_a_copy_shares_what_holds_everywhere_and_nothing_else(chain):
    """The same question in another state of another copy has its own answer."""
    address = deploy(chain, SLOT_CODE)
    one, other = chain.copy(lambda: 1_800_000_000), chain.copy(lambda: 1_800_000_000)
    send(one, address, word(7))
    send(other, address, word(8))
    assert (ask(one, address), ask(other, address), ask(chain, address)) == (7, 8, 0)


def test_a_run_that_writes_is_run_again(chain):
    """Its answer is not a function of what it read first."""
    address = deploy(chain, COUNTING_CODE)
    assert [ask(chain, address), ask(chain, address)] == [1, 1]
    send(chain, address, b"")
    assert ask(chain, address) == 2


def test_code_that_appears_changes_an_answer(chain):
    """An address without code answers nothing, also when that was asked before."""
    copy = chain.copy(lambda: 1_800_000_000)
    address = deploy(copy, SLOT_CODE)
    assert chain.call({"from": OWNER, "to": address, "value": 0, "data": b""}, 0) == b""
    assert len(copy.call({"from": OWNER, "to": address, "value": 0, "data": b""}, copy.head_number)) == 32


def test_a_block_without_transactions_is_the_one_that_py_evm_mines(chain, monkeypatch):
    """The first one, which makes the coinbase's account, those after it, and one after a transaction."""

    def blocks():
        copy = chain.copy(lambda: 1_800_000_000)
        headers = [copy.mine(), copy.mine(), copy.mine(), send(copy, OWNER, b""), copy.mine()]
        return [bytes(header.hash) for header in headers], copy.store._rows

    hashes, rows = blocks()
    monkeypatch.setattr(ForkingChain, "_append", LocalChain._append)
    assert blocks() == (hashes, rows)


@pytest.mark.parametrize("sends", [0, 3])
def test_a_following_header_is_the_one_that_py_evm_makes(chain, sends):
    """After genesis, and after blocks that used gas."""
    for _ in range(sends):
        send(chain, OWNER, b"\x01" * 1_000)
    parent = chain.header_by_number(chain.head_number)
    fields = {"timestamp": parent.timestamp + 3, "mix_hash": b"\x07" * 32}
    wanted = PragueVM.create_header_from_parent(parent, **fields, gas_limit=parent.gas_limit)
    assert following_header(parent, **fields).hash == wanted.hash
