"""The settler's decisions: when it cuts, in which order it brings requests in, what it calls settled."""

import asyncio

import pytest

from exchange.bridge.assembler import BatchAssembler
from exchange.bridge.batcher import Batcher, LedgerStore
from exchange.bridge.chain_side import ChainStep
from exchange.bridge.posting_policy import PostingPolicy
from exchange.bridge.settler import MAX_REQUESTS_PER_CUT, MAX_WAITING_BATCHES, Settler
from exchange.bus.interface import Busy
from exchange.domain.commands import BatchCut, ChainRequest
from exchange.domain.packing import pack_events
from exchange.domain.views import SummaryView
from exchange.journal.event_log import Blob
from settlement.onchain.poster import PosterStatus
from settlement.onchain.requests import ChainRequestRecord
from settlement.protocol.ledger import LedgerState
from settlement.protocol.transition import RequestKind
from tests.fakes.recorded_market import traded_market

POLICY = PostingPolicy(interval_ms=4_000, deadline_ms=4_000)
PATIENT = PostingPolicy(interval_ms=4_000, deadline_ms=40_000, look_ms=1_000)


class Events:
    """An event log that gives each blob once."""

    def __init__(self, blobs):
        self.blobs = list(blobs)

    def poll(self):
        if not self.blobs:
            return []
        return [Blob(epoch=1, first_sequence=1, last_sequence=1, timestamp_ns=1, data=self.blobs.pop(0))]


class Worker:
    """The blocking half: stores, and answers what it is told to."""

    def __init__(self):
        self.stored = []
        self.requests = ()
        self.final = self.last = self.waiting = self.last_seq = self.post_up_to = self.head = 0
        self.fee_wei = None
        self.needs_post = False
        self.failure = None

    async def store(self, batches):
        if self.failure is not None:
            raise self.failure
        self.stored += batches

    async def step(self, request_cursor, post_up_to):
        self.post_up_to = post_up_to
        status = PosterStatus(
            state="idle", detail="", waiting_batches=self.waiting, head_seq=self.head, finalized_seq=0, moved=False
        )
        return ChainStep(
            status=status, confirmed=self.requests, rows=(), final_sequence=self.final, last_sequence=self.last,
            last_seq=self.last_seq, fee_wei=self.fee_wei,
            needs_post=self.needs_post,
        )  # fmt: skip


class Port:
    """The exchange: a summary, and the commands it was given."""

    def __init__(self):
        self.fills = self.request_index = 0
        self.open_batch = 1
        self.busy = False
        self.groups = []

    async def query(self, query):
        return SummaryView(
            sequence=1, timestamp_ns=1, state_hash=b"", open_order_count=0, account_count=2, trade_count=0,
            open_batch=self.open_batch, open_batch_fill_count=self.fills,
            request_index=self.request_index, price_round=1,
        )  # fmt: skip

    async def execute(self, *commands):
        if self.busy:
            raise Busy
        self.groups.append(commands)
        return []


class Setting:
    """A settler with a clock to turn."""

    def __init__(self, tmp_path, blobs=(), policy=None):
        self.now_s = 100.0
        self.worker, self.port = Worker(), Port()
        self.path = tmp_path / "settled"
        self.batcher = Batcher(BatchAssembler(), LedgerState(), LedgerStore(tmp_path / "ledger.bin"))
        self.settler = Settler(
            self.batcher, Events(blobs), self.worker,
            clock_s=lambda: self.now_s, policy=policy or POLICY, settled_path=self.path,
        )  # fmt: skip

    def step(self, port=True):
        return asyncio.run(self.settler.step(self.port if port else None))


def _request(index):
    return ChainRequestRecord(
        index=index,
        kind=RequestKind.DEPOSIT,
        account=2,
        amount_e6=5,
        owner=bytes(20),
        block_number=1,
        tx_hash=bytes(32),
    )


@pytest.mark.parametrize(
    ("after_s", "fills", "cuts"), [(3.9, 5, 0), (4.0, 0, 0), (4.0, 5, 1)], ids=["too soon", "nothing open", "due"]
)
def test_batch_is_cut_when_due_and_not_empty(tmp_path, after_s, fills, cuts):
    """The interval and the open batch decide."""
    setting = Setting(tmp_path)
    setting.now_s += after_s
    setting.port.fills = fills
    setting.step()
    assert setting.port.groups == [(BatchCut(),)] * cuts


@pytest.mark.parametrize(
    ("needs_post", "head", "groups"),
    [(False, 4, []), (True, 3, []), (True, 4, [(BatchCut(allows_empty=True),)])],
    ids=["the last post is young", "a batch is on its way", "idle"],
)
def test_an_idle_exchange_posts_an_empty_batch(tmp_path, needs_post, head, groups):
    """Only where the contract needs one and no closed batch will be it; whatever the interval."""
    setting = Setting(tmp_path)
    setting.port.open_batch, setting.worker.head, setting.worker.needs_post = 5, head, needs_post
    setting.step()
    assert setting.port.groups == groups


@pytest.mark.parametrize("is_up", [True, False], ids=["exchange up", "exchange away"])
@pytest.mark.parametrize(("needs_post", "post_up_to"), [(False, 3), (True, 4)])
def test_what_is_stored_goes_when_the_contract_needs_a_post(tmp_path, needs_post, post_up_to, is_up):
    """Whatever the policy waits for: a cheap hour is not worth a freeze."""
    setting = Setting(tmp_path)
    setting.port.open_batch, setting.worker.head, setting.worker.last_seq = 5, 3, 4
    setting.worker.needs_post = needs_post
    for _ in range(2):
        asyncio.run(setting.settler.step(setting.port if is_up else None))
    assert setting.worker.post_up_to == post_up_to


def test_requests_are_a_post_too(tmp_path):
    """What waits makes a batch: no empty one comes before it."""
    setting = Setting(tmp_path)
    setting.worker.needs_post, setting.worker.requests = True, (_request(1),)
    setting.step()
    (group,) = setting.port.groups
    assert group[0] == group[-1] == BatchCut()


def test_a_batch_that_a_round_closed_counts_as_a_cut(tmp_path):
    """Else every oracle round would add a batch, each with its fixed gas, to those of the interval."""
    setting = Setting(tmp_path)
    setting.port.fills = 5
    cuts = []
    for now_s, open_batch in ((103.0, 1), (103.9, 2), (104.5, 2), (107.8, 2), (107.9, 2)):
        setting.now_s, setting.port.open_batch = now_s, open_batch
        setting.step()
        cuts.append(len(setting.port.groups))
    assert cuts == [0, 0, 0, 0, 1]


def test_busy_exchange_is_asked_again(tmp_path):
    """A refused cut does not count as done."""
    setting = Setting(tmp_path)
    setting.now_s += 5
    setting.port.fills, setting.port.busy = 1, True
    setting.step()
    setting.port.busy = False
    setting.step()
    assert setting.port.groups == [(BatchCut(),)]


def test_without_exchange_events_are_still_folded(tmp_path):
    """Batches reach the outbox while the exchange is away."""
    setting = Setting(tmp_path, [pack_events([item]) for item in traded_market().history])
    while setting.settler._events.blobs:
        setting.step(port=False)
    assert [batch.seq for batch in setting.worker.stored] == [1, 2, 3]


def test_failed_store_is_not_saved(tmp_path):
    """The cursor that a restart knows stays before the batch that did not reach the outbox."""
    setting = Setting(tmp_path, [pack_events(traded_market().history)])
    setting.worker.failure = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        setting.step()
    assert setting.batcher.saved_cursor == 0


def test_requests_come_first_in_their_batch(tmp_path):
    """One group: a cut, the requests in order, and the cut that closes their batch."""
    setting = Setting(tmp_path)
    setting.port.request_index = 2
    setting.worker.requests = tuple(_request(index) for index in range(1, 5))
    setting.step()
    (group,) = setting.port.groups
    assert group[0] == group[-1] == BatchCut()
    assert [command.index for command in group if isinstance(command, ChainRequest)] == [3, 4]


def test_requests_are_bounded_per_cut(tmp_path):
    """The contract takes so many per batch."""
    setting = Setting(tmp_path)
    setting.worker.requests = tuple(_request(index) for index in range(1, 200))
    setting.step()
    assert sum(isinstance(command, ChainRequest) for command in setting.port.groups[0]) == MAX_REQUESTS_PER_CUT


@pytest.mark.parametrize(
    ("final", "last", "settled"),
    [(0, 9, "0\n"), (5, 9, "5\n"), (9, 9, "cursor\n")],
    ids=["nothing final", "some final", "all final"],
)
def test_settled_file_follows_finality(tmp_path, final, last, settled):
    """Below the final batch while one waits, at the saved cursor when nothing does."""
    history = traded_market().history
    setting = Setting(tmp_path, [pack_events(history)])
    setting.worker.final, setting.worker.last = final, last
    setting.step(port=False)
    assert setting.batcher.cursor == setting.batcher.saved_cursor
    assert setting.path.read_text() == settled.replace("cursor", str(setting.batcher.cursor))


def test_settled_never_goes_back(tmp_path):
    """A chain that forgets does not make the exchange keep less than it promised."""
    setting = Setting(tmp_path, [pack_events(traded_market().history)])
    setting.worker.final, setting.worker.last = 5, 9
    setting.step(port=False)
    setting.worker.final = 3
    setting.step(port=False)
    assert setting.path.read_text() == "5\n"


@pytest.mark.parametrize(("waiting", "cuts"), [(MAX_WAITING_BATCHES, 0), (MAX_WAITING_BATCHES - 1, 1)])
def test_nothing_is_cut_while_many_batches_wait_for_the_chain(tmp_path, waiting, cuts):
    """A stranger who deposits in every block, or a slow chain, makes batches larger, not their backlog longer."""
    setting = Setting(tmp_path)
    setting.now_s, setting.port.fills = 200.0, 5
    setting.worker.requests, setting.worker.waiting = (_request(1),), waiting
    setting.step()
    assert len(setting.port.groups) == cuts


def steps(setting, *moments):
    """Step at each (time in s, fee in wei), with fills that wait; returns how often a batch was cut until each."""
    setting.port.fills = 5
    cuts = []
    for now_s, fee_wei in moments:
        setting.now_s, setting.worker.fee_wei = 100.0 + now_s, fee_wei
        setting.step()
        cuts.append(len(setting.port.groups))
    return cuts


def test_a_dear_fee_waits_for_a_cheaper_one(tmp_path):
    """Old enough at 4 s; cheap enough at 20 s."""
    setting = Setting(tmp_path, policy=PATIENT)
    setting.settler._fees_wei.extend([900] * 60)
    assert steps(setting, (0, 900), (4, 900), (10, 900), (20, 100), (21, 100)) == [0, 0, 0, 1, 1]


def test_no_fee_is_worth_passing_the_deadline(tmp_path):
    """From the first sight of a fill; the quiet hour before it does not count."""
    setting = Setting(tmp_path, policy=PATIENT)
    assert steps(setting, (3_600, 1), (3_604, 900), (3_635, 900), (3_636, 900)) == [0, 0, 0, 1]


def test_a_batch_that_a_round_closed_waits_for_the_same_fee(tmp_path):
    """It is stored and not released; when the time has come both it and the open batch go."""
    setting = Setting(tmp_path, policy=PATIENT)
    steps(setting, (0, 900), (6, 900))
    setting.port.open_batch, setting.worker.last_seq, setting.worker.waiting = 2, 1, 1
    assert steps(setting, (10, 900)) == [0]
    assert setting.settler.post_up_to == 0
    assert steps(setting, (39, 900), (40, 900)) == [0, 1]
    assert setting.settler.post_up_to == 2
    setting.step()
    assert setting.worker.post_up_to == 2


def test_a_stored_batch_is_posted_without_the_exchange(tmp_path):
    """It lies in the outbox: nothing else is needed once it is old enough."""
    setting = Setting(tmp_path)
    setting.worker.last_seq, setting.worker.waiting = 3, 1
    for now_s, released in ((100.0, 0), (103.9, 0), (104.0, 3)):
        setting.now_s = now_s
        setting.step(port=False)
        assert setting.settler.post_up_to == released


@pytest.mark.parametrize(("fills", "reason", "cuts"), [(0, "nothing", 0), (1, "asked", 1)])
def test_who_asks_gets_a_batch_at_once_or_a_reason(tmp_path, fills, reason, cuts):
    """A batch of any age at any fee, once; without a fill there is none."""
    setting = Setting(tmp_path, policy=PATIENT)
    heard = []
    setting.settler.on_answer = heard.append
    setting.settler.is_asked, setting.port.fills = True, fills
    setting.step()
    setting.step()
    assert [verdict.reason for verdict in heard] == [reason]
    assert len(setting.port.groups) == cuts


def test_who_asks_a_busy_exchange_is_answered_later(tmp_path):
    """Not before the batch is closed."""
    setting = Setting(tmp_path, policy=PATIENT)
    heard = []
    setting.settler.on_answer = heard.append
    setting.settler.is_asked, setting.port.fills, setting.port.busy = True, 1, True
    setting.step()
    assert heard == []
    setting.port.busy = False
    setting.step()
    assert ([verdict.reason for verdict in heard], setting.settler.cut_batch) == (["asked"], 1)


def test_eight_closed_batches_never_wait(tmp_path):
    """Whatever the fee: cutting has stopped by then."""
    setting = Setting(tmp_path, policy=PATIENT)
    setting.worker.last_seq = setting.worker.waiting = MAX_WAITING_BATCHES
    steps(setting, (1, 900))
    assert (setting.settler.post_up_to, setting.port.groups) == (MAX_WAITING_BATCHES, [])
