"""What a deployment tells clients about itself, from settings and deployment file: the same in every process."""

from exchange.app.config import Settings
from exchange.wire.venue import VenueInfo
from settlement.onchain.deployment import Deployment

__all__ = ["venue_of"]


def venue_of(settings: Settings, deployment: Deployment) -> VenueInfo:
    """Constants of the deployment in use."""
    return VenueInfo.for_chain(
        chain_id=deployment.chain_id,
        settlement_contract=deployment.settlement,
        subaccount_base=deployment.subaccount_base,
        accept_derive_sepolia_orders=settings.accept_derive_sepolia_orders or settings.demo,
        separator=deployment.domain_separator,
        env="demo" if settings.demo else "local",
    )
