"""Does a payment begin whole, or not at all?"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from checkout.kit import clock
from checkout.kit.models import AuditEntry
from checkout.settings import policy
from gateways.errors import NoRoute
from gateways.models import Gateway
from merchants.errors import MerchantSuspended
from merchants.models import Merchant, WebhookEvent
from merchants.services import set_merchant_status
from payments import services
from payments.errors import PaymentMethodMissing, PaymentNotConfirmable
from payments.models import Attempt, Card, CardSecret, IdempotencyKey, Payment
from payments.services import PaymentOrder
from payments.statuses import AttemptStatus, NextAction, Status
from payments.tests.answers import HARD, bring, charges, events, last, tell, trace

Create = Callable[..., Payment]
SECRETS = '4242424242424242|[ ,"(]123[ ,")]'  # the card's number and its verification value, as a value of its own


@pytest.fixture
def create(merchant: Merchant, regions: Any, card: Callable[..., Any], actor: Any, eur: Any) -> Create:
    """`create(country="BR")`: a payment of 50 euros, as ordered."""

    def create(**changes: Any) -> Payment:
        order = {name: changes.pop(name) for name in ("country", "amount") if name in changes}
        return services.create_payment(
            **{
                "merchant": merchant,
                "mode": "test",
                "order": replace(PaymentOrder(amount=eur(50_00), country="DE"), **order),
                "card": card(),
                "actor": actor,
                **changes,
            }
        )

    return create


def nothing_is_there() -> bool:
    models: list[Any] = [Payment, Attempt, Card, CardSecret, IdempotencyKey, WebhookEvent]
    return not any(model.objects.exists() for model in models) and not AuditEntry.objects.filter(object_type="payment")


def test_a_confirmed_payment_is_processing_with_an_attempt_that_is_due_now(create: Create) -> None:
    payment = create()

    assert payment.status == Status.PROCESSING
    attempt = payment.attempts.get()
    assert (attempt.status, attempt.next_action, attempt.gateway.code) == (
        AttemptStatus.CREATED,
        NextAction.SEND,
        "north",
    )
    assert attempt.next_action_at is not None
    assert attempt.next_action_at <= clock.now()
    assert (attempt.amount_minor, attempt.currency, attempt.decision["chosen"]) == (50_00, "EUR", "north")
    assert events(payment) == ["payment.created", "payment.processing"]
    verbs = AuditEntry.objects.filter(object_id=payment.public_id).order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["payment.create", "payment.confirm"]


def test_an_unconfirmed_payment_waits_ten_minutes_and_nothing_is_due(create: Create, eur: Any) -> None:
    payment = create(confirm=False)

    assert (payment.status, payment.amount, payment.attempts.count()) == (Status.CREATED, eur(50_00), 0)
    assert payment.expires_at is not None
    assert 590 < (payment.expires_at - clock.now()).total_seconds() <= 600


def test_the_card_is_kept_unreadable_and_without_its_verification_value(create: Create) -> None:
    create(confirm=False)

    with connection.cursor() as cursor:
        for table in ("payments_card", "payments_cardsecret", "payments_payment", "kit_auditentry"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text ~ %s", [SECRETS])  # noqa: S608
            assert cursor.fetchone() == (0,), table
    kept = Card.objects.get()
    assert (kept.number, kept.last4, kept.brand) == ("4242424242424242", "4242", "visa")
    assert CardSecret.objects.get().cvv == "123"
    assert "4242424242424242" not in repr(vars(kept) | {"number": ""})


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"card": None}, PaymentMethodMissing),
        ({"country": "BR", "mode": "live"}, NoRoute),
        ({"mode": "live"}, NoRoute),
    ],
    ids=["no card", "no gateway there", "no live gateway"],
)
def test_what_cannot_begin_is_refused_and_leaves_no_trace(
    create: Create, changes: dict[str, Any], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        create(**changes)

    assert nothing_is_there()


def test_a_currency_that_no_gateway_takes_is_refused_and_leaves_no_trace(create: Create) -> None:
    Gateway.objects.update(currencies=["USD"])

    with pytest.raises(NoRoute, match="EUR from DE"):
        create()

    assert nothing_is_there()


def test_a_suspended_merchant_begins_nothing_and_may_finish_what_is_open(
    create: Create, merchant: Merchant, actor: Any, authorized_payment: Callable[..., Payment], eur: Any
) -> None:
    open_payment, authorized = create(confirm=False), authorized_payment(eur(50_00))
    before = Payment.objects.count()
    suspended = set_merchant_status(merchant=merchant, status="suspended", reason="unpaid", actor=actor)

    with pytest.raises(MerchantSuspended):
        create(merchant=suspended)
    open_payment.refresh_from_db()
    with pytest.raises(MerchantSuspended):
        services.confirm_payment(payment=open_payment, actor=actor)
    assert Payment.objects.count() == before

    services.capture_payment(payment=authorized, actor=actor)
    assert last(authorized).operation == "capture"


# Confirming.


def test_a_created_payment_is_confirmed_with_the_card_it_came_with(create: Create, actor: Any) -> None:
    payment = services.confirm_payment(payment=create(confirm=False), actor=actor)

    assert (payment.status, charges(payment)) == (Status.PROCESSING, [("north", "created")])
    assert Card.objects.count() == 1


def test_a_declined_payment_may_be_tried_with_another_card_and_starts_at_the_first_gateway(
    create: Create, card: Callable[..., Any], actor: Any
) -> None:
    payment = create()
    payment = tell(bring(last(payment), "sent"), HARD).payment
    assert (payment.status, payment.decline_code, CardSecret.objects.count()) == (Status.DECLINED, "stolen_card", 0)

    payment = services.confirm_payment(payment=payment, card=card("5555555555554444"), actor=actor)

    assert (payment.status, payment.decline_code, payment.confirmation) == (Status.PROCESSING, "", 2)
    assert charges(payment) == [("north", "declined"), ("north", "created")]
    assert payment.card is not None
    assert (payment.card.last4, CardSecret.objects.count()) == ("4444", 1)


def test_a_card_whose_verification_value_is_gone_cannot_be_used_again(create: Create, actor: Any) -> None:
    declined = tell(bring(last(create()), "sent"), HARD).payment
    old = create(confirm=False)
    CardSecret.objects.filter(payment=old).update(expires_at=clock.now())

    for payment in (declined, old):
        before = trace(payment)
        with pytest.raises(PaymentMethodMissing):
            services.confirm_payment(payment=payment, actor=actor)
        assert trace(payment) == before


@pytest.mark.parametrize("status", [Status.PROCESSING, Status.AUTHORIZED, Status.CAPTURED, Status.CANCELED])
def test_what_is_under_way_or_over_cannot_be_confirmed(
    create: Create, card: Callable[..., Any], actor: Any, status: str
) -> None:
    payment = create(confirm=False)
    Payment.objects.update(status=status)
    before = trace(payment)

    with pytest.raises(PaymentNotConfirmable):  # also by one who read it before it moved on
        services.confirm_payment(payment=payment, card=card(), actor=actor)

    payment.refresh_from_db()
    assert (trace(payment), payment.status, payment.confirmation) == (before, status, 0)


def test_after_its_ten_minutes_it_cannot_be_confirmed_even_if_nobody_has_expired_it_yet(
    create: Create, card: Callable[..., Any], actor: Any
) -> None:
    payment = create(confirm=False)

    later = clock.now() + timedelta(seconds=policy.CREATED_EXPIRY_SECONDS + 1)
    with time_machine.travel(later), pytest.raises(PaymentNotConfirmable, match="expired"):
        services.confirm_payment(payment=payment, card=card(), actor=actor)
