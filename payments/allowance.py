"""How much may one person give back alone? So much at once, and not by dividing it: so much within a day as well.

The limits are those of the person's roles; whoever has several has the largest. The day is one for all currencies
(`checkout.kit.limits`).
"""

from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Sum

from checkout.kit import clock
from checkout.kit.limits import limit_in, together_in
from checkout.kit.models import User
from checkout.kit.money import Money
from checkout.settings import policy
from payments.models import Refund
from payments.statuses import RefundStatus

_DAY = timedelta(days=1)
_ADMINISTRATOR = "Administrator"  # what a superuser counts as: the largest limit is one all the same


@dataclass(frozen=True)
class Allowance:
    """What one person may give back without a second one, in one currency and mode: at once, within a day, and `used`
    within the last one, in all currencies, as much as it is of this one.
    """

    at_once: Money
    within_a_day: Money
    used: Money

    @property
    def left(self) -> Money:
        """What is left of the day."""
        left = self.within_a_day - self.used
        return left if left.amount_minor > 0 else Money(0, left.currency)

    @property
    def alone(self) -> Money:
        """The largest refund that needs nobody else now."""
        return min(self.at_once, self.left)

    def covers(self, amount: Money) -> bool:
        """Whether a refund of so much needs nobody else."""
        return amount <= self.alone


def allowance_of(person: User, *, currency: str, mode: str) -> Allowance:
    """What a person may give back alone now; nothing if none of their roles may. Two queries."""
    at_once, within_a_day = _limits(person)
    since = clock.now() - _DAY
    decided = Refund.objects.filter(alone=person, created_at__gt=since, payment__mode=mode)
    decided = decided.exclude(status=RefundStatus.FAILED)
    sums = decided.order_by().values_list("currency").annotate(sum=Sum("amount_minor"))
    used = together_in(currency, (Money(minor, other) for other, minor in sums))
    return Allowance(limit_in(currency, at_once), limit_in(currency, within_a_day), used)


def lock_allowance(person: User) -> None:
    """Until the end of this transaction the same person decides nothing else alone: no two deeds miss each other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"refunds alone {person.pk}"])


def _limits(person: User) -> tuple[int, int]:
    roles = set(person.groups.values_list("name", flat=True))
    if person.is_superuser:
        roles.add(_ADMINISTRATOR)
    limits = [policy.REFUND_LIMITS[role] for role in roles if role in policy.REFUND_LIMITS]
    return max((at_once for at_once, _ in limits), default=0), max((day for _, day in limits), default=0)
