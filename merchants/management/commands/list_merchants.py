"""Show the merchants and their keys."""

from typing import Any

from django.core.management.base import BaseCommand

from checkout.kit import clock
from merchants import selectors
from merchants.models import ApiKey, Merchant


class Command(BaseCommand):
    """`manage.py list_merchants`"""

    help = "Show every merchant with its API keys, which are named by their prefix."

    def handle(self, *args: Any, **options: Any) -> None:
        merchants = list(selectors.merchants_with_keys())
        if not merchants:
            self.stdout.write("There is no merchant yet; `manage.py create_merchant` takes one on.")
        for merchant in merchants:
            self.stdout.write(_merchant(merchant))
            for key in merchant.api_keys.all():
                self.stdout.write(_key(key))


def _merchant(merchant: Merchant) -> str:
    fee = f"{merchant.fee_bps} bps + {merchant.fee_fixed_minor}, tax {merchant.tax_bps} bps"
    facts = f"{merchant.country}  {merchant.default_currency}  {merchant.status:<9}  fee {fee}"
    return f"{merchant.public_id}  {facts}  {merchant.name}"


def _key(key: ApiKey) -> str:
    if key.revoked_at is not None:
        state = f"revoked {key.revoked_at:%Y-%m-%d}"
    elif key.expires_at is None:
        state = "in force"
    else:
        state = f"{'expires' if key.expires_at > clock.now() else 'expired'} {key.expires_at:%Y-%m-%d}"
    used = f"used {key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
    return f"    {key.prefix}…  {state:<18}  {used:<21}  {' '.join(key.scopes)}  {key.name}".rstrip()
