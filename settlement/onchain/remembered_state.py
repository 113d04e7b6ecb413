"""What was read of a state, kept: accounts and slots by state root, and views by what they read.

A view is a function of the slots and the code that it reads, where it asks neither for the time nor for ether. Its run
is recorded once; in any state that holds the same values in the same places its answer is the same.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from eth.db.account import AccountDB

__all__ = ["CODE", "Place", "ReadRecord", "RememberedViews", "StateReader"]

CODE: Final = -1
"""In the place of a slot: the hash of the account's code."""
_MOST_ANSWERS: Final = 256
_MOST_QUESTIONS: Final = 4_096


class Place(NamedTuple):
    """A storage slot of an account, or `CODE`."""

    address: bytes
    slot: int


class StateReader:
    """Accounts and slots of one state; nothing can be written."""

    def __init__(self, database: Any, state_root: bytes) -> None:
        """`database` is py-evm's and has the state's nodes."""
        self._accounts = AccountDB(database, state_root)  # type: ignore[arg-type]
        self._values: dict[Place, int | bytes] = {}

    def nonce(self, address: bytes) -> int:
        """Next nonce of an account."""
        return int(self._accounts.get_nonce(address))  # type: ignore[arg-type]

    def balance_wei(self, address: bytes) -> int:
        """Ether of an account."""
        return int(self._accounts.get_balance(address))  # type: ignore[arg-type]

    def has_account(self, address: bytes) -> bool:
        """Whether there is an account, empty or not."""
        return bool(self._accounts.account_exists(address))  # type: ignore[arg-type]

    def value(self, place: Place) -> int | bytes:
        """What stands there; 0 in an empty slot."""
        if place not in self._values:
            self._values[place] = _read(self._accounts, place)
        return self._values[place]


def _read(accounts: Any, place: Place) -> int | bytes:
    if place.slot == CODE:
        return bytes(accounts.get_code_hash(place.address))
    return int(accounts.get_storage(place.address, place.slot))


class ReadRecord:
    """What one run reads of the state that it is given; `is_pure` until it writes a slot."""

    def __init__(self, state: Any) -> None:
        """Watch `state`, which is for this one run."""
        self.found: dict[Place, int | bytes] = {}
        self.is_pure = True
        accounts = state._account_db  # noqa: SLF001 - py-evm has no other place to watch reads
        self._get_storage, self._set_storage = accounts.get_storage, accounts.set_storage
        self._get_code_hash = accounts.get_code_hash
        accounts.get_storage, accounts.set_storage = self._on_get, self._on_set
        accounts.get_code_hash = self._on_code

    def _on_get(self, address: bytes, slot: int, from_journal: bool = True) -> int:
        value: int = self._get_storage(address, slot, from_journal)
        self.found[Place(address, slot)] = value
        return value

    def _on_code(self, address: bytes) -> bytes:
        code_hash: bytes = self._get_code_hash(address)
        self.found[Place(address, CODE)] = code_hash
        return code_hash

    def _on_set(self, address: bytes, slot: int, value: int) -> None:
        self.is_pure = False
        self._set_storage(address, slot, value)


class RememberedViews:
    """Answers by question and by what the run read. Bounded: what is full is forgotten."""

    def __init__(self) -> None:
        self._known: dict[object, dict[tuple[Place, ...], dict[tuple[int | bytes, ...], bytes]]] = {}

    def find(self, question: object, value: Callable[[Place], int | bytes]) -> bytes | None:
        """The answer in the state that `value` reads; None when it was never given in one like it."""
        for places, answers in self._known.get(question, {}).items():
            answer = answers.get(tuple(map(value, places)))
            if answer is not None:
                return answer
        return None

    def keep(self, question: object, record: ReadRecord, answer: bytes) -> None:
        """Remember the answer of a recorded run, unless the run wrote."""
        if not record.is_pure:
            return
        if len(self._known) >= _MOST_QUESTIONS:
            self._known.clear()
        answers = self._known.setdefault(question, {}).setdefault(tuple(record.found), {})
        if len(answers) >= _MOST_ANSWERS:
            answers.clear()
        answers[tuple(record.found.values())] = answer
