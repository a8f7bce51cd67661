"""Who gave up which differences?"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from checkout.kit.display import person
from checkout.kit.ids import parse_public_id
from checkout.kit.models import Approval
from ledger.chart import AccountKind
from ledger.reports import books, links
from ledger.reports.declaration import Chart, Column, Control, Report, Row, Totals, Type, sums, tie
from ledger.reports.running import stream
from ledger.reports.scope import Asks, Scope

# Whoever resolved the discrepancy in whose transaction it was written, or matched the line by hand that it is named
# after; an entry of a person's own is named after the approval of it.
_QUERY = """
WITH resolved AS (
    SELECT DISTINCT ON (entry.xid) entry.xid, discrepancy.ended_by AS actor
    FROM ledger_discrepancy AS discrepancy
    JOIN ledger_journalentry AS entry ON entry.id = discrepancy.entry_id
    WHERE discrepancy.mode = %(mode)s
), matched AS (
    SELECT DISTINCT ON (line_id) 'stl_' || line_id AS reference, ended_by AS actor
    FROM ledger_discrepancy
    WHERE mode = %(mode)s AND resolution = 'match_by_hand' AND line_id IS NOT NULL
)
SELECT coalesce(resolved.actor, matched.actor, '') AS actor,
    CASE WHEN entry.kind = 'manual' THEN entry.reference ELSE '' END AS approval, posting.currency,
    count(DISTINCT entry.id) AS entries,
    coalesce(sum(amount_minor) FILTER (WHERE amount_minor > 0), 0)::bigint AS lost,
    -coalesce(sum(amount_minor) FILTER (WHERE amount_minor < 0), 0)::bigint AS gained
FROM ledger_posting AS posting
JOIN ledger_account AS account ON account.id = posting.account_id
JOIN ledger_journalentry AS entry ON entry.id = posting.entry_id
LEFT JOIN resolved ON resolved.xid = entry.xid
LEFT JOIN matched ON matched.reference = entry.reference
WHERE account.kind = 'write_off' AND account.mode = %(mode)s
    AND entry.occurred_on BETWEEN %(first)s AND %(last)s
    AND (%(currency)s::text IS NULL OR posting.currency = %(currency)s)
    AND (%(gateway)s::uuid IS NULL OR entry.gateway_id = %(gateway)s)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""
_FIGURES = ("entries", "lost", "gained")


def _rows(scope: Scope) -> Iterator[Row]:
    """By person and currency; people are few, and so are entries of their own."""
    found = list(stream(_QUERY, scope.for_sql()))
    makers = _makers({row["approval"] for row in found if row["approval"]})
    people: dict[tuple[str, str], Counter[str]] = {}
    for row in found:
        actor = row["actor"] or makers.get(row["approval"], "")
        people.setdefault((actor, row["currency"]), Counter()).update({name: row[name] for name in _FIGURES})
    for (actor, currency), figures in sorted(people.items()):
        yield {
            "currency": currency,
            "actor": actor,
            "person": person(actor) if actor else "nobody by name",
            **{name: figures[name] for name in _FIGURES},
            "net": figures["lost"] - figures["gained"],
        }


def _makers(names: set[str]) -> dict[str, Any]:
    """Who asked for each of these approvals, as the audit names them. One query, or none."""
    keys = [key for name in names if (key := parse_public_id(Approval.PUBLIC_PREFIX, name))]
    approvals = Approval.objects.filter(pk__in=keys).select_related("maker") if keys else []
    return {approval.public_id: f"user:{approval.maker.username}" for approval in approvals}


def _controls(scope: Scope, totals: Totals) -> list[Control]:
    given_up = books.moved([AccountKind.WRITE_OFF], scope)
    return tie("write-offs tie to account write_off", sums(totals, "net"), given_up, scope)


_entries = links.entries(account=AccountKind.WRITE_OFF)

REPORT = Report(
    name="write_offs",
    title="Write-offs",
    question="Who gave up which differences, and what did they come to?",
    asks=frozenset({Asks.PERIOD, Asks.CURRENCY, Asks.GATEWAY}),
    columns=(
        Column("person"),
        Column("actor", is_for_machines=True),
        Column("entries", Type.COUNT, is_summed=True, link=_entries),
        Column("lost", Type.MONEY, is_summed=True, link=_entries),
        Column("gained", Type.MONEY, is_summed=True, link=_entries),
        Column("net", Type.MONEY, is_summed=True, link=_entries),
    ),
    rows=_rows,
    controls=_controls,
    chart=Chart(by="person", columns=("lost", "gained")),
)
