"""Blocks for a stream of engine commands: most can trade, some are broken in one place."""

from random import Random
from typing import Any

from exchange.domain.blocks import BlockLeg, BlockSide, ExecuteBlock
from tests.differential.engine_commands import FastStream
from tests.differential.engine_rarities import SHORT_OPTIONS, key, owner_of
from tests.unit.exchange.engine.world import CALL, PERP, PUT, SECOND_NS

__all__ = ["BlockCommands"]

MARKS = {CALL: 1_500, PUT: 800, **dict.fromkeys(SHORT_OPTIONS, 800)}


class BlockCommands:
    """`draw` gives a block for the moment of `stream`; everything is a function of the seed and of the calls."""

    def __init__(self, seed: int, stream: FastStream, *, far: float = 0.0) -> None:
        """Draws of its own; a share `far` of the legs is priced at a half to twice the mark."""
        self.pick = Random(seed)
        self.stream = stream
        self.far = far
        self.recent: ExecuteBlock | None = None

    def draw(self) -> ExecuteBlock:
        """One to five legs between two accounts; now and then a half that was sent before."""
        pick = self.pick
        names = pick.sample((PERP, CALL, PUT, *SHORT_OPTIONS), pick.choice((1, 1, 2, 2, 3, 5)))
        maker, taker = self._half(), self._half()
        if self.recent is not None and pick.random() < 0.05:
            maker = self.recent.maker
        legs = tuple(map(self._leg, names))
        if pick.random() < 0.02:
            legs = pick.choice(((), (*legs, legs[0]), (*legs, BlockLeg(98, 5, 1)), (BlockLeg(PERP, 0, 1),)))
        self.recent = ExecuteBlock(legs=legs, maker=maker, taker=taker, rfq=pick.randrange(9), quote=pick.randrange(9))
        return self.recent

    def _leg(self, number: int) -> BlockLeg:
        pick = self.pick
        mark = self.stream.index * 10 if number == PERP else MARKS[number]
        price = mark + pick.randrange(-20, 21) * max(1, mark // 2_000)
        if self.far and pick.random() < self.far:
            price = max(1, mark * pick.randrange(50, 200) // 100)
        return BlockLeg(number, price, pick.choice((-40, -10, -1, 1, 10, 40, 400)))

    def _half(self) -> BlockSide:
        pick, now_ns = self.pick, self.stream.now_ns
        account = pick.randrange(2, 3 + self.stream.accounts)
        values: dict[str, Any] = {
            "subaccount": account,
            "nonce": now_ns + pick.randrange(1 << 20),
            "expiry_s": now_ns // SECOND_NS + pick.choice((60, 600)),
            "signer": key(account) if account % 2 and pick.random() < 0.3 else owner_of(account),
            "max_fee": pick.choice((10**18, 10**22, 2**127, 2**127)).to_bytes(16, "little"),
            "digest": bytes([account]) * 32,
            "signature": bytes([account]) * 65,
        }
        if pick.random() < 0.03:
            values |= pick.choice(({"nonce": 5}, {"expiry_s": 1}, {"signer": bytes(20)}, {"max_fee": bytes(16)}))
        return BlockSide(**values)
