"""What does a gateway's day come to, and which days are still open?

A statement ties out twice, to the minor unit: file = matched + exceptions, and opening receivable + movement - matched
= closing. Days are accounting days; a file counts on the day on which its batches were announced in the books.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from checkout.kit import clock
from checkout.kit.money import Money
from gateways.models import Gateway
from ledger import chart, selectors
from ledger.chart import AccountKind
from ledger.models import Account, ClosedDay

# What a day's batches say they are, what their entries moved on the receivable, and what their lines come to now.
_FILES = """
WITH batch AS (
    SELECT batch.file_id, batch.reference, batch.currency, batch.net_minor, (
        SELECT -sum(amount_minor) FROM ledger_posting AS posting
        WHERE posting.entry_id = entry.id AND posting.account_id = %(receivable)s
    ) AS announced_minor
    FROM ledger_settlementbatch AS batch JOIN ledger_journalentry AS entry ON entry.id = batch.entry_id
    WHERE batch.gateway_id = %(gateway)s AND batch.mode = %(mode)s AND batch.currency = %(currency)s
        AND entry.occurred_on = %(on)s
), line AS (
    SELECT sum(line.net_minor) FILTER (WHERE line.match_id IS NOT NULL) AS matched_minor,
        sum(line.net_minor) FILTER (WHERE line.match_id IS NULL) AS exceptions_minor
    FROM ledger_settlementline AS line JOIN batch
        ON batch.file_id = line.file_id AND batch.reference = line.batch_reference AND batch.currency = line.currency
    WHERE line.kind <> 'payout'
)
SELECT (SELECT sum(net_minor) FROM batch), (SELECT sum(announced_minor) FROM batch), matched_minor, exceptions_minor
FROM line
"""
# The accounting days before today on which a receivable moved and that nobody has closed.
_NOT_CLOSED = """
SELECT account.gateway_id, account.mode, account.currency, min(moved."on"), count(*)
FROM ledger_account AS account
JOIN LATERAL (
    SELECT DISTINCT "on" FROM ledger_movement WHERE account_id = account.id AND "on" < %(today)s
) AS moved ON true
WHERE account.kind = %(kind)s AND account.mode = coalesce(%(mode)s, account.mode) AND NOT EXISTS (
    SELECT FROM ledger_closedday AS day
    WHERE day.gateway_id = account.gateway_id AND day.mode = account.mode AND day.currency = account.currency
        AND day."on" = moved."on" AND day.reopened_at IS NULL
)
GROUP BY account.id
"""


@dataclass(frozen=True)
class Statement:
    """The control figures of a gateway's day in one currency, in minor units, positive as what the gateway owes us.

    `movement_minor` is all that moved the receivable but the matched lines: our own facts, what explained differences,
    and, against it, lines that nobody has explained.
    """

    gateway: Gateway
    mode: str
    currency: str
    on: date
    opening_minor: int
    movement_minor: int
    matched_minor: int
    closing_minor: int
    file_minor: int
    exceptions_minor: int

    @property
    def file_difference(self) -> Money:
        """File - matched - exceptions: nothing, if it ties out."""
        return Money(self.file_minor - self.matched_minor - self.exceptions_minor, self.currency)

    @property
    def receivable_difference(self) -> Money:
        """Opening + movement - matched - closing: nothing, if it ties out."""
        explained = self.opening_minor + self.movement_minor - self.matched_minor
        return Money(explained - self.closing_minor, self.currency)

    @property
    def ties(self) -> bool:
        """Whether both do."""
        return not self.file_difference and not self.receivable_difference


def statement(*, gateway: Gateway, mode: str, currency: str, on: date) -> Statement:
    """The control figures of a day, as the books and lines stand now. Four queries."""
    key = chart.gateway_receivable(gateway.pk)
    receivable = Account.objects.filter(selectors.accounts_named([(key, mode, currency)])).first()
    opening = closing = moved = 0
    if receivable is not None:
        opening = selectors.balances_at_end_of(on - timedelta(days=1), [receivable])[receivable.pk].amount_minor
        closing = selectors.balances_at_end_of(on, [receivable])[receivable.pk].amount_minor
        moved = sum(movement.sum_minor for movement in selectors.movements([receivable], first=on, last=on))
    values: dict[str, Any] = {"gateway": gateway.pk, "mode": mode, "currency": currency, "on": on}
    values["receivable"] = receivable.pk if receivable else None
    with connection.cursor() as cursor:
        cursor.execute(_FILES, values)
        file, announced, matched, exceptions = (int(figure or 0) for figure in cursor.fetchone())
    return Statement(
        gateway=gateway,
        mode=mode,
        currency=currency,
        on=on,
        opening_minor=opening,
        movement_minor=moved + announced - exceptions,
        matched_minor=matched,
        closing_minor=closing,
        file_minor=file,
        exceptions_minor=exceptions,
    )


def closed_days(gateway: Gateway, mode: str, currency: str) -> QuerySet[ClosedDay]:
    """The days of a gateway and a currency that are closed now."""
    return ClosedDay.objects.filter(gateway=gateway, mode=mode, currency=currency, reopened_at=None)


def first_open_day(gateway: Gateway, mode: str, currency: str, *, until: date) -> date | None:
    """The earliest day, up to one, on which something moved the receivable and which is not closed."""
    key = chart.gateway_receivable(gateway.pk)
    accounts = Account.objects.filter(selectors.accounts_named([(key, mode, currency)]))
    moved = {movement.on for movement in selectors.movements(accounts, last=until)}
    closed = set(closed_days(gateway, mode, currency).values_list("on", flat=True))
    return min(moved - closed, default=None)


@dataclass(frozen=True)
class OpenDays:
    """The days of a gateway and a currency that are over, and on which something moved, and that nobody has closed."""

    gateway: Gateway
    mode: str
    currency: str
    first: date
    count: int


def days_not_closed(*, mode: str | None = None) -> list[OpenDays]:
    """Which days wait to be closed, by gateway and currency, those that wait longest first. Two queries."""
    values = {"kind": AccountKind.GATEWAY_RECEIVABLE, "mode": mode, "today": clock.now().date()}
    with connection.cursor() as cursor:
        cursor.execute(_NOT_CLOSED, values)
        rows = cursor.fetchall()
    gateways = Gateway.objects.in_bulk({gateway for gateway, *_ in rows})
    found = [OpenDays(gateways[gateway], *rest) for gateway, *rest in rows]
    return sorted(found, key=lambda open_days: (open_days.first, open_days.gateway.code, open_days.currency))
