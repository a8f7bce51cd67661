"""How did the gateways do, hour by hour? Volume, authorization rate and latency of the last 24 hours, in one query.

All of it is read from the calls that ask for a charge, whose rows are a tenth as wide as those of attempts, so the
figures are those of one list. What a gateway decided later, asked or by a notice, is in none of them.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from checkout.kit.display import duration, list_of, percentage
from gateways.admin.filters import a_day_ago
from gateways.models import Gateway, GatewayCall

_HOURS = 24
_COLOURS = 6  # as many as the style sheet names; further gateways begin anew

_BY_HOUR = """
SELECT gateway_id, date_trunc('hour', started_at) AS hour, count(*),
    count(*) FILTER (WHERE outcome = 'succeeded'), count(*) FILTER (WHERE outcome = 'declined'),
    percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY duration_ms)
FROM gateways_gatewaycall
WHERE operation = 'authorize' AND started_at >= %s AND gateway_id = ANY(%s)
GROUP BY GROUPING SETS ((gateway_id, hour), (gateway_id))
"""


_BAR = {"maxBarThickness": 18, "borderRadius": 1}
_LINE = {"tension": 0.25, "spanGaps": True, "borderWidth": 2, "pointRadius": 2, "pointHitRadius": 8}


def _look(**y: Any) -> str:
    """How a chart is drawn, as the chart component wants it: quiet, and telling of an hour all at once."""
    soft = {"color": "#8a93a3", "font": {"size": 11}}
    scales = {
        "x": {
            "stacked": "stacked" in y,
            "grid": {"display": False},
            "ticks": {"maxTicksLimit": 7, "maxRotation": 0, **soft},
        },
        "y": {"border": {"display": False}, "grid": {"lineWidth": 0.5}, "ticks": {"maxTicksLimit": 5, **soft}, **y},
    }
    return json.dumps(
        {
            "animation": False,
            "responsive": True,
            "maintainAspectRatio": False,
            "interaction": {"mode": "index", "intersect": False},
            "plugins": {"legend": {"display": False}},
            "scales": scales,
        }
    )


@dataclass(frozen=True)
class Part:
    """What a gateway did in some time: calls for a charge, those that succeeded and were declined, and milliseconds."""

    count: int = 0
    succeeded_count: int = 0
    declined_count: int = 0
    p50_ms: int | None = None
    p95_ms: int | None = None

    @property
    def rate(self) -> float | None:
        """The share of what was decided that succeeded, in percent; None of nothing."""
        decided = self.succeeded_count + self.declined_count
        return round(100 * self.succeeded_count / decided, 1) if decided else None


@dataclass(frozen=True)
class Line:
    """One gateway in the charts: its colour, its hours, and all of them together."""

    gateway: Gateway
    colour: str
    hours: list[Part]
    whole: Part

    @property
    def address(self) -> str:
        """The list of exactly these calls."""
        return list_of(GatewayCall, f"job=charges_of_a_day&gateway__id__exact={self.gateway.pk}")

    @property
    def succeeded_address(self) -> str:
        """Those that succeeded."""
        return f"{self.address}&outcome__exact=succeeded"

    @property
    def declined_address(self) -> str:
        """Those that were declined."""
        return f"{self.address}&outcome__exact=declined"

    @property
    def rate(self) -> str:
        """The authorization rate, in words."""
        return percentage(self.whole.succeeded_count, self.whole.succeeded_count + self.whole.declined_count)

    @property
    def p50(self) -> str:
        """The median, in words."""
        return duration(self.whole.p50_ms)

    @property
    def p95(self) -> str:
        """What nineteen of twenty stay below, in words."""
        return duration(self.whole.p95_ms)


@dataclass(frozen=True)
class Charts:
    """Each as the chart component wants it, and the lines for those who read tables."""

    hours: list[str]
    lines: list[Line]
    volume: str
    rate: str
    latency: str

    # How they are drawn. A rate of less than half is drawn too, but only then does its chart begin further below.
    volume_look = _look(stacked=True)
    rate_look = _look(suggestedMin=50, max=100)
    latency_look = _look(beginAtZero=True)

    @property
    def table(self) -> list[tuple[str, list[Part]]]:
        """Hour by hour, the newest first: a part for each line."""
        rows = zip(self.hours, zip(*(line.hours for line in self.lines), strict=True), strict=True)
        return [(hour, list(parts)) for hour, parts in rows][::-1]


def charts(gateways: Sequence[Gateway]) -> Charts | None:
    """The last 24 hours of these gateways, the present one included; None if nothing was asked. One query."""
    began = a_day_ago()
    with connection.cursor() as cursor:
        cursor.execute(_BY_HOUR, [began, [gateway.pk for gateway in gateways]])
        rows = cursor.fetchall()
    if not rows:
        return None
    parts: dict[Any, dict[datetime | None, Part]] = defaultdict(dict)
    for key, hour, count, succeeded, declined, percentiles in rows:
        parts[key][hour] = Part(count, succeeded, declined, *percentiles)
    hours = [began + timedelta(hours=number) for number in range(_HOURS)]
    lines = [
        Line(
            gateway=gateway,
            colour=f"var(--chart-{number % _COLOURS + 1})",
            hours=[parts[gateway.pk].get(hour, Part()) for hour in hours],
            whole=parts[gateway.pk][None],
        )
        for number, gateway in enumerate(gateways)
        if gateway.pk in parts
    ]
    names = [f"{hour:%H}:00" for hour in hours]
    return Charts(
        hours=names,
        lines=lines,
        volume=_drawn(names, lines, lambda part: part.count, _BAR),
        rate=_drawn(names, lines, lambda part: part.rate, _LINE),
        latency=_latency(names, lines),
    )


def _drawn(names: list[str], lines: list[Line], value: Callable[[Part], float | None], look: dict[str, Any]) -> str:
    return _document(names, [_set(line, str(line.gateway), value, look) for line in lines])


def _latency(names: list[str], lines: list[Line]) -> str:
    sets = []
    for line in lines:
        sets.append(_set(line, f"{line.gateway} p50", lambda part: part.p50_ms, _LINE))
        sets.append(_set(line, f"{line.gateway} p95", lambda part: part.p95_ms, {**_LINE, "borderDash": [4, 3]}))
    return _document(names, sets)


def _set(line: Line, label: str, value: Callable[[Part], float | None], look: dict[str, Any]) -> dict[str, Any]:
    colours = {"backgroundColor": line.colour, "borderColor": line.colour}
    return {"label": label, "data": [value(part) for part in line.hours], **colours, **look}


def _document(names: list[str], sets: list[dict[str, Any]]) -> str:
    return json.dumps({"labels": names, "datasets": sets})
