"""What is bought in a day? Payments and refunds, at the gateways and in our books, in bulk."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import transaction

from checkout.kit import audit
from checkout.kit.actors import Actor
from checkout.kit.ids import uuid7
from checkout.kit.models import AuditEntry
from checkout.kit.modes import Mode
from checkout.kit.money import CURRENCY_DECIMALS, Money
from gateways.models import Gateway
from gateways.services import create_gateway
from gateways.simulator.bank import Bank
from gateways.simulator.book import Book
from gateways.simulator.calls import CHARGE, DECLINED, REFUND, Call, Operation
from gateways.simulator.settings import GatewaySettings
from ledger import fees, recipes
from ledger import services as ledger
from ledger.recipes import JournalDraft, MerchantFact
from merchants.models import Merchant
from merchants.services import create_merchant
from payments.models import Attempt, Payment, Refund
from payments.statuses import AttemptStatus, RefundStatus, Status
from payments.statuses import Operation as AttemptOperation

ACTOR = Actor.command("simulate_month")
CURRENCIES = ("EUR", "USD", "GBP", "JPY")
PAID_IN = (*CURRENCIES, "CHF", "KRW", "KWD", "BHD")  # a line in a wrong currency is still one that a gateway may use
FEE_BPS, FEE_FIXED_MINOR = 290, 30
# code, name, adapter, settlement format
GATEWAYS = (
    ("month-north", "Northgate", "simulator_json", "checkout-1"),
    ("month-south", "Southbank Pay", "simulator_xml", "adyen-settlement-details"),
    ("month-east", "Eastern Acquiring", "simulator_json", "stripe-itemized"),
)
MERCHANTS = ("Ana's Flowers", "Bruno Books", "Chen Cycles")
_GOOD_CARD, _DECLINED_CARD = "4242424242424242", "4000000000000002"
_DECLINED_SHARE, _REFUND_SHARE = 0.05, 0.06
_UNUSED = "nobody-asks"  # what would be a credential, if these gateways were called over the network
_AT_ONCE = 500
_REFUNDABLE_KEPT = 5_000


@dataclass
class Sale:
    """A captured payment that may still be refunded."""

    payment: Payment
    attempt: Attempt
    gateway: Gateway


class Market:
    """Merchants, gateways and their banks; the same seed trades the same."""

    def __init__(self, book: Book, seed: int) -> None:
        self.gateways = [_gateway(*row) for row in GATEWAYS]
        self.merchants = [
            create_merchant(name=name, country="DE", default_currency="EUR", fee_bps=420, tax_bps=1_900, actor=ACTOR)
            for name in MERCHANTS
        ]
        self.now = datetime.now(UTC)
        self._random = random.Random(seed)  # noqa: S311  trade, not secrets
        self._book = book
        self._banks = {
            gateway.pk: Bank(book, gateway.code, is_multi_capture=True, clock=lambda: self.now)
            for gateway in self.gateways
        }
        self._refundable: list[Sale] = []

    def settings(self, gateway: Gateway) -> GatewaySettings:
        """The gateway as the simulator knows it."""
        form = next(form for code, _, _, form in GATEWAYS if code == gateway.code)
        return GatewaySettings(
            code=gateway.code,
            name=gateway.name,
            dialect=gateway.data_format,
            api_key=_UNUSED,
            notice_secret=_UNUSED,
            merchant_id=gateway.code,
            fee_bps=FEE_BPS,
            fee_fixed_minor=FEE_FIXED_MINOR,
            settlement_format=form,
        )

    def trade(self, on: date, count: int) -> int:
        """So many payments over a day, and some refunds of these and earlier ones. Returns how many refunds."""
        begin, refund_count = datetime.combine(on, time(0, 5), UTC), 0
        step = timedelta(hours=23, minutes=50) / max(count, 1)
        for start in range(0, count, _AT_ONCE):
            with self._book.transaction():
                payments, attempts, drafts = [], [], []
                for number in range(start, min(start + _AT_ONCE, count)):
                    self.now = begin + step * number
                    payment, attempt, entries = self._sale()
                    payments.append(payment)
                    attempts.append(attempt)
                    drafts += entries
                _write(payments, attempts, drafts)
                refund_count += self._refunds(max(1, round(len(payments) * _REFUND_SHARE)))
        return refund_count

    def _sale(self) -> tuple[Payment, Attempt, list[JournalDraft]]:
        rng = self._random
        gateway, merchant = rng.choice(self.gateways), rng.choice(self.merchants)
        currency = rng.choice(CURRENCIES)
        amount = Money(rng.randint(500, 90_000) * (1 if CURRENCY_DECIMALS[currency] else 10), currency)
        is_good = rng.random() >= _DECLINED_SHARE
        payment = Payment(
            merchant=merchant,
            mode=Mode.TEST,
            status=Status.CAPTURED if is_good else Status.DECLINED,
            amount_minor=amount.amount_minor,
            currency=currency,
            country="DE",
            merchant_reference=f"order-{rng.getrandbits(40):x}",
            gateway=gateway,
            attempt_count=1,
            confirmation=1,
            created_at=self.now,
        )
        if is_good:
            payment.authorized_minor = payment.captured_minor = amount.amount_minor
        else:
            payment.decline_code = "do_not_honor"
        attempt = self._attempt(payment, gateway, AttemptOperation.AUTHORIZE, 1, amount, is_sale=True)
        card = _GOOD_CARD if is_good else _DECLINED_CARD
        operation = self._ask(
            gateway,
            CHARGE,
            attempt,
            amount_minor=amount.amount_minor,
            currency=currency,
            capture=True,
            card_number=card,
        )
        attempt.gateway_reference = operation.id
        if operation.status == DECLINED:
            attempt.status, attempt.decline_code = AttemptStatus.DECLINED, payment.decline_code
            return payment, attempt, []
        self._refundable.append(Sale(payment, attempt, gateway))
        return payment, attempt, self._captured(payment, attempt, merchant, gateway, amount)

    def _captured(
        self, payment: Payment, attempt: Attempt, merchant: Merchant, gateway: Gateway, amount: Money
    ) -> list[JournalDraft]:
        fee, tax = fees.platform_fee(
            amount=amount, fee_bps=merchant.fee_bps, fixed_minor=merchant.fee_fixed_minor, tax_bps=merchant.tax_bps
        )
        return recipes.for_capture(
            amount=amount,
            gateway_fee=fees.gateway_fee(amount=amount, fee_bps=gateway.fee_bps, fixed_minor=gateway.fee_fixed_minor),
            platform_fee=fee,
            tax=tax,
            release=True,
            **self._fact(payment, attempt, attempt.reference),
        )

    def _refunds(self, count: int) -> int:
        """Give back all or a part of sales drawn from those of the last days."""
        rng, sales = self._random, self._refundable
        refunds, attempts, drafts, payments = [], [], [], []
        for _ in range(min(count, len(sales))):
            self.now += timedelta(milliseconds=1)  # nothing happens twice at one time, so that a seed replays
            sale = sales.pop(rng.randrange(len(sales)))
            payment = sale.payment
            amount = Money(
                rng.choice([payment.captured_minor, rng.randint(1, payment.captured_minor)]), payment.currency
            )
            refund = Refund(
                id=uuid7(),
                payment=payment,
                status=RefundStatus.SUCCEEDED,
                amount_minor=amount.amount_minor,
                currency=amount.currency,
                created_at=self.now,
            )
            attempt = self._attempt(payment, sale.gateway, AttemptOperation.REFUND, 2, amount, parent=sale.attempt)
            attempt.refund = refund
            operation = self._ask(
                sale.gateway,
                REFUND,
                attempt,
                charge_id=sale.attempt.gateway_reference,
                amount_minor=amount.amount_minor,
            )
            if operation.status == DECLINED:  # somebody at the gateway's own desk gave that money back before us
                continue
            attempt.gateway_reference = operation.id
            payment.refunded_minor, payment.attempt_count = amount.amount_minor, 2
            fact = self._fact(payment, attempt, refund.public_id)
            fact["clearing_reference"] = attempt.reference
            nothing = Money(0, amount.currency)
            drafts.append(recipes.refund_requested(from_available=amount, from_receivable=nothing, **fact))
            drafts += recipes.for_refund_succeeded(amount=amount, **fact)
            refunds.append(refund)
            attempts.append(attempt)
            payments.append(payment)
        with transaction.atomic():
            Refund.objects.bulk_create(refunds)
            AuditEntry.objects.bulk_create(_given_back(refund) for refund in refunds)
            Attempt.objects.bulk_create(attempts)
            Payment.objects.bulk_update(payments, ["refunded_minor", "attempt_count"])
            ledger.record_entries(drafts)
        del sales[: max(0, len(sales) - _REFUNDABLE_KEPT)]
        return len(refunds)

    def _attempt(
        self,
        payment: Payment,
        gateway: Gateway,
        operation: AttemptOperation,
        seq: int,
        amount: Money,
        *,
        is_sale: bool = False,
        parent: Attempt | None = None,
    ) -> Attempt:
        return Attempt(
            payment=payment,
            gateway=gateway,
            parent=parent,
            seq=seq,
            confirmation=1,
            operation=operation,
            status=AttemptStatus.SUCCEEDED,
            amount_minor=amount.amount_minor,
            currency=amount.currency,
            is_sale=is_sale,
            actor=str(ACTOR),
            created_at=self.now,
            sent_at=self.now,
            finished_at=self.now,
        )

    def _ask(self, gateway: Gateway, kind: str, attempt: Attempt, **values: object) -> Operation:
        call = Call(kind, attempt.reference, **values)  # type: ignore[arg-type]
        operation, _ = self._banks[gateway.pk].submit(call, profile="by_card", late_seconds=0)
        return operation

    def _fact(self, payment: Payment, attempt: Attempt, reference: str) -> MerchantFact:
        return {
            "merchant_id": payment.merchant_id,
            "gateway_id": attempt.gateway_id,
            "mode": payment.mode,
            "reference": reference,
            "gateway_reference": attempt.gateway_reference,
            "payment_reference": payment.public_id,
            "occurred_at": self.now,
        }


@transaction.atomic
def _write(payments: Sequence[Payment], attempts: Iterable[Attempt], drafts: Sequence[JournalDraft]) -> None:
    Payment.objects.bulk_create(payments)
    AuditEntry.objects.bulk_create(_ended(payment) for payment in payments)
    Attempt.objects.bulk_create(attempts)
    ledger.record_entries(drafts)


def _ended(payment: Payment) -> AuditEntry:
    after = {"status": payment.status, "amount_captured": payment.captured_minor, "decline_code": payment.decline_code}
    verb = "payment.capture" if payment.status == Status.CAPTURED else "payment.decline"
    return audit.entry_of(actor=ACTOR, verb=verb, obj=payment, after=after)


def _given_back(refund: Refund) -> AuditEntry:
    after = {"status": refund.status, "amount": refund.amount_minor, "currency": refund.currency}
    return audit.entry_of(actor=ACTOR, verb="refund.succeed", obj=refund, after=after)


def _gateway(code: str, name: str, adapter: str, form: str) -> Gateway:
    is_xml = "xml" in adapter
    credentials = {"signing_key" if is_xml else "api_key": _UNUSED, "notice_secret": _UNUSED}
    if is_xml:
        credentials["merchant_id"] = code
    return create_gateway(
        code=code,
        name=name,
        adapter=adapter,
        mode=Mode.TEST,
        data_format="xml" if is_xml else "json",
        base_url="http://127.0.0.1:9",  # discard: nobody is asked over the network
        credentials=credentials,
        currencies=list(PAID_IN),
        payment_method_types=["card"],
        fee_bps=FEE_BPS,
        fee_fixed_minor=FEE_FIXED_MINOR,
        status=Gateway.Status.DISABLED,
        actor=ACTOR,
    )
