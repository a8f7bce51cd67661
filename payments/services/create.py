"""How does a payment begin?"""

from dataclasses import dataclass, field
from typing import Any

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from checkout.kit.ids import uuid7
from checkout.kit.money import Money
from checkout.settings import policy
from gateways import selectors as gateway_selectors
from gateways.base import CardData
from gateways.models import Gateway
from gateways.routing import Decision
from merchants.errors import MerchantSuspended
from merchants.models import Merchant
from payments import idempotency, selectors, vault
from payments.errors import PaymentMethodMissing, PaymentNotConfirmable
from payments.idempotency import Claim
from payments.models import Payment
from payments.services.attempts import add_charge
from payments.services.changes import Changes
from payments.statuses import PAYMENT, Event


@dataclass(frozen=True)
class PaymentOrder:
    """What a merchant asks for. `country` is the customer's, ISO 3166-1 alpha-2; an amount of zero verifies the card.

    `return_url` is where the customer comes back to after a challenge of the card's bank.
    """

    amount: Money
    country: str
    capture_mode: str = Payment.CaptureMode.AUTOMATIC
    payment_method_type: str = "card"
    merchant_reference: str = ""
    description: str = ""
    customer_email: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    return_url: str = ""


def create_payment(
    *,
    merchant: Merchant,
    mode: str,
    order: PaymentOrder,
    actor: Actor,
    card: CardData | None = None,
    confirm: bool = True,
    claim: Claim | None = None,
) -> Payment:
    """Commit a new payment and, if it is to be confirmed, its first attempt; then ring for a worker.

    Refuses: MerchantSuspended, PaymentMethodMissing (to confirm without a card), NoRoute, KeyTaken.
    """
    if not merchant.is_active:
        raise MerchantSuspended()
    if confirm and card is None:
        raise PaymentMethodMissing()
    route = gateway_selectors.route_or_refuse(**_question(order, mode))
    with durable("create"):
        key = uuid7()
        idempotency.claim(claim, object_id=key)
        now = clock.now()
        payment = Payment(
            id=key,
            merchant=merchant,
            mode=mode,
            amount_minor=order.amount.amount_minor,
            currency=order.amount.currency,
            capture_mode=order.capture_mode,
            country=order.country,
            payment_method_type=order.payment_method_type,
            merchant_reference=order.merchant_reference,
            description=order.description,
            customer_email=order.customer_email,
            metadata=order.metadata,
            return_url=order.return_url,
            created_at=now,
            expires_at=clock.seconds_from_now(policy.CREATED_EXPIRY_SECONDS),
        )
        changes = Changes(payment, actor)
        changes.created()
        if card is not None:
            payment.card = vault.new_card(merchant=merchant, mode=mode, card=card)
            changes.add(payment.card)
            changes.add(vault.new_secret(payment=payment, cvv=card.cvv))
        if confirm:
            _confirm(changes, *route)
        changes.write()
    return payment


def confirm_payment(
    *, payment: Payment, actor: Actor, card: CardData | None = None, claim: Claim | None = None
) -> Payment:
    """Commit that a created, declined or failed payment is to be processed, with another card if one is given.

    Without a card the one given at creation is used, while its verification value is still kept.
    Refuses: MerchantSuspended, PaymentNotConfirmable, PaymentMethodMissing, NoRoute, KeyTaken.
    """
    if not payment.merchant.is_active:
        raise MerchantSuspended()
    if not PAYMENT.allows(payment.status, Event.CONFIRM):
        raise PaymentNotConfirmable(status=payment.status)
    order = PaymentOrder(
        amount=payment.amount, country=payment.country, payment_method_type=payment.payment_method_type
    )
    route = gateway_selectors.route_or_refuse(**_question(order, payment.mode))
    with durable("confirm"):
        idempotency.claim(claim, object_id=payment.pk)
        payment = selectors.lock_payment(payment.pk)
        is_late = payment.expires_at is not None and payment.expires_at <= clock.now()
        if is_late or payment.cancel_requested_at or not PAYMENT.allows(payment.status, Event.CONFIRM):
            raise PaymentNotConfirmable(status="expired" if is_late else payment.status)
        changes = Changes(payment, actor)
        if card is not None:
            payment.card = vault.new_card(merchant=payment.merchant, mode=payment.mode, card=card)
            changes.add(payment.card)
            vault.forget_secret(payment_id=payment.pk)
            changes.add(vault.new_secret(payment=payment, cvv=card.cvv))
        elif not vault.has_secret(payment=payment):
            raise PaymentMethodMissing()
        _confirm(changes, *route)
        changes.write()
    return payment


def _confirm(changes: Changes, decision: Decision, gateway: Gateway) -> None:
    """The inner step of both: processing, and the first attempt of this confirmation inserted."""
    payment = changes.payment
    payment.confirmation += 1
    payment.decline_code = ""
    changes.advance(Event.CONFIRM)
    add_charge(changes=changes, gateway=gateway, decision=decision)


def _question(order: PaymentOrder, mode: str) -> dict[str, Any]:
    return {
        "country": order.country,
        "currency": order.amount.currency,
        "mode": mode,
        "payment_method_type": order.payment_method_type,
        "amount_minor": order.amount.amount_minor,
    }
