"""Contracts on the chain in use: deploys once, later checks that chain and deployment.json belong together."""

import time
from typing import Final

from exchange.app.config import Settings
from exchange.app.failures import Failure
from exchange.app.keys import deployer_key, feed_key, operator_key, payer_key, watcher_key
from exchange.app.layout import DataDirectory
from exchange.app.venue import venue_of
from exchange.domain.underlyings import underlying_number
from exchange.feeds.catalogue import demo_catalogue
from exchange.risk.parameters import StandardParameters
from exchange.wire.venue import VenueInfo
from settlement.onchain.answers import AssetRow
from settlement.onchain.chain import Chain
from settlement.onchain.deploy import (
    DeploymentSettings,
    check_deployment,
    deploy_demo,
    fund_bonds,
    fund_demo_dollars,
    load_deployment,
    save_deployment,
    set_assets,
)
from settlement.onchain.deployment import RESET_HINT, Deployment
from settlement.onchain.errors import ChainError
from settlement.onchain.funded_accounts import account_address
from settlement.onchain.rpc import RpcChain
from settlement.protocol.linear_bounds import LARGE_CAP, MAJOR

__all__ = ["check_feeds", "run"]

_WATCHER_BONDS: Final = 50


def run(settings: Settings, _name: str) -> None:
    """Leave a deployment.json that fits the chain. Raises Failure when they do not belong together."""
    path = DataDirectory(settings.data.resolve()).deployment
    chain = RpcChain(settings.chain_url)
    try:
        deployment = load_deployment(path)
        if deployment is not None:
            check_deployment(chain, deployment)
            check_feeds(settings, deployment)
        else:
            wanted = DeploymentSettings(
                subaccount_base=settings.subaccount_base,
                finality_window_s=settings.finality_window_s,
                feed_signers=_feed_signers(settings),
                feed_threshold=settings.feeds_needed,
            )
            operator = account_address(operator_key(settings))
            deployment = deploy_demo(chain, deployer_key(settings), operator, wanted)
            save_deployment(deployment, path)
        _prepare(chain, settings, deployment)
    except ChainError as error:
        raise Failure(str(error)) from error


def _feed_signers(settings: Settings) -> tuple[bytes, ...]:
    keys = (feed_key(settings, number) for number in range(1, settings.feeds + 1))
    return tuple(sorted(map(account_address, keys)))


def check_feeds(settings: Settings, deployment: Deployment) -> None:
    """Who signs was settled when the contracts were deployed. Raises Failure where the settings say otherwise."""
    if settings.feeds_needed != deployment.feed_threshold:
        raise Failure(
            f"rounds of this deployment need {deployment.feed_threshold} signatures, the settings mean "
            f"{settings.feeds_needed}: give --feeds and feed_threshold as at the first start, or {RESET_HINT}"
        )


def _prepare(chain: Chain, settings: Settings, deployment: Deployment) -> None:
    """Whatever a crash may have left out: what instruments are made of, and the watcher's money."""
    key = deployer_key(settings)
    set_assets(chain, key, deployment, _asset_rows(venue_of(settings, deployment)))
    fund_bonds(chain, key, deployment, account_address(watcher_key(settings)), _WATCHER_BONDS)
    if settings.fast_budget_usdc:
        budget_e6 = settings.fast_budget_usdc * 1_000_000
        fund_demo_dollars(chain, key, deployment, account_address(payer_key(settings)), budget_e6)


def _asset_rows(venue: VenueInfo) -> dict[bytes, AssetRow]:
    """One row per underlying and kind of the catalogue, whose terms do not depend on the day."""
    return {
        venue.asset(instrument): AssetRow(
            is_perpetual=instrument.is_perpetual,
            underlying=underlying_number(instrument.underlying),
            lot_e18=instrument.lot_e9 * 10**9,
            unit_e6=instrument.unit_e6,
            factor_class=LARGE_CAP if instrument.underlying in StandardParameters().large_caps else MAJOR,
        )
        for instrument in demo_catalogue(int(time.time()))
    }
