"""Which gateway, and why? A pure function of what is written into the decision, so any decision can be recomputed.

No clock, no database, no chance: the same inputs give the same choice, so the propensity of each choice is 1.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Candidate:
    """What is known of a gateway of the region at the moment of the decision.

    `configuration` is a hash of all that is configured of its place in the region. `stopped_reason` says what the
    self-audit found, if it has stopped the gateway; during planned maintenance `maintenance_until` is its end, such as
    `2026-03-05 14:00`, in UTC. Decisions of before there were such things know nothing of them.
    """

    gateway: str
    priority: int
    mode: str
    status: str
    health_status: str
    takes_currency: bool
    takes_method: bool
    configuration: str
    stopped_reason: str = ""
    maintenance_until: str = ""
    maintenance_reason: str = ""


@dataclass(frozen=True)
class RoutingQuestion:
    """What is known of the payment; `tried` are the gateways that definitely did not charge it already."""

    region: str
    country: str
    currency: str
    mode: str
    payment_method_type: str
    amount_minor: int
    tried: tuple[str, ...] = ()


@dataclass(frozen=True)
class Considered:
    """One candidate's place in a decision: rank counts from 1 among the eligible, 0 is left out."""

    gateway: str
    priority: int
    rank: int
    is_chosen: bool
    reason: str


@dataclass(frozen=True)
class Decision:
    """A choice with everything that led to it. `chosen` is None where no gateway is eligible."""

    chosen: str | None
    considered: tuple[Considered, ...]
    question: RoutingQuestion
    candidates: tuple[Candidate, ...]
    configuration_version: str
    propensity: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """The decision as stored with the attempt; `recompute` takes it back."""
        return {
            "chosen": self.chosen,
            "considered": [vars(considered) for considered in self.considered],
            "question": vars(self.question),
            "candidates": [vars(candidate) for candidate in self.candidates],
            "configuration_version": self.configuration_version,
            "propensity": self.propensity,
        }


def decide(question: RoutingQuestion, candidates: Sequence[Candidate]) -> Decision:
    """Choose the first of the region's gateways that fit the payment: healthy before unhealthy, then by priority.

    An unhealthy gateway is passed over while a healthy one is left, and is the last resort where none is.
    """
    ordered = sorted(candidates, key=lambda c: (c.priority, c.gateway))
    objections = {c.gateway: _objection(question, c) for c in ordered}
    eligible = [c for c in ordered if not objections[c.gateway]]
    ranking = sorted(eligible, key=lambda c: c.health_status != "healthy")
    chosen = ranking[0] if ranking else None
    ranks = {c.gateway: rank for rank, c in enumerate(ranking, 1)}
    considered = tuple(
        Considered(
            gateway=c.gateway,
            priority=c.priority,
            rank=ranks.get(c.gateway, 0),
            is_chosen=c is chosen,
            reason=objections[c.gateway] or _reason(question, c, chosen),
        )
        for c in sorted(ordered, key=lambda c: (ranks.get(c.gateway, len(ordered) + 1), c.priority, c.gateway))
    )
    return Decision(
        chosen=chosen.gateway if chosen else None,
        considered=considered,
        question=question,
        candidates=tuple(ordered),
        configuration_version=configuration_version(ordered),
    )


def recompute(stored: dict[str, Any]) -> Decision:
    """Decide again from what a stored decision says it knew."""
    question = RoutingQuestion(**{**stored["question"], "tried": tuple(stored["question"]["tried"])})
    return decide(question, [Candidate(**candidate) for candidate in stored["candidates"]])


def configuration_version(candidates: Sequence[Candidate]) -> str:
    """A short hash of the configuration, not the health, that a decision rests on: equal ones have equal hashes."""
    facts = "|".join(f"{c.gateway} {c.configuration}" for c in candidates)
    return hashlib.sha256(facts.encode()).hexdigest()[:12]


def _objection(question: RoutingQuestion, candidate: Candidate) -> str:
    if candidate.gateway in question.tried:
        return "Left out: already tried for this payment, and certain not to have charged."
    if candidate.mode != question.mode:
        return f"Left out: a {candidate.mode} gateway takes no {question.mode} payments."
    if candidate.status == "draining":
        return "Left out: draining, so it takes no new payments."
    if candidate.status != "enabled":
        return "Left out: disabled by an operator."
    if candidate.stopped_reason:
        return f"Left out: stopped by the self-audit: {candidate.stopped_reason}"
    if candidate.maintenance_until:
        return f"Left out: planned maintenance until {candidate.maintenance_until} UTC: {candidate.maintenance_reason}"
    if not candidate.takes_currency:
        return f"Left out: does not take {question.currency}."
    if not candidate.takes_method:
        return f"Left out: does not take the payment method {question.payment_method_type}."
    return ""


def _reason(question: RoutingQuestion, candidate: Candidate, chosen: Candidate | None) -> str:
    assert chosen is not None
    is_healthy = candidate.health_status == "healthy"
    if candidate is chosen:
        after = " after those already tried" if question.tried else ""
        if is_healthy:
            return f"Chosen: healthy, and first by priority in {question.region}{after}."
        return f"Chosen as the last resort: no healthy gateway is left in {question.region}{after}."
    if is_healthy:
        return f"Not needed: priority {candidate.priority} comes after {chosen.gateway} (priority {chosen.priority})."
    return "Passed over: unhealthy, so every healthy gateway comes first."
