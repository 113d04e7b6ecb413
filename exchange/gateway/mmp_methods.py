"""Limits of market-maker protection: set, shown, reset. A group counts lots of one kind of instrument of a currency."""

from decimal import Decimal
from typing import Any, Final

from exchange.domain.commands import Command
from exchange.domain.events import CommandRefused
from exchange.domain.limits import MAX_MMP_LIMIT
from exchange.domain.quotes import ResetMmp, SetMmpConfig
from exchange.domain.views import Answer, GetMmpGroups, MmpGroupView, Output
from exchange.gateway.calls import Call
from exchange.gateway.core import Core, Handler
from exchange.gateway.order_checks import DEFAULT_MMP_GROUP, choice
from exchange.wire.decimals import fee_cap_e18, format_e9
from exchange.wire.errors import WireError
from exchange.wire.params import MmpParams, SetMmpParams
from exchange.wire.quote_params import MassQuoteParams

__all__ = ["MmpMethods", "group_of"]

_E9: Final = 10**9
_MILLISECOND_NS: Final = 1_000_000


class MmpMethods:
    """Handlers by path."""

    def __init__(self, core: Core) -> None:
        """Work on `core`."""
        self._core = core

    def handlers(self) -> dict[str, Handler]:
        """Return the table."""
        return {
            "private/set_mmp_config": self._set,
            "private/get_mmp_config": self._get,
            "private/reset_mmp": self._reset,
        }

    def _set(self, call: Call) -> None:
        params: SetMmpParams = call.params
        account = self._core.account(call, params.subaccount_id)
        underlying = self._core.underlying(params.currency)
        kind = choice(params.instrument_type or "perp", "instrument_type", ("perp", "option"))
        listed = self._core.market.of_kind(kind, underlying)
        if not listed:
            raise WireError(12001, {"currency": underlying, "instrument_type": kind})
        lot_e9 = listed[0].lot_e9
        command = SetMmpConfig(
            subaccount=account,
            mmp_group=group_of(params),
            underlying=underlying,
            lot_e9=lot_e9,
            interval_ns=_whole(params.mmp_interval, "mmp_interval") * _MILLISECOND_NS,
            frozen_ns=_whole(params.mmp_frozen_time, "mmp_frozen_time") * _MILLISECOND_NS,
            quantity_lots=_e9(params.mmp_amount_limit, "mmp_amount_limit") // lot_e9,  # a limit is a promise
            delta_e9=_e9(params.mmp_delta_limit, "mmp_delta_limit"),
            vega_e9=_e9(params.mmp_vega_limit, "mmp_vega_limit"),
            count=_whole(params.mmp_count_limit, "mmp_count_limit"),
        )
        self._submit(call, command, _echo(params.subaccount_id, command, is_frozen=None, thaw_ns=0))

    def _reset(self, call: Call) -> None:
        params: MmpParams = call.params
        account = self._core.account(call, params.subaccount_id)
        self._submit(call, ResetMmp(subaccount=account, mmp_group=group_of(params)), "ok")

    def _submit(self, call: Call, command: Command, result: object) -> None:
        def done(output: Output) -> None:
            for event in output.events:
                if isinstance(event, CommandRefused):
                    raise WireError(event.code)
            call.result(result, output.sequence)

        self._core.submit(call, command, done)

    def _get(self, call: Call) -> None:
        params: MmpParams = call.params
        account = self._core.account(call, params.subaccount_id)
        underlying = self._core.underlying(params.currency)

        def done(answer: Answer) -> None:
            groups = answer if isinstance(answer, tuple) else ()
            call.result(
                [
                    _echo(params.subaccount_id, group, is_frozen=group.is_frozen, thaw_ns=group.thaw_ns)
                    for group in groups
                    if isinstance(group, MmpGroupView) and underlying in ("", group.underlying)
                ]
            )

        self._core.ask(call, GetMmpGroups(subaccount=account), done)


def group_of(params: MmpParams | MassQuoteParams) -> int:
    """Number of the group that is meant; WireError -32602."""
    group = DEFAULT_MMP_GROUP if params.mmp_group is None else params.mmp_group
    if not 0 < group < 1 << 32:
        raise WireError.bad_param("mmp_group", "must be 1 to 4294967295")
    return group


def _whole(value: int | None, field: str) -> int:
    if value is not None and not 0 <= value <= MAX_MMP_LIMIT // _MILLISECOND_NS:
        raise WireError.bad_param(field, "must not be negative")
    return value or 0


def _e9(value: Decimal | None, field: str) -> int:
    """In 1e-9, rounded down: a limit is never above what was asked for."""
    return 0 if value is None else fee_cap_e18(value, field) // _E9


def _echo(
    subaccount_id: int | None, group: SetMmpConfig | MmpGroupView, *, is_frozen: bool | None, thaw_ns: int
) -> dict[str, Any]:
    """A group on the wire; whether it is frozen only where that was asked."""
    row: dict[str, Any] = {
        "subaccount_id": subaccount_id,
        "currency": group.underlying,
        "mmp_group": group.mmp_group,
        "mmp_interval": group.interval_ns // _MILLISECOND_NS,
        "mmp_frozen_time": group.frozen_ns // _MILLISECOND_NS,
        "mmp_amount_limit": format_e9(group.quantity_lots * group.lot_e9),
        "mmp_delta_limit": format_e9(group.delta_e9),
        "mmp_vega_limit": format_e9(group.vega_e9),
        "mmp_count_limit": group.count,
    }
    if is_frozen is not None:
        row |= {"is_frozen": is_frozen, "mmp_unfreeze_time": thaw_ns // _MILLISECOND_NS}
    return row
