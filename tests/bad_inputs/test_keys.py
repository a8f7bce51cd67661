"""Who gets in, and to what? Keys that are wrong, old, poor or somebody else's."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.money import Money
from checkout.settings import policy
from merchants import selectors
from merchants.models import Merchant, all_scopes
from merchants.services import NewKey, create_api_key, create_merchant, revoke_api_key
from payments.models import IdempotencyKey, Payment
from tests.bad_inputs.calls import Call, endpoints, good_call, json_endpoints
from tests.bad_inputs.conftest import Complaints, send

ENDPOINTS = endpoints()
UNKNOWN = frozenset({"not_found"})


@pytest.fixture
def stranger(db: None, actor: Actor) -> NewKey:
    """Another merchant's key."""
    merchant = create_merchant(name="Zed", country="DE", default_currency="EUR", actor=actor)
    return create_api_key(merchant=merchant, mode="test", actor=actor)


@pytest.fixture
def live_key(merchant: Merchant, actor: Actor) -> NewKey:
    """The same merchant's key for real money."""
    return create_api_key(merchant=merchant, mode="live", actor=actor)


@pytest.fixture
def refunded(captured_payment: Callable[..., Payment], eur: Callable[[int], Money], api: Any) -> dict[str, str]:
    """The outside names of a payment and of its refund."""
    payment = captured_payment(eur(50_00)).public_id
    return {"payment": payment, "refund": api.post(f"/v1/payments/{payment}/refunds", {"amount": 100}).json()["id"]}


def refusal(secret: str) -> Any:
    return send(Call(ENDPOINTS[0], "/v1/payments", headers={"Authorization": f"Bearer {secret}"}, method="GET"))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda secret: secret[:-1] + ("a" if secret[-1] != "a" else "b"), id="T5 checksum"),
        pytest.param(lambda secret: secret[:-6] + secret[-6:].swapcase(), id="T5 checksum in another case"),
        pytest.param(str.upper, id="T15 upper case"),
        pytest.param(str.lower, id="T15 lower case"),
        pytest.param(lambda secret: secret.replace("test", "live"), id="T15 another mode"),
        pytest.param(lambda secret: f"{secret},Bearer {secret}", id="T13 two in one header"),
        pytest.param(lambda secret: secret[:20], id="only the prefix"),
    ],
)
def test_a_key_that_cannot_be_one_is_refused_without_asking_the_database(
    spoil: Callable[[str], str], api_key: NewKey
) -> None:
    with CaptureQueriesContext(connection) as queries:
        response = refusal(spoil(api_key.secret))

    assert response.status_code == 401
    assert response.json()["code"] == "invalid_api_key"
    assert len(queries) == 0


def test_a_well_formed_key_that_nobody_has_is_refused(api_key: NewKey) -> None:
    body = api_key.secret[:-7] + ("a" if api_key.secret[-7] != "a" else "b")

    response = refusal(body + selectors.key_checksum(body))

    assert (response.status_code, response.json()["code"]) == (401, "invalid_api_key")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_the_letter_case_of_the_scheme_does_not_matter(api_key: NewKey) -> None:
    for scheme in ("bearer", "BEARER", "bEaReR"):
        call = Call(ENDPOINTS[0], "/v1/payments", headers={"Authorization": f"{scheme} {api_key.secret}"}, method="GET")
        assert send(call).status_code == 200


def test_an_expired_key_is_refused_at_every_endpoint(merchant: Merchant, actor: Actor, complaints: Complaints) -> None:
    key = create_api_key(merchant=merchant, mode="test", actor=actor, expires_at=clock.now() - timedelta(seconds=1))

    for endpoint in ENDPOINTS:
        with complaints.about(f"T7 at {endpoint}") as check:
            response = send(good_call(endpoint, key.secret))
            complaints.refused(response, frozenset({401}), frozenset({"key_expired"}), check)


def test_a_key_that_expires_while_it_is_remembered_is_refused(merchant: Merchant, actor: Actor) -> None:
    with time_machine.travel(clock.now(), tick=False) as traveller:
        expires_at = clock.now() + timedelta(seconds=0.5)
        key = create_api_key(merchant=merchant, mode="test", actor=actor, expires_at=expires_at)
        assert refusal(key.secret).status_code == 200
        traveller.shift(timedelta(seconds=0.5))
        assert refusal(key.secret).json()["code"] == "key_expired"


def test_a_revoked_key_opens_nothing_at_once_here_and_within_a_second_elsewhere(api_key: NewKey, actor: Actor) -> None:
    assert refusal(api_key.secret).status_code == 200
    remembered = dict(selectors._cache)

    revoke_api_key(key=api_key.key, reason="lost", actor=actor)
    assert refusal(api_key.secret).json()["code"] == "key_revoked"

    selectors._cache.clear()
    selectors._cache.update(remembered)  # another process, which has not heard of it
    assert policy.KEY_CACHE_SECONDS <= 1
    time.sleep(policy.KEY_CACHE_SECONDS)
    assert refusal(api_key.secret).json()["code"] == "key_revoked"


def test_a_key_without_the_scope_is_refused_at_every_endpoint(
    merchant: Merchant, actor: Actor, complaints: Complaints
) -> None:
    for endpoint in ENDPOINTS:
        scope = endpoint.view.scopes[endpoint.method]  # type: ignore[attr-defined]
        others = [other for other in all_scopes() if other != scope]
        key = create_api_key(merchant=merchant, mode="test", actor=actor, scopes=others)
        methods = ("GET", "HEAD") if endpoint.method == "GET" else (endpoint.method,)
        for method in methods:
            call = good_call(endpoint, key.secret)
            with complaints.about(f"T11 {method} at {endpoint}") as check:
                response = send(Call(call.endpoint, call.path, call.body, headers=call.headers, method=method))
                check(response.status_code == 403, f"answered {response.status_code}")
                if method != "HEAD":
                    complaints.refused(response, frozenset({403}), frozenset({"scope_missing"}), check)


def test_what_is_somebody_elses_or_of_the_other_mode_is_not_there_at_any_endpoint(
    refunded: dict[str, str], stranger: NewKey, live_key: NewKey, complaints: Complaints
) -> None:
    for key, what in ((stranger, "T41, R15 another merchant's"), (live_key, "T9 the other mode's")):
        for endpoint in ENDPOINTS:
            if "{" not in endpoint.template:
                continue
            with complaints.about(f"{what} at {endpoint}") as check:
                foreign = send(good_call(endpoint, key.secret, **refunded))
                complaints.refused(foreign, frozenset({404}), UNKNOWN, check)
            unknown = send(good_call(endpoint, key.secret))
            assert _without_names(foreign.json()) == _without_names(unknown.json())


def test_lists_hold_nothing_of_others_and_their_ids_are_no_cursors(
    refunded: dict[str, str], stranger: NewKey, live_key: NewKey, api_key: NewKey
) -> None:
    def listed(key: NewKey, query: str = "") -> Any:
        headers = {"Authorization": f"Bearer {key.secret}"}
        return send(Call(ENDPOINTS[0], "/v1/payments", query=query, headers=headers, method="GET"))

    assert [payment["id"] for payment in listed(api_key).json()["data"]] == [refunded["payment"]]
    for key in (stranger, live_key):
        assert listed(key).json() == {"data": [], "has_more": False}
        for name in ("starting_after", "ending_before"):
            assert listed(key, f"{name}={refunded['payment']}").json()["code"] == "invalid_cursor"


def test_an_id_of_another_kind_is_not_there(refunded: dict[str, str], api_key: NewKey, complaints: Complaints) -> None:
    swapped = {"payment": refunded["refund"], "refund": refunded["payment"]}
    renamed = {"payment": f"pay_{refunded['refund'][4:]}", "refund": f"rfd_{refunded['payment'][4:]}"}
    for objects in (swapped, renamed):
        for endpoint in ENDPOINTS:
            if "{" in endpoint.template:
                with complaints.about(f"T41, R27 at {endpoint}") as check:
                    response = send(good_call(endpoint, api_key.secret, **objects))
                    complaints.refused(response, frozenset({404}), UNKNOWN, check)


def test_looking_for_somebody_elses_object_asks_the_same_of_the_database_as_for_none(
    refunded: dict[str, str], stranger: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "KEY_CACHE_SECONDS", 60)
    for endpoint in ENDPOINTS:
        if "{" not in endpoint.template:
            continue
        send(good_call(endpoint, stranger.secret))  # so that the key is remembered
        with CaptureQueriesContext(connection) as for_none:
            send(good_call(endpoint, stranger.secret))
        with CaptureQueriesContext(connection) as for_foreign:
            send(good_call(endpoint, stranger.secret, **refunded))
        assert _shapes(for_none, {}) == _shapes(for_foreign, refunded)


def test_two_merchants_and_two_modes_may_use_the_same_idempotency_key(
    api: Any, api_key: NewKey, stranger: NewKey, live_key: NewKey
) -> None:
    create = next(endpoint for endpoint in json_endpoints() if endpoint.template == "/v1/payments")
    answers = []
    for key in (api_key, stranger):
        call = good_call(create, key.secret)
        call.headers["Idempotency-Key"] = "the-same"  # type: ignore[index]
        answers.append(send(call))
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["id"] != answers[1].json()["id"]

    call = good_call(create, live_key.secret)
    call.headers["Idempotency-Key"] = "the-same"  # type: ignore[index]
    live = send(call)
    assert live.json()["code"] == "no_route"  # in this mode there is no gateway yet, so the key stays free
    assert IdempotencyKey.objects.filter(key="the-same").count() == 2


def _without_names(problem: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in problem.items() if name not in ("instance", "request_id")}


def _shapes(queries: CaptureQueriesContext, names: dict[str, str]) -> list[str]:
    """The statements with their values taken out."""
    return [query["sql"].split(" WHERE ")[0] for query in queries.captured_queries]
