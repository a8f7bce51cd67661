"""Where is a card number after a payment? In the vault, encrypted, and in no other column, answer or line of log."""

import base64
import logging
from typing import Any

import pytest

from checkout.kit.models import AuditEntry
from merchants.models import WebhookEvent
from merchants.services import NewKey
from payments.models import Card, CardSecret, IdempotencyKey, Payment
from payments.vault import fingerprint_of
from tests.bad_inputs.calls import CARD_NUMBER, CVV, METHOD
from tests.bad_inputs.conftest import Lines, texts_of_database

DISGUISES = (
    CARD_NUMBER,
    "4242 4242 4242 4242",
    base64.b64encode(CARD_NUMBER.encode()).decode().rstrip("="),
    CARD_NUMBER.encode().hex(),
    f'"{CVV}"',
    f"={CVV}",
    f": {CVV}",
)


def assert_holds_no_card_data(text: str, where: str) -> None:
    found = [disguise for disguise in DISGUISES if disguise in text]
    assert not found, f"{len(found)} kinds of card data in {where}"


@pytest.mark.parametrize(
    "number", [CARD_NUMBER, "4000000000000002", "4000000000009995"], ids=["good", "declined", "poor"]
)
def test_a_payment_leaves_card_data_nowhere(
    number: str, api: Any, caplog: pytest.LogCaptureFixture, lines: Lines, api_key: NewKey
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger(__name__).info("the log is heard")
    card = {**METHOD["card"], "number": number}  # type: ignore[dict-item]
    body = {"amount": 5000, "currency": "EUR", "payment_method": {"type": "card", "card": card}}

    answers = [api.post("/v1/payments", body, prefer="respond-async"), api.post("/v1/payments", body)]
    while_processing = texts_of_database()
    for answer in answers:
        path = f"/v1/payments/{answer.json()['id']}"
        answers = [*answers, api.get(path), api.get(f"{path}/attempts")]

    assert answers[0].json()["status"] == "processing"
    assert Card.objects.count() == 2
    for text, where in (
        (while_processing, "the database"),
        (texts_of_database(), "the database, later"),
        (caplog.text, "the log"),
        ("\n".join(str(vars(record)) for record in caplog.records), "the records of the log"),
        ("\n".join(lines.written), "the log as written"),
        ("\n".join(answer.content.decode() for answer in answers), "the answers"),
        ("\n".join(str(answer.headers) for answer in answers), "the headers of the answers"),
    ):
        assert text
        assert_holds_no_card_data(text.replace(number, CARD_NUMBER), where)
        assert api_key.secret not in text


def test_the_scan_would_find_a_card_number(api: Any) -> None:
    payment = Payment.objects.get(pk=_paid(api).pk)
    Payment.objects.filter(pk=payment.pk).update(metadata={"note": CARD_NUMBER})

    with pytest.raises(AssertionError, match="card data"):
        assert_holds_no_card_data(texts_of_database(), "the database")


def test_what_is_kept_of_a_card_is_what_may_be_shown(api: Any) -> None:
    card = _paid(api).card

    assert card is not None
    assert (card.number, card.last4, card.brand) == (CARD_NUMBER, "4242", "visa")  # decrypted here, with our key
    assert card.fingerprint == fingerprint_of(CARD_NUMBER) != CARD_NUMBER
    assert CARD_NUMBER not in repr(card) + str(card) + repr(vars(card)["fingerprint"])


def test_the_verification_value_is_gone_with_the_outcome(api: Any) -> None:
    _paid(api)
    assert CardSecret.objects.count() == 0


def test_events_and_audit_tell_nothing_of_the_card(api: Any) -> None:
    _paid(api)

    told = [*WebhookEvent.objects.values_list("data", flat=True), *AuditEntry.objects.values_list("after", flat=True)]
    assert len(told) > 4
    assert_holds_no_card_data(str(told), "events and audit")
    assert "4242" not in str(told)
    assert "fingerprint" not in str(told)


def test_a_refused_card_is_not_kept_under_its_key(api: Any) -> None:
    card = {**METHOD["card"], "cvv": "12"}  # type: ignore[dict-item]
    body = {"amount": 5000, "currency": "EUR", "payment_method": {"type": "card", "card": card}}

    assert api.post("/v1/payments", body).status_code == 400

    assert IdempotencyKey.objects.count() == Card.objects.count() == 0
    assert_holds_no_card_data(texts_of_database(), "the database")


def test_an_error_of_ours_shows_no_card_in_answer_or_log(
    api: Any, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    def fail(**values: Any) -> None:
        raise RuntimeError(f"unexpected {CARD_NUMBER} with cvv={CVV}: {values}")

    monkeypatch.setattr("payments.services.create_payment", fail)
    answer = api.pay(5000, number=CARD_NUMBER)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "Traceback" in "".join(lines.written)
    assert_holds_no_card_data(answer.content.decode() + "".join(lines.written), "answer and log")
    assert CVV not in answer.content.decode()


def _paid(api: Any) -> Payment:
    body = {"amount": 5000, "currency": "EUR", "payment_method": METHOD}
    assert api.post("/v1/payments", body).json()["status"] == "captured"
    return Payment.objects.select_related("card").get()
