"""Is a request with the same word done once, and answered with the same bytes for ever after?"""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction

from checkout.kit import clock
from checkout.kit.ids import uuid7
from merchants.models import Merchant
from merchants.services import create_api_key, create_merchant
from payments import idempotency
from payments.errors import IdempotencyKeyReused, RequestInFlight
from payments.idempotency import Claim, KeyTaken
from payments.models import IdempotencyKey, Payment

CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvv": "123"}
BODY = {"amount": 50_00, "currency": "EUR", "payment_method": {"type": "card", "card": CARD}}


@pytest.fixture
def word(merchant: Merchant) -> Callable[..., Claim]:
    """`word(key="k", body={…})`: one request's word for itself."""

    def word(key: str = "k", body: Any = BODY, mode: str = "test", path: str = "/v1/payments") -> Claim:
        return Claim.of(merchant_id=merchant.pk, mode=mode, key=key, method="POST", path=path, body=body)

    return word


def taken(claim: Claim, object_id: Any = None) -> bool:
    try:
        with transaction.atomic():
            idempotency.claim(claim, object_id=object_id or uuid7())
    except KeyTaken:
        return True
    return False


def test_a_fingerprint_is_of_the_meaning_and_holds_nothing_of_the_body(word: Callable[..., Claim]) -> None:
    same = json.loads(json.dumps(BODY, indent=4))
    assert word(body=dict(reversed(same.items()))).fingerprint == word().fingerprint

    others = [word(body={**BODY, "amount": 50_01}), word(path="/v1/payments/x/confirm"), word(body={})]
    others += [word(body={**BODY, "amount": "5000"}), word(body=[BODY])]
    assert len({claim.fingerprint for claim in [word(), *others]}) == 6
    assert "4242" not in repr(word())
    assert len(word().fingerprint) == 64


def test_without_its_key_a_fingerprint_cannot_be_guessed_at(word: Callable[..., Claim], settings: Any) -> None:
    before = word().fingerprint
    settings.IDEMPOTENCY_FINGERPRINT_KEY = "another"
    assert word().fingerprint != before


def test_nothing_of_the_request_is_stored(api: Any) -> None:
    api.post("/v1/payments", BODY, idempotency_key="k")

    row = IdempotencyKey.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM payments_idempotencykey t")
        stored = cursor.fetchone()[0]
    assert row.object_id == Payment.objects.get().pk
    for secret in ("4242424242424242", '"cvv"', "sk_test_"):
        assert secret not in stored


def test_a_key_is_taken_once_per_merchant_and_mode(word: Callable[..., Claim]) -> None:
    assert not taken(word())
    assert taken(word())
    assert taken(word(body={}))
    assert not taken(word(mode="live"))
    assert not taken(word(key="K"))


def test_a_claim_of_something_that_was_rolled_back_is_free_again(word: Callable[..., Claim]) -> None:
    with transaction.atomic():
        idempotency.claim(word(), object_id=uuid7())
        transaction.set_rollback(True)

    assert not taken(word())


def test_another_request_under_the_key_is_refused_and_the_same_waits_its_turn(word: Callable[..., Claim]) -> None:
    taken(word())

    with pytest.raises(IdempotencyKeyReused):
        idempotency.earlier(word(body={}))
    with pytest.raises(RequestInFlight) as refused:
        idempotency.earlier(word())
    assert refused.value.retry_after_seconds == 1

    IdempotencyKey.objects.update(answering_until=clock.now())
    row = idempotency.earlier(word())
    assert row is not None
    assert (row.http_status, row.body) == (None, "")


def test_the_first_frozen_answer_wins(word: Callable[..., Claim]) -> None:
    taken(word())

    assert idempotency.freeze(word(), http_status=201, body="first") == (201, "first")
    assert idempotency.freeze(word(), http_status=201, body="second") == (201, "first")
    row = idempotency.earlier(word())
    assert row is not None
    assert (row.http_status, row.body) == (201, "first")


@pytest.mark.parametrize("http_status", [202, 409, 429, 500, 502, 503])
def test_what_is_not_final_is_not_frozen(word: Callable[..., Claim], http_status: int) -> None:
    taken(word())

    assert idempotency.freeze(word(), http_status=http_status, body="not yet") == (http_status, "not yet")

    assert IdempotencyKey.objects.get().http_status is None
    assert idempotency.freeze(word(), http_status=201, body="final") == (201, "final")


@pytest.mark.parametrize(
    ("http_status", "is_kept"), [(400, True), (422, True), (409, False), (429, False), (503, False)]
)
def test_a_refusal_is_kept_if_it_is_final(word: Callable[..., Claim], http_status: int, is_kept: bool) -> None:
    idempotency.freeze_refusal(word(), http_status=http_status, body="no")

    assert IdempotencyKey.objects.exists() is is_kept
    if is_kept:
        row = idempotency.earlier(word())
        assert row is not None
        assert (row.http_status, row.body, row.object_id) == (http_status, "no", None)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_takes_the_key(word: Callable[..., Claim]) -> None:
    claims = [word() for _ in range(6)]
    results: list[bool] = []
    start = threading.Barrier(len(claims))

    def race(claim: Claim) -> None:
        start.wait()
        results.append(taken(claim))
        connection.close()

    threads = [threading.Thread(target=race, args=[claim]) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == [False] + [True] * 5


# The same over HTTP.


def test_the_same_request_again_is_answered_with_the_same_bytes_and_done_once(api: Any) -> None:
    first = api.post("/v1/payments", BODY, idempotency_key="k")
    again = [api.post("/v1/payments", body, idempotency_key="k") for body in (BODY, json.dumps(BODY, indent=1))]

    assert (first.status_code, first.json()["status"]) == (201, "captured")
    assert "Idempotent-Replayed" not in first.headers
    for answer in again:
        assert (answer.status_code, answer.content) == (201, first.content)
        assert answer.headers["Idempotent-Replayed"] == "true"
    assert api.post("/v1/payments", BODY, idempotency_key='"k"').content == first.content
    assert Payment.objects.count() == 1


def test_the_frozen_answer_stays_though_the_payment_moves_on(api: Any) -> None:
    first = api.post("/v1/payments", BODY, idempotency_key="k")
    api.post(f"/v1/payments/{first.json()['id']}/refunds", {"amount": 1_00})

    assert api.post("/v1/payments", BODY, idempotency_key="k").content == first.content
    assert api.get(f"/v1/payments/{first.json()['id']}").json()["amount_refunded"] == 1_00


def test_another_body_under_the_key_is_refused_and_does_nothing(api: Any) -> None:
    api.post("/v1/payments", BODY, idempotency_key="k")

    refused = api.post("/v1/payments", {**BODY, "amount": 1}, idempotency_key="k")

    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert Payment.objects.count() == 1


def test_a_refusal_under_a_key_is_the_answer_for_ever(api: Any) -> None:
    payment = api.pay(capture="manual").json()["id"]
    path = f"/v1/payments/{payment}/capture"

    first = api.post(path, {"amount": 50_01}, idempotency_key="k")
    again = api.post(path, {"amount": 50_01}, idempotency_key="k")

    assert (first.status_code, first.json()["code"]) == (422, "capture_exceeds_authorized")
    assert (again.status_code, again.content) == (422, first.content)
    assert again.headers["Content-Type"] == "application/problem+json"


def test_a_refusal_because_of_the_status_may_end_otherwise_next_time(api: Any, carry_out: Callable[[], int]) -> None:
    payment = api.pay(capture="manual", prefer="respond-async").json()["id"]
    path = f"/v1/payments/{payment}/capture"
    first = api.post(path, {}, idempotency_key="k")
    assert (first.status_code, first.json()["code"]) == (409, "payment_not_capturable")

    carry_out()

    assert api.post(path, {}, idempotency_key="k").json()["status"] == "captured"


def test_after_an_answer_without_the_outcome_the_same_request_learns_it(api: Any, carry_out: Callable[[], int]) -> None:
    first = api.post("/v1/payments", BODY, idempotency_key="k", prefer="respond-async")
    assert (first.status_code, first.json()["status"]) == (202, "processing")

    final = api.post("/v1/payments", BODY, idempotency_key="k")
    again = api.post("/v1/payments", BODY, idempotency_key="k", prefer="respond-async")

    assert (final.status_code, final.json()["status"]) == (201, "captured")
    assert (again.status_code, again.content) == (201, final.content)
    assert Payment.objects.count() == 1


def test_while_the_first_is_being_answered_the_second_is_told_to_wait(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    second: list[Any] = []
    monkeypatch.setattr(
        "payments.waiting.until_settled",
        lambda key, seconds: second.append(api.post("/v1/payments", BODY, idempotency_key="k")),
    )

    api.post("/v1/payments", BODY, idempotency_key="k")

    assert (second[0].status_code, second[0].json()["code"]) == (409, "idempotency_key_in_flight")
    assert second[0].headers["Retry-After"] == "1"
    assert Payment.objects.count() == 1


def test_keys_of_two_merchants_and_two_modes_never_meet(api: Any, merchant: Merchant, actor: Any) -> None:
    other = create_merchant(name="Bo", country="DE", default_currency="EUR", actor=actor)
    mine = api.post("/v1/payments", BODY, idempotency_key="k").json()["id"]

    api.secret = create_api_key(merchant=other, mode="test", actor=actor).secret
    theirs = api.post("/v1/payments", BODY, idempotency_key="k")

    assert theirs.status_code == 201
    assert theirs.json()["id"] != mine


@pytest.mark.django_db(transaction=True)
def test_a_key_whose_first_request_has_not_committed_is_in_flight(
    word: Callable[..., Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = connections.create_connection("default"), connections.create_connection("default")
    try:
        first.set_autocommit(False)
        monkeypatch.setattr(idempotency, "connection", first)
        idempotency.claim(word(), object_id=uuid7())
        monkeypatch.setattr(idempotency, "connection", second)
        with second.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
        with pytest.raises(RequestInFlight):
            idempotency.claim(word(), object_id=uuid7())
    finally:
        first.close()
        second.close()
