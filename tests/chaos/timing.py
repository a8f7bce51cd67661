"""How long did it take? From a worker's death to the next right action, from an unknown outcome to its truth."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from gateways.outcomes import Outcome
from payments.models import Attempt, Evidence

_WORKERS = ("worker", "worker2")


def recoveries(merchant_names: Sequence[str], strikes: Iterable[dict[str, Any]]) -> list[float]:
    """Seconds after each kill of a worker until anybody recorded anything, and until what it had in hand was taken up.

    The second is measured from the first kill of any worker after an attempt was sent to the end of its lease.
    """
    kills = sorted(
        strike["at"] for strike in strikes if strike["kind"].startswith("kill") and strike["target"] in _WORKERS
    )
    rows = Evidence.objects.filter(attempt__payment__merchant__name__in=merchant_names).order_by("at")
    told = list(rows.values_list("at", "source", "attempt__sent_at"))
    moments = [at.timestamp() for at, _, _ in told]
    found = []
    for killed_at in kills:
        place = bisect_right(moments, killed_at)
        if place < len(moments):
            found.append(moments[place] - killed_at)
    for at, source, sent_at in told:
        if source == Evidence.Source.LEASE:
            place = bisect_right(kills, sent_at.timestamp())
            if place < len(kills) and kills[place] < at.timestamp():
                found.append(at.timestamp() - kills[place])
    return found


def resolutions(merchant_names: Sequence[str], strikes: Iterable[dict[str, Any]]) -> list[float]:
    """Seconds from when an unknown outcome could be learned until it was.

    It can be learned when the gateway's settle window is over and the gateway answers again: after the last outage
    that began before it was known.
    """
    outages = [
        (strike["target"], strike["at"], strike["until"])
        for strike in strikes
        if strike["kind"] in ("refuse", "delay") or strike["target"] == "simulator"
    ]
    attempts = (
        Attempt.objects.filter(payment__merchant__name__in=merchant_names, evidence__outcome=Outcome.UNKNOWN)
        .exclude(finished_at=None)
        .distinct()
        .values_list("sent_at", "finished_at", "gateway__code", "gateway__settle_window_seconds")
    )
    found = []
    for sent_at, finished_at, code, window_seconds in attempts:
        known_at = finished_at.timestamp()
        possible_at = sent_at.timestamp() + window_seconds
        for target, began, ended in outages:
            if target in (code, "simulator") and began < known_at:
                possible_at = max(possible_at, ended)
        found.append(max(0.0, known_at - possible_at))
    return found
