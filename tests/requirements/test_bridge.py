"""P55: what became of money on its way in or out, without asking anybody."""

import json

from tests.e2e.owner import Owner
from tests.e2e.running import until


def test_p55_a_deposit_and_a_withdrawal_are_followed_by_their_transaction(exchange):
    """`offbook bridge status` goes from the transaction's hash to final and claimed."""
    owner = Owner(exchange, 6)
    request = owner.deposit(25_000_000)
    shown = _status(exchange, "0x" + request.tx_hash.hex())
    assert (shown["kind"], shown["amount"], shown["request"]) == ("deposit", "25", request.index)
    until(lambda: _status(exchange, str(request.index))["state"] == "final", "the deposit is not final", timeout_s=90)
    withdrawal = owner.user.request_withdraw(request.account, 10_000_000)
    number = str(withdrawal.index)
    until(lambda: _status(exchange, number)["state"] == "claimable", "it can not be claimed", timeout_s=90)
    assert _status(exchange, number)["approved"] == "10"
    owner.user.claim([withdrawal.index])
    assert _status(exchange, number)["state"] == "claimed"


def test_p55_a_name_that_is_no_request_is_one_line(exchange):
    """With exit code 1, and what would do instead."""
    for name in ("99999", "0x" + "ab" * 32, "0x12", "mine"):
        done = exchange.command("bridge", "status", name)
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def _status(exchange, name):
    done = exchange.command("bridge", "status", name, "--json")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)
    return row
