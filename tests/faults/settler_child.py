"""A settler to be killed: posts the same few batches through a real chain until each is final.

`run([URL, DEPLOYMENT, OUTBOX, SEED, BATCHES, BASE_TIME_S])`; one line per step.
"""

import sys
from pathlib import Path

from settlement.onchain.deploy import load_deployment
from settlement.onchain.funded_accounts import OPERATOR_INDEX, account_key
from settlement.onchain.outbox import BuiltBatch, Outbox
from settlement.onchain.poster import Poster
from settlement.onchain.rpc import RpcChain, RpcSettings
from settlement.protocol.encoding import Header
from settlement.protocol.keccak import keccak256
from settlement.protocol.ledger import LedgerState


def built(seq, base_time_s):
    """Build an empty batch with roots of its own; the contract does not judge roots."""
    header = Header(request_up_to=0, match_from_s=base_time_s, match_to_s=base_time_s, fee_e6=0)
    return BuiltBatch(
        seq=seq,
        first_sequence=seq,
        last_sequence=seq,
        h=header.pack(),
        data=bytes(3),
        previous_root=keccak256(b"root%d" % (seq - 1)) if seq > 1 else LedgerState().root,
        new_root=keccak256(b"root%d" % seq),
        orders_root=keccak256(b"orders%d" % seq),
        collateral_e6=0,
        stats={"fills": 0},
    )


def main(url, deployment_path, outbox_path, seed, batches, base_time_s):
    """Step until the last batch is included."""
    deployment = load_deployment(Path(deployment_path))
    outbox = Outbox(outbox_path)
    chain = RpcChain(url, RpcSettings(timeout_s=5, attempts=1))
    poster = Poster(chain, deployment, outbox, account_key(int(seed), OPERATOR_INDEX))
    for seq in range(1, int(batches) + 1):
        outbox.add(built(seq, int(base_time_s)), 0)
    while True:
        status = poster.step()
        sys.stdout.write(f"{status.state} {status.head_seq} {status.waiting_batches} {status.detail}\n")
        sys.stdout.flush()
        if status.waiting_batches == 0 and status.head_seq == int(batches):
            return


def run(arguments):
    """`main` with its arguments as a list."""
    main(*arguments)
