"""Would the search find a secret, in every form and in every place where one is looked for?"""

import base64
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpResponse

from checkout.kit.alerts import raise_alert
from checkout.kit.models import AuditEntry, User
from gateways.models import Gateway, GatewayCall, Notice
from merchants.models import WebhookEvent
from payments.models import Attempt, Card, IdempotencyKey, Payment
from tests.canary.conftest import Written, tables
from tests.canary.marks import RANGES, Search, drawn, forms, next_card

SECRET = "Xq7wZ3kP9vT2-8fG/5h+Jd"
LENGTHS = sorted(RANGES.values())


@pytest.fixture
def look() -> Search:
    """A search for marked cards and one other secret."""
    return Search({"the secret": SECRET})


def test_marked_cards_are_valid_and_no_two_are_the_same() -> None:
    numbers = [next_card().number for _ in range(100)]

    assert len({card.number for card in drawn}) == len(drawn)
    assert sorted({len(number) for number in numbers}) == sorted(set(LENGTHS))
    for number in numbers:
        doubled = "".join(str(int(digit) * (1 + place % 2)) for place, digit in enumerate(reversed(number)))
        assert sum(map(int, doubled)) % 10 == 0


@pytest.mark.parametrize("form", list(forms("4" * 16)))
def test_a_card_number_is_found_in_any_writing(form: str, look: Search) -> None:
    for _ in RANGES:
        text = forms(next_card().number)[form]
        for disguised in (text, json.dumps({"a": text}), quote(text), f"before\n{text}\tafter", f"x{text}y"):
            assert look.leaks(disguised), (form, disguised)
        assert not look.leaks(text[:7])


@pytest.mark.parametrize("secret", [SECRET, "number"], ids=["a secret", "a card number"])
def test_a_secret_is_found_in_any_encoding(secret: str, look: Search) -> None:
    word = next_card().number if secret == "number" else secret
    for offset in range(3):
        encoded = base64.b64encode(b"?" * offset + word.encode() + b"!").decode()
        assert look.leaks(f"before {encoded} after")
        assert look.leaks(base64.urlsafe_b64encode(b"?" * offset + word.encode()).decode())
    assert look.leaks(f"\\x{word.encode().hex()}")
    assert look.leaks(word.encode().hex().upper())
    assert look.leaks(f"/path?x={quote(word, safe='')}")
    assert look.leaks(f"cut off {word[: 10 if secret == 'number' else None]}")


@pytest.mark.parametrize(
    "text", ['{"cvv":"%s"}', "cvv=%s", "<cvv>%s</cvv>", '{\\"cvv\\":\\"%s\\"}', '{"a": "%s"}', "{'a': '%s'}", "CVC2 %s"]
)
def test_a_verification_value_is_found_where_it_is_named_or_stands_alone(text: str, look: Search) -> None:
    cvv = next_card().cvv

    assert look.leaks(text % cvv)
    assert not look.leaks(text % "099")  # nobody's
    assert bool(look.leaks(text % cvv, is_page=True)) is (("cv" in text) or ("CV" in text))


def test_what_is_no_secret_is_not_taken_for_one(look: Search) -> None:
    card = next_card()
    for text in (
        f'{{"last4":"{card.number[-4:]}"}}',
        f'{{"last4": "{card.cvv}"}}',
        f"amount {card.cvv}",
        "4999 77",
        "",
    ):
        assert not look.leaks(text), text


def test_a_complaint_is_no_leak_itself(look: Search) -> None:
    for text in forms(next_card().number).values():
        for complaint in look.leaks(f"something {text} something"):
            assert not look.leaks(complaint)


Plant = Callable[[str, Any], object]

IN_TABLES: dict[str, Plant] = {
    "payments_payment": lambda word, row: Payment.objects.filter(pk=row.payment_id).update(metadata={"a": [word]}),
    "payments_attempt": lambda word, row: Attempt.objects.filter(pk=row.pk).update(gateway_reference=word),
    "payments_card": lambda word, row: Card.objects.update(holder_name=word),
    "payments_evidence": lambda word, row: row.evidence.create(
        at="2026-01-01T00:00Z", source="response", outcome="unknown", detail=word
    ),
    "payments_idempotencykey": lambda word, row: IdempotencyKey.objects.create(
        merchant_id=row.payment.merchant_id,
        mode="test",
        key="k",
        fingerprint="f",
        body=f'{{"a":"{word}"}}',
        answering_until="2026-01-01T00:00Z",
        created_at="2026-01-01T00:00Z",
    ),  # fmt: skip
    "kit_auditentry": lambda word, row: AuditEntry.objects.create(
        actor="a", verb="v", object_type="o", object_id="i", after={"a": word}
    ),
    "kit_alert": lambda word, row: raise_alert(kind="k", message=word),
    "merchants_webhookevent": lambda word, row: WebhookEvent.objects.update(data={"a": word}),
    "gateways_gateway": lambda word, row: Gateway.objects.filter(pk=row.gateway_id).update(base_url=f"https://{word}"),
    "gateways_gatewaycall": lambda word, row: GatewayCall.objects.update(detail=word),
    "gateways_notice": lambda word, row: Notice.objects.create(
        gateway_id=row.gateway_id,
        notice_id="n",
        reference="r",
        outcome="unknown",
        body=f"<a>{word}</a>",
        received_at="2026-01-01T00:00Z",
    ),  # fmt: skip
    "django_admin_log": lambda word, row: LogEntry.objects.create(
        user=User.objects.create_user("a"),
        action_flag=1,
        object_repr=word,
        content_type=ContentType.objects.get_for_model(Payment),
    ),  # fmt: skip
    "django_session": lambda word, row: _in_session(word),
    "gateways_historicalgateway": lambda word, row: _in_history(word, row.gateway),
}


def _in_session(word: str) -> None:
    store = SessionStore()
    store.create()
    # Sessions are compressed where that is shorter: what is searched is what is stored.
    store.model.objects.update(session_data=base64.b64encode(word.encode()).decode())


def _in_history(word: str, gateway: Gateway) -> None:
    gateway.name = word
    gateway.save()
    Gateway.objects.update(name="North")


@pytest.mark.parametrize("is_card", [True, False], ids=["a card number", "a secret"])
@pytest.mark.parametrize("table", list(IN_TABLES))
def test_a_secret_is_found_in_a_table(table: str, is_card: bool, captured_payment: Any, eur: Any, look: Search) -> None:
    attempt = captured_payment(eur(50_00)).attempts.select_related("payment", "gateway").get()
    assert not any(look.leaks(text) for text in tables().values())

    IN_TABLES[table](next_card().number if is_card else SECRET, attempt)

    assert {name for name, text in tables().items() if look.leaks(text)} == {f"table {table}"}


def test_a_secret_is_found_in_everything_else_that_is_kept(written: Written, look: Search) -> None:
    card = next_card()
    logging.getLogger("anybody").debug("%s", base64.b64encode(card.number.encode()).decode())
    written.answer(HttpResponse(f'{{"a":"{card.number}"}}', content_type="application/json"))
    written.answer(HttpResponse(f"<p>{card.number}</p>"))
    written.answer(HttpResponse("<p></p>", headers={"Location": f"/?card={card.number}"}))
    written.texts["webhook"].append(f'{{"data":{{"cvv":"{card.cvv}"}}}}')
    written.texts["metrics"].append(f'a_total{{b="{SECRET}"}} 1')

    places = {"log", "answer", "header", "page", "webhook", "metrics"}
    assert {leak.partition(":")[0] for leak in written.leaks(look)} == places


def test_an_encrypted_column_is_searched_and_gives_nothing_away(created_payment: Any, eur: Any, look: Search) -> None:
    card = next_card()
    payment = created_payment(eur(50_00), number=card.number)
    [(stored, secret)] = Card.objects.values_list("pk", "payments__cardsecret__cvv")

    assert secret == "123"
    assert payment.card.number == card.number
    assert "674141" in tables()["table payments_card"]  # gAA, the first letters of what is encrypted, in hexadecimal
    assert not any(look.leaks(text) for text in tables().values())
