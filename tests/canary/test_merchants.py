"""Is a secret kept that a merchant's software sends, rightly or wrongly? Marked ones go in by every way there is, and
then everything is searched.
"""

from collections.abc import Callable
from typing import Any

from django.test import Client

from merchants.services import EndpointSecret, NewKey
from payments.models import Payment
from tests.canary import ways_in
from tests.canary.conftest import Written
from tests.canary.marks import drawn, forms, next_card

PAYMENTS = 100
Nothing = Callable[..., None]


def draws(count: int) -> Callable[[], None]:
    """From now on at least so many marked cards are drawn; the answer is to be called at the end."""
    before = len(drawn)

    def enough() -> None:
        assert len(drawn) - before >= count, f"only {len(drawn) - before} cards were marked"

    return enough


def test_payments_of_many_cards_in_one_step_and_in_two(
    api: Any, written: Written, carry_out: Callable[[], int], nothing_is_to_be_read: Nothing
) -> None:
    enough = draws(PAYMENTS)
    for number in range(PAYMENTS):
        card = next_card()
        in_two_steps = number % 2
        body = {**ways_in.GOOD, "payment_method": card.method, "merchant_reference": f"order-{number}"}
        capture = "manual" if number % 5 == 0 else "automatic"
        made = written.answer(
            api.post("/v1/payments", {**body, "capture": capture, "confirm": not in_two_steps}, prefer="respond-async")
        )
        assert made.status_code in (201, 202), made.content
        payment = f"/v1/payments/{made.json()['id']}"
        if in_two_steps:
            other = {"payment_method": next_card().method} if number % 3 == 0 else {}
            assert written.answer(api.post(f"{payment}/confirm", other, prefer="respond-async")).status_code == 202
        if number % 25 == 0:
            carry_out()
            for path in (payment, f"{payment}/attempts", "/v1/payments"):
                assert written.answer(api.get(path)).status_code == 200
            written.answer(api.post(f"{payment}/{'capture' if capture == 'manual' else 'refunds'}", {}))
            written.answer(api.get(f"{payment}/refunds"))
    carry_out()
    assert Payment.objects.filter(status__in=["authorized", "captured"]).count() >= PAYMENTS - 5
    enough()
    nothing_is_to_be_read(on_pages=True)


def test_words_in_the_wrong_fields_are_refused(
    api: Any, written: Written, api_key: NewKey, endpoint: EndpointSecret, nothing_is_to_be_read: Nothing
) -> None:
    enough = draws(300)
    payment_id = api.pay().json()["id"]
    for name, send in ways_in.fields(api, payment_id).items():
        words = {form: forms(next_card().number)[form] for form in forms("4" * 16)}
        for form, word in {**words, "an API key": api_key.secret, "a webhook secret": endpoint.secret}.items():
            answer = written.answer(send(word))
            assert answer.status_code == 400, f"{form} as {name}: {answer.status_code} {answer.content!r}"
    assert Payment.objects.count() == 1
    enough()
    nothing_is_to_be_read()


def test_words_where_they_do_no_harm_are_forgotten(
    api: Any,
    stranger: Client,
    written: Written,
    api_key: NewKey,
    endpoint: EndpointSecret,
    nothing_is_to_be_read: Nothing,
) -> None:
    enough = draws(200)
    payment_id = api.pay().json()["id"]
    for name, send in ways_in.ignored(api, stranger, payment_id).items():
        words = {form: forms(next_card().number)[form] for form in ("plain", "spaced", "fullwidth", "in a sentence")}
        for form, word in {**words, "an API key": api_key.secret, "a webhook secret": endpoint.secret}.items():
            answer = written.answer(send(word))
            assert answer.status_code < 500, f"{form} as {name}: {answer.status_code} {answer.content!r}"
    enough()
    nothing_is_to_be_read()


def test_bodies_that_are_no_json_are_refused(api: Any, written: Written, nothing_is_to_be_read: Nothing) -> None:
    for name, body, media_type in ways_in.malformed():
        answer = written.answer(ways_in.post_raw(api, body, media_type))
        assert answer.status_code in (400, 413, 415), f"{name}: {answer.status_code} {answer.content!r}"
    assert not Payment.objects.exists()
    nothing_is_to_be_read()
