"""A feed: signs the rounds that its judge lets pass, for one deployment, and says once what it does not sign."""

import logging
from collections.abc import Callable
from typing import Final

from exchange.feeds.round_judge import RefusalReason, RoundJudge, RoundRefused
from settlement.protocol.abi import EncodingError
from settlement.protocol.oracle_rounds import round_digest
from settlement.protocol.signature import address_of, sign_digest

__all__ = ["RoundSigner"]

_logger = logging.getLogger(__name__)
_LOG_LETTERS: Final = 300


class RoundSigner:
    """`signed` and `refused` count answers; `last_refusal` is one line."""

    def __init__(
        self, judge: RoundJudge, key: bytes, *, chain_id: int, contract: bytes, clock_s: Callable[[], float]
    ) -> None:
        """`key` is a private key whose address the contract knows as a feed; `clock_s` gives Unix seconds."""
        self._judge = judge
        self._key = key
        self._chain_id = chain_id
        self._contract = contract
        self._clock_s = clock_s
        self.address = address_of(key)
        self.signed = 0
        self.refused = 0
        self.last_refusal = ""

    def sign(self, round_number: int, time_s: int, vector: bytes) -> bytes:
        """Return 65 bytes that `postOracle` takes. Raises RoundRefused."""
        try:
            digest = round_digest(
                chain_id=self._chain_id,
                contract=self._contract,
                round_number=round_number,
                time_s=time_s,
                vector=vector,
            )
            self._judge.check(round_number, time_s, vector, now_s=int(self._clock_s()))
        except EncodingError as error:
            raise self._note(round_number, RoundRefused(RefusalReason.BAD_VECTOR, str(error))) from error
        except RoundRefused as refused:
            raise self._note(round_number, refused) from None
        self.signed += 1
        return sign_digest(self._key, digest)

    def _note(self, round_number: int, refused: RoundRefused) -> RoundRefused:
        self.refused += 1
        line = f"round {round_number} is not signed: {refused}"[:_LOG_LETTERS]
        if line != self.last_refusal:
            _logger.warning("%s", line)
        self.last_refusal = line
        return refused
