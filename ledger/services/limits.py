"""How much may one person decide alone? So much at once, and not by dividing it: so much within a day as well."""

from collections.abc import Iterable
from datetime import timedelta

from django.db import connection
from django.db.models import Sum

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.limits import limit_in, together_in
from checkout.kit.money import Money
from checkout.settings import policy
from ledger.models import Discrepancy
from ledger.reconciliation.refusals import SecondPersonNeeded, TooManyAtOnce

_DAY = timedelta(days=1)


def require_one_person_may(values: Iterable[Money], *, mode: str, actor: Actor) -> None:
    """Refuse (SecondPersonNeeded) to let somebody alone explain such values, one of each currency.

    Until the end of this transaction the same person decides nothing else alone, so that no two deeds miss each other.
    """
    amounts = [value for value in values if value]
    at_once, within_a_day = policy.RESOLUTION_LIMITS
    for amount in amounts:
        _require(amount, limit_in(amount.currency, at_once), "at once")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"decides alone {actor}"])
    recent = Discrepancy.objects.filter(
        ended_by=str(actor), ended_at__gt=clock.now() - _DAY, mode=mode, alone_minor__gt=0
    )
    sums = recent.order_by().values_list("currency").annotate(Sum("alone_minor"))
    before = [Money(int(value), currency) for currency, value in sums]
    for currency in {amount.currency for amount in amounts}:
        _require(together_in(currency, [*before, *amounts]), limit_in(currency, within_a_day), "within a day")


def require_not_too_many(count: int) -> None:
    """Refuse (TooManyAtOnce) more than are resolved in one transaction."""
    if count > policy.RESOLUTION_COUNT:
        raise TooManyAtOnce(count=count, limit=policy.RESOLUTION_COUNT)


def _require(amount: Money, limit: Money, when: str) -> None:
    if amount > limit:
        raise SecondPersonNeeded(amount=amount, limit=limit, when=when)
