"""Does somebody on duty get through an hour: find a payment, refund it, settle an unknown outcome, change where
payments go, drain a gateway? At a desk, and with nothing but a phone.
"""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from gateways.models import Gateway, RegionGateway
from payments.models import Payment
from tests.browser.conftest import SitDown
from tests.browser.person import DESKTOP, PHONE, Person
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
    finds_by_customer_and_card(olivia)
    refunds_a_part(olivia, paid, carry_out)

    simulation.change("north", behaviour="charge_then_500")
    lost = created_payment(eur(75_00), confirm=True, merchant_reference="order-1044")
    carry_out()
    asks_to_settle(olivia, lost, simulation)
    agrees(oscar, lost)
    changes_priorities(olivia)
    drains(olivia)


def test_an_operations_hour_on_a_phone(
    captured_payment: PaymentMaker,
    created_payment: PaymentMaker,
    carry_out: Callable[[], int],
    simulation: Simulation,
    sit_down: SitDown,
    eur: Any,
) -> None:
    paid = captured_payment(eur(120_00), merchant_reference="order-1042")
    simulation.change("north", behaviour="charge_then_500")
    lost = created_payment(eur(75_00), confirm=True)
    carry_out()
    olivia = sit_down("olivia", "Operations", size=PHONE)
    olivia.look("phone-home")

    olivia.page.get_by_role("link", name="Unknown outcomes").first.click()
    olivia.see("75.00 EUR")
    olivia.click(lost.public_id)
    olivia.see("unknown")
    olivia.click("Ask now")
    olivia.fill("Reason", "looking into it")
    olivia.click("Ask now")
    olivia.see("North is being asked.")
    simulation.change("north", behaviour="healthy")
    assert carry_out() == 1
    olivia.page.reload()
    olivia.see("captured", "looking into it")
    lost.refresh_from_db()
    assert lost.status == "captured"

    olivia.page.goto(f"{olivia.url}/admin/payments/payment/?q={paid.merchant_reference}")
    olivia.click(paid.public_id)
    olivia.click("Refund")
    olivia.click("Part of it")
    olivia.fill("Amount in EUR", "20.00")
    olivia.fill("Reason", "one book came back")
    olivia.look("phone-refund")
    olivia.click("Refund")
    olivia.see("The refund of 20.00 EUR is on its way to the gateway.")
    assert paid.refunds.get().amount_minor == 20_00


def finds_by_customer_and_card(olivia: Person) -> None:
    """In the list, by what a caller can say; the last leads on to the payment's page."""
    for said in ("ANA@example.com", "4242 120.00", "order-1042"):
        olivia.go_to("Payments")
        olivia.page.locator("#searchbar").fill(said)
        olivia.page.keyboard.press("Enter")
        olivia.see("120.00 EUR", "order-1042")
        assert "order-1043" not in olivia.page.locator("#result_list").inner_text()
    olivia.look("payments-found")
    olivia.page.locator("#result_list tbody a").first.click()


def finds_and_reads(olivia: Person, payment: Payment) -> None:
    """By pasting its id into the palette."""
    olivia.page.keyboard.press("Control+k")
    expect(olivia.page.locator("#search-input-command")).to_be_focused()
    olivia.page.keyboard.type(payment.public_id)
    olivia.page.get_by_role("link", name=payment.public_id).first.click()
    olivia.see("120.00 EUR", "order-1042", "What happened", "Chosen: healthy", "debits and credits tie")
    olivia.look("payment-story", phone=True, dark=True)
    olivia.page.get_by_role("button", name="Ledger").click()
    assert "Ledger: capture" in olivia.page.locator(".timeline").inner_text()
    assert "asked to authorize" not in olivia.page.locator(".timeline").inner_text()


def refunds_a_part(olivia: Person, payment: Payment, carry_out: Callable[[], int]) -> None:
    olivia.click("Refund")
    olivia.see("At most 120.00 EUR.")
    olivia.click("Part of it")
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
    olivia.see("Unknown outcomes", "75.00 EUR")
    olivia.look("desk-home", phone=True, dark=True)
    olivia.page.get_by_role("link", name="Unknown outcomes").last.click()
    olivia.see("75.00 EUR")
    olivia.click(lost.public_id)
    olivia.look("unknown-outcome")
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
    oscar.page.get_by_role("link", name="Waiting for you").click()
    oscar.click("Settlement of an unknown outcome by hand")
    oscar.see("they answered 500 after charging")
    oscar.look()
    oscar.click("Approve")
    oscar.click("Approve")
    oscar.see("Agreed, and carried out.")
    lost.refresh_from_db()
    assert lost.status == "captured"


def changes_priorities(olivia: Person) -> None:
    """What it would do is shown first."""
    olivia.go_to("Regions")
    olivia.click("Europe")
    olivia.click("Edit routing")
    olivia.page.get_by_label("North").fill("3")
    olivia.fill("Reason", "South is cheaper this month")
    olivia.look("routing-edit")
    olivia.click("Show what it would do")
    olivia.see("What it would do: Europe", "first at another gateway", "nothing is saved yet")
    olivia.page.locator("summary").first.click()
    olivia.look("routing-preview")
    olivia.page.set_viewport_size(PHONE)  # what a form led to has no address of its own to be opened at
    olivia.look("routing-preview-phone")
    olivia.page.set_viewport_size(DESKTOP)
    assert first_in_europe() == "north"
    olivia.click("Save")
    olivia.see("Europe is changed.", "South is cheaper this month")
    assert first_in_europe() == "south"


def first_in_europe() -> str:
    place = RegionGateway.objects.filter(region__code="europe").select_related("gateway").order_by("priority").first()
    assert place is not None
    return place.gateway.code


def drains(olivia: Person) -> None:
    olivia.go_to("Gateways")
    olivia.look("board", phone=True, dark=True)
    olivia.click("North")
    olivia.look("gateway-page", phone=True)
    olivia.click("Test connection")
    olivia.click("Test connection")
    olivia.see("North failed with an error of its own (500).")
    olivia.click("Leave it")
    olivia.click("Drain")
    olivia.see("No new payment is sent there")
    olivia.click("Drain")
    olivia.see("This field is required.")  # nobody is asked why by the browser alone
    olivia.fill("Reason", "they answer 500 after charging")
    olivia.click("Drain")
    olivia.see("What was done here", "they answer 500 after charging", "draining")
    assert Gateway.objects.get(code="north").status == "draining"
