"""Can a finance person make a refund of the gateway's own desk one of ours, from the page of the difference?"""

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.display import money
from checkout.kit.money import Money
from gateways.models import Gateway
from ledger.models import Discrepancy
from ledger.reconciliation.selectors import refunds_to_adopt
from ledger.services import import_due
from ledger.services.files import receive_file
from payments import selectors
from payments.models import Payment, Refund
from tests.desk import EVERYBODY, at_desk, fill_in, text_of
from tests.simulation import Simulation

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def planted(
    captured_payment: Callable[..., Payment],
    simulation: Simulation,
    gateways: dict[str, Gateway],
    eur: Callable[[int], Money],
    actor: Actor,
) -> Callable[..., tuple[Payment, Discrepancy]]:
    """`planted(dashboard_refund=1)`: a captured payment, and what differs once its file has come."""

    def planted(**plant: int) -> tuple[Payment, Discrepancy]:
        simulation.settle("north", until=clock.now().isoformat())  # what other tests left behind
        payment = captured_payment(eur(50_00))
        issued = simulation.settle("north", until=(clock.now() + timedelta(minutes=1)).isoformat(), plant=plant)
        content = io.BytesIO(simulation.settlement("north", issued["name"]))
        about: dict[str, Any] = {"gateway": gateways["north"], "mode": "test", "source": "fetch", "actor": actor}
        receive_file(stream=content, name=issued["name"], **about)
        import_due(actor=actor)
        return payment, Discrepancy.objects.get(kind="missing_in_ledger")

    return planted


def adopting(discrepancy: Discrepancy) -> str:
    return f"/admin/ledger/discrepancy/{discrepancy.public_id}/adopt/"


def test_a_refund_is_adopted_from_the_page_of_its_difference(planted: Any) -> None:
    payment, discrepancy = planted(dashboard_refund=1)
    amount = Money(-discrepancy.line.gross_minor, "EUR")
    browser, address = at_desk("Finance"), f"/admin/ledger/discrepancy/{discrepancy.public_id}/change/"
    assert adopting(discrepancy) in browser.get(address).content.decode()

    asked = browser.get(adopting(discrepancy))
    assert f"{money(amount)} was given back" in text_of(asked)
    assert f"{money(selectors.refundable(payment))} of it can be refunded" in text_of(asked)
    assert f'value="{payment.public_id}"' in asked.content.decode()
    answer = fill_in(browser, adopting(discrepancy), reason="made by phone")

    refund = Refund.objects.get()
    discrepancy.refresh_from_db()
    assert (answer.status_code, answer["Location"]) == (302, address)
    assert (refund.payment, refund.amount_minor, refund.reason) == (payment, amount.amount_minor, "made by phone")
    assert (discrepancy.status, discrepancy.resolution) == ("resolved", "adopt_refund")
    after = browser.get(address)
    assert f"is now {refund.public_id}" in text_of(after)
    assert adopting(discrepancy) not in after.content.decode()


def test_another_payment_can_be_named_and_a_wrong_one_is_refused_in_words(
    planted: Any, captured_payment: Any, eur: Any
) -> None:
    _, discrepancy = planted(dashboard_refund=1)
    smaller = captured_payment(Money(-discrepancy.line.gross_minor - 1, "EUR"))
    browser = at_desk("Finance")

    for named, sentence in (
        ("pay_0000000000000000000000", "There is no payment with this id."),
        ("", "This field is required."),
        (smaller.public_id, f"only {selectors.refundable(smaller)} can be refunded"),
    ):
        answer = fill_in(browser, adopting(discrepancy), payment=named, reason="made by phone")
        assert sentence in text_of(answer), named
        assert f'value="{named}"' in answer.content.decode() or not named
    assert f"{money(selectors.refundable(smaller))} of it can be refunded" in text_of(answer)
    assert (Refund.objects.count(), refunds_to_adopt().count()) == (0, 1)


def test_what_is_no_refund_offers_no_adoption(planted: Any) -> None:
    _, discrepancy = planted(extra_line=1)
    browser = at_desk("Finance")

    page = browser.get(f"/admin/ledger/discrepancy/{discrepancy.public_id}/change/")
    answer = browser.get(adopting(discrepancy), follow=True)

    assert adopting(discrepancy) not in page.content.decode()
    assert "Adopt refund is not possible now." in text_of(answer)


@pytest.mark.parametrize("role", EVERYBODY)
def test_only_finance_adopts(planted: Any, role: str) -> None:
    _, discrepancy = planted(dashboard_refund=1)

    answer = at_desk(role).get(adopting(discrepancy))

    assert answer.status_code == (200 if role in ("Finance", "Administrator", "administrator") else 403)
