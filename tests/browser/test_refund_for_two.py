"""Do two people refund what one may not: told beforehand, kept up to date, asked, looked at and agreed to?"""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from checkout.kit.actors import Actor
from checkout.settings import policy
from payments import services
from payments.models import Payment, Refund
from tests.browser.conftest import SitDown
from tests.browser.person import DESKTOP, Person


def test_two_people_refund_what_one_may_not(
    captured_payment: Callable[..., Payment],
    carry_out: Callable[[], int],
    sit_down: SitDown,
    eur: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy, "REFUND_LIMITS", {"Operations": (500, 2_000)})
    payment = captured_payment(eur(1_200_00), merchant_reference="order-1042")
    olivia, oscar = sit_down("olivia", "Operations", size={**DESKTOP, "width": 1400}), sit_down("oscar", "Operations")
    types_an_amount(olivia, payment)
    is_told_of_a_colleague(olivia, payment, eur)
    asks(olivia)
    agrees(oscar)
    carry_out()
    assert Refund.objects.get(amount_minor=800_00).status == "succeeded"


def types_an_amount(olivia: Person, payment: Payment) -> None:
    olivia.page.goto(f"{olivia.url}/admin/payments/payment/{payment.public_id}/refund/")
    olivia.see(
        "Up to 500.00 EUR (2,000.00 EUR left of 2,000.00 EUR within 24 hours, all currencies together) you refund alone"
    )
    olivia.see("Afterwards 0.00 EUR can still be refunded.", "Somebody else has to approve it.")
    olivia.look("refund-page", phone=True, dark=True)
    olivia.click("Part of it")
    olivia.see("1,200.00 EUR can be refunded now.")
    olivia.page.keyboard.type("450.5")
    olivia.see("Afterwards 749.50 EUR can still be refunded.", "You refund it alone.")
    olivia.fill("Amount in EUR", "1200.01")
    olivia.see("That is more than the 1,200.00 EUR that can be refunded now.")
    olivia.click("Full 1,200.00 EUR")
    expect(olivia.page.locator("input[name=amount]")).to_have_value("1200.00")


def is_told_of_a_colleague(olivia: Person, payment: Payment, eur: Any) -> None:
    """Who refunds elsewhere meanwhile."""
    services.refund_payment(payment=payment, amount=eur(100_00), actor=Actor.key("sk_test_x"))
    olivia.see("That is more than the 1,100.00 EUR that can be refunded now.", "At most 1,100.00 EUR.")


def asks(olivia: Person) -> None:
    olivia.fill("Amount in EUR", "800.00")
    olivia.fill("Reason", "the whole delivery was broken")
    olivia.see("Somebody else has to approve it.")
    olivia.click("Refund")
    olivia.see("Asked for: 800.00 EUR is kept for this refund", "awaiting approval")
    olivia.go_to("Approvals")
    olivia.click("Asked by me")
    olivia.see("800.00 EUR", "requested")
    olivia.look("approvals-asked")


def agrees(oscar: Person) -> None:
    oscar.go_to("Approvals")
    oscar.see("Waiting for me", "800.00 EUR")
    oscar.look("approvals", phone=True, dark=True)
    oscar.page.locator("#result_list").get_by_role("link", name="Refund").first.click()
    oscar.see("800.00 EUR of pay_", "is given back to the customer", "the whole delivery was broken", "How it stands")
    oscar.look("approval", phone=True, dark=True)
    oscar.click("Approve")
    oscar.see("olivia asked for this: “the whole delivery was broken”.")
    oscar.look("approve", phone=True, dark=True)
    oscar.fill("Reason", "the shop confirmed by phone")
    oscar.click("Approve")
    oscar.see("Agreed, and carried out.")
    oscar.see("the shop confirmed by phone")
