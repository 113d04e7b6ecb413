"""The simulated world: machine, exchange, settler, chain, clients, and a nemesis that takes the power away."""

from collections.abc import Callable

from settlement.protocol.transition import RequestKind
from tests.simulation.auditor import Auditor
from tests.simulation.sim_chain import SimChain
from tests.simulation.sim_disk import Keep, SimCrashError, SimDisk
from tests.simulation.sim_exchange import SimExchange
from tests.simulation.sim_loop import SimLoop
from tests.simulation.sim_settler import SettlerKilledError, SimPath, SimSettler
from tests.simulation.workload import E9, START_S, Client, PriceFeed, key_of, owner_of

__all__ = ["World"]

ACCOUNTS = 8
MS = 1_000_000
DRAIN_STEPS = 20_000


class World:
    """`run(steps)` lives through so many steps, then lets everything come to rest and closes the books."""

    def __init__(self, seed: int) -> None:
        self.loop = SimLoop(seed, START_S * E9)
        self.random = self.loop.random("nemesis")
        self.disk = SimDisk(seed)
        self.chain = SimChain(start_s=START_S)
        self.auditor = Auditor(self.loop)
        self.settled = SimPath()
        self.exchange = SimExchange(self.loop, self.disk, self.auditor, self.settled)
        self.settler = SimSettler(self.loop, self.disk, self.chain, self.auditor, self.exchange, self.settled)
        self.feed = PriceFeed(self.loop.random("feed"), self.exchange.invoke)
        self.clients = [self._client(account) for account in range(2, 2 + ACCOUNTS)]
        self.crashes = 0
        self.settler_kills = 0
        self.is_calm = False
        self.exchange.on_started = self._on_started

    def run(self, steps: int) -> None:
        """Live, then rest. Raises InvariantBroken or whatever production raised."""
        self._begin()
        while self.loop.steps < steps:
            self._step()
        self.is_calm = True
        self.disk.crash_at = None
        self.chain.on_send = lambda: None
        self._rest()
        state = self.exchange.recovered
        if state is None:
            raise RuntimeError("the exchange never came back")
        self.auditor.finish(self.disk, state.state, self.chain)

    def _client(self, account: int) -> Client:
        return Client(
            account,
            self.loop.random(f"client {account}"),
            self.exchange.invoke,
            lambda: self.loop.now_ns,
            lambda: self.feed.index,
        )

    def _begin(self) -> None:
        for account in range(2, 2 + ACCOUNTS):
            amount_e6 = 2_000_000_000 if account == 2 else 200_000_000_000
            self.chain.request(RequestKind.DEPOSIT, account, owner_of(account), amount_e6=amount_e6)
            self._register_key(account)
        self.chain.mine(1)
        self._start_exchange()
        self._start_settler()
        self._every("feed", lambda: self.random.randrange(20, 120) * MS, self.feed.act)
        self._every("block", lambda: 100 * MS, self._mine)
        self._every("queue", lambda: self.random.randrange(500, 3_000) * MS, self._queue)
        self._every("nemesis", lambda: self.random.randrange(60, 700) * MS, self._strike)
        for client in self.clients:
            self._every("client", lambda: self.random.choice((1, 3, 8, 20)) * MS, client.act)
        self._every("crowd", lambda: self.random.randrange(100, 400) * MS, self._crowd)

    def _every(self, name: str, delay_ns: Callable[[], int], act: Callable[[], object]) -> None:
        def run() -> None:
            if self.is_calm and name != "block":
                return
            act()
            self.loop.schedule(delay_ns(), name, run)

        self.loop.schedule(delay_ns(), name, run)

    def _step(self) -> None:
        try:
            self.loop.step()
        except SimCrashError:
            self._lose_power()
        except SettlerKilledError:
            self._kill_settler()
        recovered = self.exchange.recovered
        self.auditor.after_step(None if recovered is None else recovered.state)

    # What the world does

    def _crowd(self) -> None:
        """Everybody at once, so that a small inbox overflows."""
        for client in self.clients:
            for _ in range(self.random.randrange(4)):
                client.act()

    def _register_key(self, account: int) -> None:
        owner, valid_to_s = owner_of(account), START_S + 86_400
        self.chain.request(RequestKind.SET_KEY, account, owner, key=key_of(account), valid_to_s=valid_to_s, scopes=1)

    def _mine(self) -> None:
        pick = self.random
        self.chain.mine(pick.choice((0,) * 9 + (1,)))
        if self.is_calm:
            self.chain.down_calls = self.chain.lost_replies = self.chain.hidden_receipts = 0
            return
        roll = pick.random()
        if roll < 0.015:
            self.chain.lost_replies = 1
        elif roll < 0.03:
            self.chain.down_calls = pick.randrange(1, 30)
        elif roll < 0.04:
            self.chain.hidden_receipts = 1
        elif roll < 0.06:
            self.chain.reorg(pick.randrange(1, 3), keep=pick.random() < 0.5)
        elif roll < 0.07:
            self.chain.drop_mempool()

    def _queue(self) -> None:
        pick = self.random
        account = pick.randrange(2, 2 + ACCOUNTS)
        kind = pick.choice((RequestKind.DEPOSIT, RequestKind.DEPOSIT, RequestKind.WITHDRAW, RequestKind.CANCEL_ALL))
        amount_e6 = pick.choice((1_000_000, 77, 5_000_000_000)) if kind is not RequestKind.CANCEL_ALL else 0
        if kind is RequestKind.WITHDRAW and pick.random() < 0.2:
            amount_e6 = 10**15
        self.chain.request(kind, account, owner_of(account), amount_e6=amount_e6)

    def _strike(self) -> None:
        """Take the power now or at a coming disk operation, kill a process, or turn the clock."""
        roll = self.random.random()
        if roll < 0.25:
            self._lose_power()
        elif roll < 0.60:
            self.disk.crash_at = self.disk.operation_count + self.random.randrange(0, 25)
        elif roll < 0.75:
            self._kill_exchange()
        elif roll < 0.85:
            self._kill_settler()
        elif roll < 0.93:
            self.chain.on_send = self._kill_in_send
        else:
            self.exchange.clock_offset_ns = self.random.choice((-2_000, -300, 0, 300, 2_000)) * MS

    def _kill_in_send(self) -> None:
        """Before the node has the transaction; a lost reply is the kill after it."""
        self.chain.on_send = lambda: None
        raise SettlerKilledError

    # Ends and beginnings

    def _lose_power(self) -> None:
        self.crashes += 1
        self.exchange.stop()
        self.settler.stop()
        self._drop_unsynced()
        if self.random.random() < 0.3:
            self.settled.text = ""  # never synced: the name may survive without the content
        self.loop.schedule(self.random.randrange(1, 200) * MS, "power on", self._power_on, life="machine")

    def _drop_unsynced(self) -> None:
        roll = self.random.random()
        last = self.disk.last_write_bytes()
        if roll < 0.2 and last:
            self.disk.crash(cut_bytes=self.random.randrange(last + 1))
        else:
            keep = Keep.RANDOM if roll < 0.7 else Keep.NOTHING if roll < 0.9 else Keep.EVERYTHING
            self.disk.crash(keep)

    def _power_on(self) -> None:
        if not self.is_calm and self.random.random() < 0.2:
            self.disk.crash_at = self.disk.operation_count + self.random.randrange(0, 12)
        self._start_exchange()
        self._start_settler()

    def _kill_exchange(self) -> None:
        if self.exchange.is_up:
            self.crashes += 1
            self.exchange.stop()
            self.settler.on_exchange_gone()
            self.loop.schedule(self.random.randrange(1, 50) * MS, "start", self._start_exchange, life="exchange")

    def _start_exchange(self) -> None:
        if not self.exchange.is_up:
            self.exchange.start()

    def _kill_settler(self) -> None:
        self.settler_kills += 1
        self.settler.stop()
        self.loop.schedule(self.random.randrange(1, 300) * MS, "start settler", self._start_settler, life="settler")

    def _start_settler(self) -> None:
        if not self.settler.is_up:
            self.settler.start()

    def _on_started(self) -> None:
        for client in self.clients:
            client.on_restart()

    # The end

    def _rest(self) -> None:
        """Nothing new; cut the last batch and wait until all of it stands on the chain."""
        wanted = self.loop.steps + DRAIN_STEPS
        was_cut = False
        while self.loop.steps < wanted:
            self._step()
            if self.exchange.is_up and self.auditor.is_quiet:
                if not was_cut:
                    was_cut = self.exchange.cut()
                elif self._is_settled():
                    return

    def _is_settled(self) -> bool:
        return self.auditor.all_built and len(self.chain.posted()) == len(self.auditor.model.batches)
