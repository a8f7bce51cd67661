"""Does the refund's page say what is left and who decides, and give money back once however often it is sent?"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from checkout.kit.actors import Actor
from checkout.kit.models import Approval
from checkout.settings import policy
from payments import services
from payments.models import Attempt, Payment, Refund
from payments.statuses import AttemptStatus, RefundStatus
from tests.desk import at_desk, fields_of, fill_in, queries_of, text_of

Pay = Callable[..., Payment]


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "REFUND_LIMITS", {"Operations": (20, 50), "Administrator": (40, 100)})


@pytest.fixture
def desk(db: None) -> Client:
    return at_desk("Operations")


def page(payment: Payment) -> str:
    return f"/admin/payments/payment/{payment.public_id}/change/"


def address(payment: Payment) -> str:
    return f"/admin/payments/payment/{payment.public_id}/refund/"


def standing(browser: Client, payment: Payment) -> Any:
    return json.loads(browser.get(f"{address(payment)}now/").content)


def test_the_page_says_beforehand_what_is_refunded_alone(desk: Client, captured_payment: Pay, eur: Any) -> None:
    payment = captured_payment(eur(50_00))
    fill_in(desk, address(payment), amount="15.00", reason="one came back")

    said = text_of(desk.get(address(payment)))

    left = "35.00 EUR left of 50.00 EUR within 24 hours, all currencies together"
    assert f"Up to 20.00 EUR ({left}) you refund alone" in said
    assert "above it somebody else approves" in said
    assert "Full 35.00 EUR" in said
    assert "35.00 EUR can be refunded now." in said


def test_within_the_limit_it_is_on_its_way_and_above_it_is_asked_for(
    desk: Client, captured_payment: Pay, eur: Any
) -> None:
    payment = captured_payment(eur(50_00))

    fill_in(desk, address(payment), amount="20.00", reason="one came back")
    said = text_of(desk.get(page(payment)))
    assert "The refund of 20.00 EUR is on its way to the gateway." in said

    fill_in(desk, address(payment), amount="20.01", reason="another one")
    said = text_of(desk.get(page(payment)))
    assert "Asked for: 20.01 EUR is kept for this refund, and goes as soon as somebody else approves." in said
    assert "awaiting approval" in said
    assert list(Refund.objects.order_by("id").values_list("status", flat=True)) == ["processing", "awaiting_approval"]
    assert Approval.objects.get().reason == "another one"


def test_what_colleagues_do_meanwhile_is_told_on_asking_again(desk: Client, captured_payment: Pay, eur: Any) -> None:
    payment = captured_payment(eur(50_00))
    before = standing(desk, payment)
    fill_in(at_desk("administrator"), address(payment), amount="10.00", reason="first")
    fill_in(desk, address(payment), amount="5.00", reason="second")

    now = standing(desk, payment)

    assert (before["refundable"], before["alone"]) == (50_00, 20_00)
    assert (now["refundable"], now["alone"], now["refundable_text"]) == (35_00, 20_00, "35.00 EUR")
    assert "45.00 EUR left" in now["rule"]


@pytest.mark.parametrize(("role", "status"), [("Read-only", 403), ("Finance", 200), ("Operations", 200)])
def test_only_who_may_refund_is_told_how_it_stands(captured_payment: Pay, eur: Any, role: str, status: int) -> None:
    payment, browser = captured_payment(eur(50_00)), at_desk(role)

    assert browser.get(f"{address(payment)}now/").status_code == status
    assert Client().get(f"{address(payment)}now/").status_code == 302
    if status == 200:
        assert browser.get("/admin/payments/payment/pay_00000000000000000000000000/refund/now/").status_code == 404


def test_asking_how_it_stands_is_cheap(desk: Client, captured_payment: Pay, eur: Any) -> None:
    payment = captured_payment(eur(50_00))
    standing(desk, payment)

    assert queries_of(lambda: standing(desk, payment)) <= 10
    assert queries_of(lambda: desk.get(address(payment))) <= 20


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("50.01", "Asked to refund 50.01 EUR, but only 50.00 EUR can be refunded."),
        ("0", "The amount must be more than zero."),
        ("abc", "Write the amount in digits with a point, such as 12.50."),
        ("10,00", "Write the amount in digits with a point, such as 12.50."),
        ("１０", "Write the amount in digits with a point, such as 12.50."),
        ("1e1", "Write the amount in digits with a point, such as 12.50."),
        ("-1", "Write the amount in digits with a point, such as 12.50."),
        ("1.001", "EUR has 2 decimals."),
        ("", "This field is required."),
    ],
)
def test_an_amount_that_cannot_be_is_refused_in_words(
    desk: Client, captured_payment: Pay, eur: Any, amount: str, said: str
) -> None:
    payment = captured_payment(eur(50_00))

    answer = fill_in(desk, address(payment), amount=amount, reason="test")

    assert (answer.status_code, said in text_of(answer)) == (200, True)
    assert not Refund.objects.exists()
    assert not Approval.objects.exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_payment_whose_outcome_is_unknown_is_refused_with_an_explanation(
    desk: Client, created_payment: Pay, captured_payment: Pay, eur: Any, method: str
) -> None:
    form = fields_of(desk.get(address(captured_payment(eur(50_00)))).content.decode())
    payment = created_payment(eur(50_00), confirm=True)
    Attempt.objects.filter(payment=payment).update(status=AttemptStatus.UNKNOWN, next_action="ask")

    data = {**form, "amount": "10.00", "reason": "x"} if method == "post" else {}
    answer = getattr(desk, method)(address(payment), data, follow=True)

    assert "Nobody knows yet whether North took the money" in text_of(answer)
    assert not Refund.objects.exists()


def test_what_cannot_be_refunded_says_why(
    desk: Client, captured_payment: Pay, authorized_payment: Pay, eur: Any, carry_out: Callable[[], int]
) -> None:
    authorized, refunded, promised = (
        authorized_payment(eur(50_00)),
        captured_payment(eur(10_00)),
        captured_payment(eur(50_00)),
    )
    services.refund_payment(payment=refunded, actor=Actor.key("sk_test_x"))
    carry_out()
    fill_in(desk, address(promised), amount="50.00", reason="all of it")

    said = [text_of(desk.get(address(payment), follow=True)) for payment in (authorized, refunded, promised)]

    assert "Nothing of this payment has been captured: cancel it" in said[0]
    assert "All of this payment has been refunded." in said[1]
    assert "awaits somebody's approval" in said[2]


@pytest.mark.django_db(transaction=True)
def test_two_posts_of_one_form_at_the_same_moment_make_one_refund(captured_payment: Pay, eur: Any) -> None:
    payment, browser = captured_payment(eur(50_00)), at_desk("administrator")
    form = {**fields_of(browser.get(address(payment)).content.decode()), "amount": "10.00", "reason": "double click"}
    start = Barrier(4)

    def click(_: int) -> int:
        own = Client()
        own.cookies = browser.cookies
        try:
            start.wait(timeout=10)
            return int(own.post(address(payment), form).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = set(pool.map(click, range(4)))

    assert [refund.amount_minor for refund in Refund.objects.all()] == [10_00]
    assert statuses <= {302, 200}  # a second one may learn that the first is still under way


def test_above_the_limit_the_maker_is_asked_for_a_fresh_code(captured_payment: Pay, eur: Any) -> None:
    payment, browser = captured_payment(eur(50_00)), at_desk("Operations", is_fresh=False)

    fill_in(browser, address(payment), amount="20.00", reason="below")
    asked = fill_in(browser, address(payment), amount="20.01", reason="above")

    assert "This needs a fresh code. Nothing was done yet" in text_of(asked)
    assert [refund.amount_minor for refund in Refund.objects.all()] == [20_00]


def test_a_refund_that_awaits_approval_is_shown_to_the_merchant_as_such(
    api: Any, captured_payment: Pay, eur: Any, desk: Client
) -> None:
    payment = captured_payment(eur(50_00))
    fill_in(desk, address(payment), amount="50.00", reason="all of it")

    shown = api.get(f"/v1/refunds/{Refund.objects.get().public_id}").json()

    assert shown["status"] == RefundStatus.AWAITING_APPROVAL
