"""One number space, each number once."""

from exchange.domain.result_codes import CloseReason, OrderStatus, ResultCode


def test_success_is_zero_and_internal_codes_are_apart() -> None:
    """Codes of commands that no client sends start at 30000."""
    assert ResultCode.OK == 0
    assert not ResultCode.OK
    internal = [code for code in ResultCode if code >= 30_000]
    assert ResultCode.REQUEST_OUT_OF_ORDER in internal
    assert len({code.value for code in ResultCode}) == len(ResultCode.__members__)


def test_terminal_states_are_everything_but_open() -> None:
    """Five states, one open; a reason is 0 while open."""
    assert [status for status in OrderStatus if status is not OrderStatus.OPEN] == list(OrderStatus)[1:]
    assert CloseReason.NONE == 0
