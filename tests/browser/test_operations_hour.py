"""Does somebody on duty get through an hour: a payment's story, a refund, an unknown outcome, a gateway that is off?"""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from gateways.models import Gateway
from payments.models import Payment
from tests.browser.conftest import SitDown
from tests.browser.person import Person
from tests.simulation import Simulation

PaymentMaker = Callable[..., Payment]


def test_an_operations_hour(
    captured_payment: PaymentMaker,
    created_payment: PaymentMaker,
    carry_out: Callable[[], int],
    simulation: Simulation,
    sit_down: SitDown,
    eur: Any,
) -> None:
    paid = captured_payment(eur(120_00), merchant_reference="order-1042", customer_email="ana@example.com")
    captured_payment(eur(49_90), merchant_reference="order-1043")
    olivia, oscar = sit_down("olivia", "Operations"), sit_down("oscar", "Operations")
    finds_and_reads(olivia, paid)
    refunds_a_part(olivia, paid, carry_out)

    simulation.change("north", behaviour="charge_then_500")
    lost = created_payment(eur(75_00), confirm=True, merchant_reference="order-1044")
    carry_out()
    asks_to_settle(olivia, lost, simulation)
    agrees(oscar, lost)
    disables(olivia)


def finds_and_reads(olivia: Person, payment: Payment) -> None:
    """By pasting its id into the palette."""
    olivia.page.keyboard.press("Control+k")
    expect(olivia.page.locator("#search-input-command")).to_be_focused()
    olivia.page.keyboard.type(payment.public_id)
    olivia.page.get_by_role("link", name=payment.public_id).first.click()
    olivia.see("120.00 EUR", "order-1042", "What happened", "Chosen: healthy", "debits and credits tie")
    olivia.look(phone=True)
    olivia.page.get_by_role("button", name="Ledger").click()
    assert "Ledger: capture" in olivia.page.locator(".timeline").inner_text()
    assert "asked to authorize" not in olivia.page.locator(".timeline").inner_text()


def refunds_a_part(olivia: Person, payment: Payment, carry_out: Callable[[], int]) -> None:
    olivia.click("Refund")
    olivia.see("At most 120.00 EUR.")
    olivia.fill("Amount in EUR", "12.50")
    olivia.fill("Reason", "one book came back")
    olivia.look()
    olivia.click("Refund")
    olivia.see("The refund of 12.50 EUR is on its way to the gateway.")
    carry_out()
    expect(olivia.row("rfd_", "one book came back")).to_contain_text("succeeded")  # the page looks again by itself
    assert payment.refunds.get().amount_minor == 12_50


def asks_to_settle(olivia: Person, lost: Payment, simulation: Simulation) -> None:
    """What the gateway's own book says is written down for somebody else to check."""
    [charge] = simulation.book("north", reference=lost.attempts.get().reference)
    olivia.go_to("Today")
    olivia.see("Payments of today", "1 unknown")
    olivia.look(phone=True, dark=True)
    olivia.click("1 unknown")
    olivia.click(lost.attempts.get().payment.public_id)
    olivia.look()
    olivia.click("Settle by hand")
    olivia.choose("Outcome", "succeeded")
    olivia.fill("The gateway's id of it", charge["id"])
    olivia.fill("What its books show, and where", f"{charge['id']}: 75.00 EUR, approved, in their dashboard")
    olivia.fill("Reason", "they answered 500 after charging")
    olivia.look()
    olivia.click("Settle by hand")
    olivia.see("Asked for. Somebody else has to agree before anything is settled.")
    lost.refresh_from_db()
    assert lost.status == "processing"


def agrees(oscar: Person, lost: Payment) -> None:
    oscar.page.reload()
    oscar.click("1 waiting for your decision")
    oscar.click("attempt: settle by hand")
    oscar.see("they answered 500 after charging")
    oscar.look()
    oscar.click("Approve")
    oscar.click("Approve")
    oscar.see("Agreed, and carried out.")
    lost.refresh_from_db()
    assert lost.status == "captured"


def disables(olivia: Person) -> None:
    olivia.go_to("Gateways")
    olivia.look(phone=True)
    olivia.click("North")
    olivia.look()
    olivia.click("Disable")
    olivia.see("No new attempts are sent there from now on.")
    olivia.click("Disable")
    olivia.see("This field is required.")  # nobody is asked why by the browser alone
    olivia.fill("Reason", "they answer 500 after charging")
    olivia.click("Disable")
    olivia.see(
        "North is disabled: no new attempts are sent there.", "What was done here", "they answer 500 after charging"
    )
    assert Gateway.objects.get(code="north").status == "disabled"
