"""When an idle venue must post: to the contract an operator who posts nothing is one who is gone.

The contract (`Freezes.sol`) lets anyone give notice of a freeze once the last post is `escapeDelay` old, and freeze
`freezeGap` later unless something was posted in between. Any batch counts, an empty one too.
"""

from collections.abc import Callable
from typing import Final

from settlement.onchain.chain import Chain
from settlement.onchain.contract import SettlementReader
from settlement.onchain.deployment import Deployment
from settlement.onchain.errors import RpcRefused, RpcUnavailable

__all__ = ["QUIET_PARTS", "KeepAlive"]

QUIET_PARTS: Final = 4
"""A post is due when the last one is `escapeDelay` / 4 old: 18 h of 72 h. A guardian's pause of 48 h that begins just
then ends before anyone may give notice, and 18 h are below the day without a post that loosens the lag rule."""


class KeepAlive:
    """The age of the contract's last post. `clock` gives seconds since 1970."""

    def __init__(self, chain: Chain, deployment: Deployment, clock: Callable[[], float]) -> None:
        """The chain is not asked yet."""
        self._chain = chain
        self._reader = SettlementReader(chain, deployment.settlement)
        self._clock = clock
        self._quiet_s = 0
        self._last_post_s = 0

    def is_due(self) -> bool:
        """Whether the last post is older than a quarter of `escapeDelay`; False while the chain does not answer.

        The time is the later one of ours and the chain's, as the block of a freeze may have either. The last post never
        goes back (a revert sets it to its own time), so it is read again only when the one known has become old.
        """
        try:
            return self._is_old(self._now_s()) and self._is_old_on_chain()
        except (RpcUnavailable, RpcRefused):
            return False

    def _is_old(self, now_s: float) -> bool:
        return now_s >= self._last_post_s + self._quiet_s

    def _is_old_on_chain(self) -> bool:
        self._quiet_s = int(self._reader.view("escapeDelay()", ["uint40"])) // QUIET_PARTS
        self._last_post_s = int(self._reader.view("lastPost()", ["uint40"]))
        return self._is_old(self._now_s())

    def _now_s(self) -> float:
        head = self._chain.block("latest")
        if head is None:
            raise RpcUnavailable("the node has no latest block")
        return max(self._clock(), head.timestamp_s)
