"""What do queues, bulk deeds and saved filters look like to somebody on duty, at a desk and on a phone?"""

from typing import Any

from checkout.kit import clock
from gateways.models import Gateway, Notice
from merchants.models import Merchant, WebhookDelivery, WebhookEndpoint, WebhookEvent
from tests.browser.conftest import SitDown
from tests.browser.person import Person
from tests.simulation import Simulation


def test_a_round_of_the_queues(
    created_payment: Any, carry_out: Any, simulation: Simulation, sit_down: SitDown, merchant: Merchant, eur: Any
) -> None:
    simulation.change("north", behaviour="charge_then_500")
    for amount in (75_00, 1_200_00):
        created_payment(eur(amount), confirm=True)
    carry_out()
    write_what_waits(merchant)
    olivia = sit_down("olivia", "Operations")
    olivia.go_to("Unknown outcomes")
    olivia.see("75.00 EUR", "ask North", "response at")
    olivia.look("queue-unknown", phone=True, dark=True)
    asks_about_all(olivia)
    olivia.go_to("Stuck payments")
    olivia.look("queue-stuck", phone=True)
    olivia.go_to("Unmatched notices")
    olivia.look("queue-notices", phone=True)
    sends_again(olivia)
    keeps_a_filter(olivia)


def write_what_waits(merchant: Merchant) -> None:
    about = {"outcome": "succeeded", "body": "{}", "received_at": clock.now(), "status": "unmatched"}
    for number in range(12):
        Notice.objects.create(
            gateway=Gateway.objects.get(code="north"), notice_id=f"evt_{number}", reference=f"att_{number}", **about
        )
    endpoint = WebhookEndpoint.objects.create(
        merchant=merchant, mode="test", url="https://shop.example/hooks/payments", secret="whsec_x"
    )
    WebhookEvent.objects.update(dispatched_at=clock.now())
    for event in WebhookEvent.objects.all():
        WebhookDelivery.objects.create(
            event=event, endpoint=endpoint, status="failed", attempt_count=10, last_error="answered 500"
        )


def asks_about_all(olivia: Person) -> None:
    for box in olivia.page.locator("input.action-select").all():
        box.check()
    olivia.page.locator("select[name=action]").select_option(label="Ask now")
    olivia.page.get_by_role("button", name="Run").click()
    olivia.see("2 of 2 chosen", "Nothing is done before you confirm.")
    olivia.look("bulk-preview", phone=False, dark=False)
    olivia.fill("Reason", "North says that it is well again")
    olivia.click("Ask now: 2")
    olivia.see("2 done, 0 refused", "North is being asked.")
    olivia.look("bulk-report", phone=True, dark=True)


def sends_again(olivia: Person) -> None:
    olivia.go_to("Failed webhooks")
    olivia.see("https://shop.example/hooks/payments", "answered 500")
    olivia.look("queue-webhooks", phone=True, dark=True)
    olivia.page.locator("#result_list a[href*=webhookendpoint]").first.click()
    olivia.click("Redeliver what was missed")
    olivia.fill("Reason", "they were down")
    olivia.click("Redeliver what was missed")
    olivia.see("messages were missed between these times")
    olivia.look("redeliver-missed", phone=False)
    olivia.click("Redeliver what was missed")
    olivia.see("What was missed is being sent")
    olivia.look("redelivered")


def keeps_a_filter(olivia: Person) -> None:
    olivia.go_to("Payments")
    olivia.click("Processing")
    olivia.page.get_by_text("Save this filter").click()
    olivia.look("save-filter", phone=False)
    olivia.page.get_by_label("Name").fill("My processing")
    olivia.page.get_by_role("button", name="Save", exact=True).click()
    olivia.see("for you alone", "My processing")
    olivia.look("saved-filter", phone=True, dark=True)
    assert olivia.download("CSV").startswith(b"payment,merchant")
