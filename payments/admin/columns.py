"""Which columns do several lists of payments, and of what was tried and given back for them, have in common?"""

from typing import Any

from django.utils.safestring import SafeString
from unfold.decorators import display

from checkout.kit.display import amount, badge, code, link, page_of
from payments.models import Payment


class SumColumns:
    """Of whatever has an amount and a status."""

    @display(description="amount")
    def total(self, obj: Any) -> SafeString:
        return amount(obj.amount)

    @display(description="status")
    def status_badge(self, obj: Any) -> SafeString:
        return badge(obj.status)


class PaymentColumns(SumColumns):
    """Of payments."""

    @display(description="payment")
    def public_code(self, payment: Payment) -> SafeString | str:
        return code(payment.public_id)


class PartColumns(SumColumns):
    """Of attempts and refunds: what belongs to a payment."""

    @display(description="payment")
    def payment_link(self, obj: Any) -> SafeString:
        return link(code(obj.payment.public_id), page_of(obj.payment))
