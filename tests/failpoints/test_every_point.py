"""Does every act survive dying, or being overtaken, at every commit and every send? Enumerated, not sampled.

FAILPOINT_BEHAVIOURS=all tries every behaviour of the gateway; otherwise one of each kind is tried.
"""

import ast
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from checkout.kit import failpoints
from checkout.kit.models import User
from checkout.launch.files import ROOT
from checkout.settings import policy
from gateways.models import Gateway, Region
from merchants.models import Merchant
from merchants.services import NewKey
from merchants.tests.loop import discard_loop
from merchants.tests.receiver import receivers
from payments.models import Payment
from tests.failpoints import story
from tests.failpoints.books import Books, check_invariants, check_ledger, check_payment
from tests.failpoints.places import DISTINCT, ENDPOINTS, PLACES, Place, act_of, commits
from tests.failpoints.story import Elsewhere, Trouble, World
from tests.simulation import Simulation

APPS = ("checkout", "gateways", "merchants", "payments")
ALL = os.environ.get("FAILPOINT_BEHAVIOURS") == "all"
CASES = [(place, act) for place in PLACES for act in dict.fromkeys(map(act_of, place.points))]


@pytest.fixture
def world(
    transactional_db: None,
    merchant: Merchant,
    api_key: NewKey,
    gateways: dict[str, Gateway],
    regions: dict[str, Region],
    simulation: Simulation,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    """A merchant with an API key; while it waits for an outcome, a worker works."""
    monkeypatch.setattr(policy, "CLAIM_AGAIN_SECONDS", 5.0)  # a run with calls in flight does nothing but wait for them
    monkeypatch.setattr("payments.waiting.until_settled", lambda payment_id, seconds: story.work())
    people = (User.objects.create_user("olivia"), User.objects.create_user("oscar"))
    elsewhere = Elsewhere()
    with receivers() as open_receiver:
        yield World(merchant, api_key.secret, simulation, people, open_receiver(), elsewhere)
    failpoints.disarm()
    elsewhere.close()
    for code in gateways:
        simulation.change(code, notice_url="")
    discard_loop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the bell's thread that dies
@pytest.mark.parametrize(
    ("place", "act"), CASES, ids=[f"{place.story.__name__}.{place.step}-{act}" for place, act in CASES]
)
def test_money_is_neither_lost_nor_doubled(world: World, tmp_path: Path, place: Place, act: str) -> None:
    books = Books(world.simulation)
    told: list[tuple[str, Payment]] = []
    points = [point for point in place.points if act_of(point) == act]
    behaviours = [behaviour for behaviour in place.behaviours if ALL or behaviour in (*DISTINCT, *ENDPOINTS)]
    for point, kind, number in itertools.product(points, ("crash", "pause"), place.passes):
        happened = 0
        for behaviour in behaviours:
            words = f"{kind} at pass {number} of {point}, {behaviour}"
            trouble = Trouble(kind, point, number)
            try:
                told.append((words, place.story(world, behaviour, trouble).tell(place.step)))
            except AssertionError as error:
                raise AssertionError(f"{words}: {error}") from error
            happened += trouble.happened.is_set()
        assert happened, f"{point} is not passed {number} times, so nothing was proved"
    there = books.read()
    rows = [row for book in there.values() for row in book]
    for words, payment in told:
        try:
            check_payment(payment, rows)
        except AssertionError as error:
            raise AssertionError(f"{words}: {error}") from error
    check_ledger()
    check_invariants(there, tmp_path)


def test_every_point_of_the_product_has_its_place() -> None:
    assert {point for place in PLACES for point in place.points} == set(points_of_the_product())


def test_nothing_can_be_armed_outside_the_test_settings(settings: Any) -> None:
    settings.FAILPOINTS = False
    with pytest.raises(RuntimeError):
        failpoints.arm("create.before_commit", failpoints.die)


def points_of_the_product() -> Iterator[str]:
    """What every `durable(…)` and `reach(…)` names, read from the source."""
    for path in (path for app in APPS for path in (ROOT / app).rglob("*.py")):
        if "tests" in path.parts or path.name in ("durable.py", "failpoints.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ("durable", "reach"):
                (word,) = node.args
                assert isinstance(word, ast.Constant), f"{path.name}:{node.lineno} names its point by a variable"
                yield from commits(word.value) if name == "durable" else (word.value,)
