"""Of which days do a gateway's files tell, in each currency? What a file does not tell of is not missing in it."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.db import connection
from django.db.models import Max, QuerySet

from checkout.settings import policy
from gateways.models import Gateway
from ledger.models import CoveredDays, SettlementFile
from ledger.statuses import FileStatus

# A line that comes late is about a day of its own: it does not stretch what its file tells of to all days between.
_STRETCHES = """
INSERT INTO ledger_covereddays (file_id, currency, first_on, last_on)
SELECT %(file)s, currency, min(occurred_on), max(occurred_on)
FROM (
    SELECT currency, occurred_on, count(*) FILTER (WHERE is_first) OVER (
        PARTITION BY currency ORDER BY occurred_on
    ) AS stretch
    FROM (
        SELECT currency, occurred_on, coalesce(
            occurred_on - lag(occurred_on) OVER (PARTITION BY currency ORDER BY occurred_on) > %(gap)s, true
        ) AS is_first
        FROM (
            SELECT DISTINCT currency, occurred_on FROM ledger_settlementline
            WHERE file_id = %(file)s AND kind <> 'payout'
        ) AS day
    ) AS begun
) AS told
GROUP BY currency, stretch
"""


@dataclass(frozen=True)
class Coverage:
    """The last day that a gateway's files tell of, by currency; and of a currency of which they are silent."""

    by_currency: dict[str, date]
    otherwise: date

    def until(self, currency: str) -> date:
        """Up to which day everything in this currency should have been named."""
        return self.by_currency.get(currency, self.otherwise)


def write_covered_days(file: SettlementFile) -> None:
    """Keep of which days an imported file tells, from its stored lines."""
    with connection.cursor() as cursor:
        cursor.execute(_STRETCHES, {"file": file.pk, "gap": policy.COVERED_GAP_DAYS})


def coverage_of(gateway: Gateway, mode: str, *, today: date) -> Coverage:
    """Up to when a gateway's files tell of what happened, at most until today.

    Currencies may be settled on days of their own; one of which nothing was said for long is not waited for.
    """
    last = dict(_told_by(gateway, mode).order_by().values_list("currency").annotate(Max("last_on")))
    silent_since = max(last.values(), default=None)
    otherwise = date.min if silent_since is None else silent_since - timedelta(days=policy.COVERED_GAP_DAYS)
    return Coverage(
        {currency: min(max(day, otherwise), today) for currency, day in last.items()}, min(otherwise, today)
    )


def is_covered(gateway: Gateway, mode: str, currency: str, on: date) -> bool:
    """Whether a file tells of this day in this currency."""
    return _told_by(gateway, mode).filter(currency=currency, first_on__lte=on, last_on__gte=on).exists()


def _told_by(gateway: Gateway, mode: str) -> QuerySet[CoveredDays]:
    return CoveredDays.objects.filter(file__gateway=gateway, file__mode=mode, file__status=FileStatus.IMPORTED)
