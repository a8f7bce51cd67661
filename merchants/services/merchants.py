"""Whom do we serve? A merchant is taken on, suspended, and let work again."""

from django.db import transaction

from checkout.kit import audit
from checkout.kit.actors import Actor
from merchants import selectors
from merchants.models import Merchant


@transaction.atomic
def create_merchant(
    *,
    name: str,
    country: str,
    default_currency: str,
    actor: Actor,
    fee_bps: int = 0,
    fee_fixed_minor: int = 0,
    tax_bps: int = 0,
) -> Merchant:
    """Take on a merchant. Fee in basis points plus minor units, tax on the fee in basis points.

    Refuses: django ValidationError for a country, currency or rate that cannot be.
    """
    merchant = Merchant(
        name=name,
        country=country,
        default_currency=default_currency,
        fee_bps=fee_bps,
        fee_fixed_minor=fee_fixed_minor,
        tax_bps=tax_bps,
    )
    merchant.full_clean()
    merchant.save(force_insert=True)
    audit.record(actor=actor, verb="merchant.create", obj=merchant, after={"name": name, "country": country})
    return merchant


@transaction.atomic
def set_merchant_status(*, merchant: Merchant, status: str, reason: str, actor: Actor) -> Merchant:
    """Suspend a merchant or let it work again; open payments go on, new ones are refused while suspended."""
    merchant = Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)
    before = merchant.status
    merchant.status = Merchant.Status(status)
    merchant.save(update_fields=["status"])
    selectors.forget_keys()
    audit.record(
        actor=actor,
        verb="merchant.set_status",
        obj=merchant,
        reason=reason,
        before={"status": before},
        after={"status": merchant.status},
    )
    return merchant
