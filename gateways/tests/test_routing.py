"""Is the choice of a gateway right, explained, and the same whenever it is made again?"""

import json
import timeit
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.routing import Candidate, Decision, RoutingQuestion, configuration_version, decide, recompute

QUESTION = RoutingQuestion(
    region="europe", country="DE", currency="EUR", mode="test", payment_method_type="card", amount_minor=50_00
)


def a(gateway: str, priority: int = 1, **facts: Any) -> Candidate:
    """A candidate that fits, but for what is said of it."""
    values = {
        "mode": "test",
        "status": "enabled",
        "health_status": "healthy",
        "takes_currency": True,
        "takes_method": True,
        "configuration": f"{gateway} {priority}",
        **facts,
    }
    return Candidate(gateway=gateway, priority=priority, **values)


ILL = {"health_status": "unhealthy"}
OFF = {"status": "disabled"}

TABLE: list[tuple[str, list[Candidate], tuple[str, ...], str | None]] = [
    ("the first by priority", [a("b", 2), a("a", 1), a("c", 3)], (), "a"),
    ("by code among equals", [a("b"), a("a")], (), "a"),
    ("a healthy one before an unhealthy one", [a("a", 1, **ILL), a("b", 9)], (), "b"),
    ("the first unhealthy one where none is healthy", [a("b", 2, **ILL), a("a", 1, **ILL)], (), "a"),
    ("none that is disabled", [a("a", 1, **OFF), a("b", 2)], (), "b"),
    ("none of the other mode", [a("a", 1, mode="live"), a("b", 2)], (), "b"),
    ("none that does not take the currency", [a("a", 1, takes_currency=False), a("b", 2)], (), "b"),
    ("none that does not take the method", [a("a", 1, takes_method=False), a("b", 2)], (), "b"),
    ("none that was tried", [a("a", 1), a("b", 2)], ("a",), "b"),
    ("an unhealthy one after the healthy one was tried", [a("a", 1), a("b", 2, **ILL)], ("a",), "b"),
    ("nobody when all were tried", [a("a", 1), a("b", 2)], ("a", "b"), None),
    ("nobody when nobody fits", [a("a", 1, **OFF), a("b", 2, takes_currency=False)], (), None),
    ("nobody where nobody is", [], (), None),
    ("disabled beats unhealthy as a reason to stay away", [a("a", 1, **OFF, **ILL), a("b", 2, **ILL)], (), "b"),
]


@pytest.mark.parametrize(("candidates", "tried", "chosen"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_chosen_is(candidates: list[Candidate], tried: tuple[str, ...], chosen: str | None) -> None:
    assert decide(replace(QUESTION, tried=tried), candidates).chosen == chosen


def test_the_explanation_says_of_each_gateway_why_or_why_not() -> None:
    decision = decide(
        replace(QUESTION, tried=("f",)),
        [
            *(a("a", 1, **OFF), a("b", 2, **ILL), a("c", 3), a("d", 4), a("e", 5, mode="live")),
            *(a("f", 6), a("g", 7, takes_currency=False), a("h", 8, takes_method=False)),
        ],
    )

    assert [(c.gateway, c.rank, c.reason) for c in decision.considered] == [
        ("c", 1, "Chosen: healthy, and first by priority in europe after those already tried."),
        ("d", 2, "Not needed: priority 4 comes after c (priority 3)."),
        ("b", 3, "Passed over: unhealthy, so every healthy gateway comes first."),
        ("a", 0, "Left out: disabled by an operator."),
        ("e", 0, "Left out: a live gateway takes no test payments."),
        ("f", 0, "Left out: already tried for this payment, and certain not to have charged."),
        ("g", 0, "Left out: does not take EUR."),
        ("h", 0, "Left out: does not take the payment method card."),
    ]


def test_the_last_resort_is_called_so() -> None:
    decision = decide(QUESTION, [a("a", 1, **ILL)])

    assert decision.considered[0].reason == "Chosen as the last resort: no healthy gateway is left in europe."


candidates = st.lists(
    st.builds(
        Candidate,
        gateway=st.sampled_from([f"g{number}" for number in range(12)]),
        priority=st.integers(1, 5),
        mode=st.sampled_from(["test", "test", "live"]),
        status=st.sampled_from(["enabled", "enabled", "disabled"]),
        health_status=st.sampled_from(["healthy", "unhealthy"]),
        takes_currency=st.booleans() | st.just(True),
        takes_method=st.booleans() | st.just(True),
        configuration=st.text(max_size=3),
    ),
    max_size=12,
    unique_by=lambda candidate: candidate.gateway,
)
questions = st.builds(
    RoutingQuestion,
    region=st.just("europe"),
    country=st.just("DE"),
    currency=st.just("EUR"),
    mode=st.sampled_from(["test", "live"]),
    payment_method_type=st.just("card"),
    amount_minor=st.integers(1, 10**9),
    tried=st.lists(st.sampled_from([f"g{number}" for number in range(12)]), max_size=3, unique=True).map(tuple),
)


def fits(candidate: Candidate, question: RoutingQuestion) -> bool:
    return (
        candidate.status == "enabled"
        and candidate.mode == question.mode
        and candidate.takes_currency
        and candidate.takes_method
        and candidate.gateway not in question.tried
    )


@given(questions, candidates)
def test_whatever_is_asked_the_choice_fits_and_nothing_better_was_left(
    question: RoutingQuestion, candidates: list[Candidate]
) -> None:
    decision = decide(question, candidates)

    fitting = [candidate for candidate in candidates if fits(candidate, question)]
    healthy = [candidate for candidate in fitting if candidate.health_status == "healthy"]
    best = min(healthy or fitting, key=lambda candidate: (candidate.priority, candidate.gateway), default=None)
    assert decision.chosen == (best.gateway if best else None)

    considered = {row.gateway: row for row in decision.considered}
    assert len(considered) == len(decision.considered) == len(candidates)
    assert {gateway for gateway, row in considered.items() if row.rank} == {c.gateway for c in fitting}
    assert sorted(row.rank for row in decision.considered if row.rank) == list(range(1, len(fitting) + 1))
    assert [row.gateway for row in decision.considered if row.is_chosen] == ([best.gateway] if best else [])
    assert all(row.reason for row in decision.considered)
    assert all(row.reason.startswith("Left out") is not bool(row.rank) for row in decision.considered)


@given(questions, candidates, st.randoms())
def test_the_order_in_which_the_candidates_come_says_nothing(
    question: RoutingQuestion, candidates: list[Candidate], random: Any
) -> None:
    shuffled = random.sample(candidates, len(candidates))

    assert decide(question, shuffled) == decide(question, candidates)


@given(questions, candidates)
def test_every_stored_decision_can_be_made_again(question: RoutingQuestion, candidates: list[Candidate]) -> None:
    decision = decide(question, candidates)

    stored = json.loads(json.dumps(decision.as_json()))

    assert recompute(stored) == decision
    assert recompute(stored).as_json() == decision.as_json()


def test_a_recomputation_with_another_fact_is_another_decision() -> None:
    stored = decide(QUESTION, [a("a", 1), a("b", 2)]).as_json()
    stored["candidates"][0] = {**stored["candidates"][0], "health_status": "unhealthy"}

    assert recompute(stored).chosen == "b"


def test_the_version_is_of_the_configuration_and_not_of_the_health() -> None:
    rows = [a("a", 1), a("b", 2)]
    version = configuration_version(rows)

    assert configuration_version([replace(rows[0], **ILL), rows[1]]) == version
    assert configuration_version([replace(rows[0], configuration="other"), rows[1]]) != version
    assert configuration_version(rows[:1]) != version


def test_among_twenty_gateways_it_is_decided_in_microseconds() -> None:
    rows = [a(f"g{number:02}", number % 5, **(ILL if number % 7 == 0 else {})) for number in range(20)]
    question = replace(QUESTION, tried=("g03", "g11"))
    decision: list[Decision] = []

    seconds = min(timeit.repeat(lambda: decision.append(decide(question, rows)), number=100, repeat=10)) / 100

    assert decision[0].chosen == "g05"
    assert seconds < 250e-6, f"{seconds * 1e6:.0f} µs"
