"""May an operator see the whole story of a payment, and ask only for what is allowed, once, with a reason?"""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.approvals import APPROVAL
from checkout.kit.display import page_of
from checkout.kit.models import Approval, AuditEntry
from checkout.kit.money import Money
from gateways.models import Gateway, GatewayCall
from ledger.models import ClearingItem, SettlementLine
from ledger.services.discrepancies import match_by_hand
from ledger.tests.settling import Settling, line
from merchants.models import Merchant, WebhookDelivery, WebhookEndpoint, WebhookEvent
from payments import services
from payments.models import Attempt, Payment, Refund
from payments.statuses import AttemptStatus, Operation, Status
from tests.desk import at_desk, fields_of, fill_in, queries_of, text_of

PaymentMaker = Callable[..., Payment]
MASTERCARD = "5555555555554444"


def page(payment: Payment) -> str:
    return f"/admin/payments/payment/{payment.public_id}/change/"


def verb(payment: Payment, name: str) -> str:
    return f"/admin/payments/payment/{payment.public_id}/{name}/"


@pytest.fixture
def desk(db: None) -> Client:
    return at_desk("Operations")


# --- The story ----------------------------------------------------------------------------------------------------


def test_a_payments_page_tells_the_whole_story(desk: Client, captured_payment: PaymentMaker, eur: Any) -> None:
    payment = captured_payment(eur(1_234_50), merchant_reference="order-7", customer_email="ana@example.com")

    said = text_of(desk.get(page(payment)))

    for expected in (
        *("1,234.50 EUR", payment.public_id, "order-7", "ana@example.com", "visa •••• 4242", "Created"),
        *("Confirmed: to be charged now", "Attempt 1: authorize 1,234.50 EUR at North", "Chosen: healthy"),
        *("North asked to authorize: succeeded after", "Attempt 1 succeeded after", "by the gateway's answer"),
        *("HTTP 201", "event 1, not on its way yet", "from ana@example.com"),
        *(
            "Captured: the money is taken",
            "For the merchant: payment.captured",
            "Ledger: capture",
            "Ledger: gateway fee",
        ),
        *("Not needed: priority 2 comes after north", "debits and credits tie"),
    ):
        assert expected in said, expected
    assert "4242424242424242" not in said


def test_the_story_is_told_in_the_order_in_which_it_happened(
    desk: Client, captured_payment: PaymentMaker, eur: Any
) -> None:
    said = text_of(desk.get(page(captured_payment(eur(50_00)))))

    beats = [
        *("Created by", "Confirmed: to be charged", "Attempt 1: authorize", "North asked to authorize"),
        *(
            "Attempt 1 succeeded",
            "Authorized: the money is reserved",
            "Captured: the money is taken",
            "Ledger: capture",
        ),
    ]
    places = [said.index(beat) for beat in beats]
    assert places == sorted(places)


def test_a_fallback_is_explained_candidate_by_candidate(
    desk: Client, captured_payment: PaymentMaker, gateways: dict[str, Gateway], simulation: Any, eur: Any
) -> None:
    simulation.change("north", behaviour="down")
    payment = captured_payment(eur(50_00))

    said = text_of(desk.get(page(payment)))

    assert "not sent" in said
    assert "Left out: already tried for this payment" in said
    assert "Attempt 2: authorize 50.00 EUR at South" in said


@pytest.mark.django_db(transaction=True)
def test_a_change_that_nobody_accounted_for_stands_out(desk: Client, captured_payment: PaymentMaker, eur: Any) -> None:
    payment = captured_payment(eur(50_00))
    Payment.objects.filter(pk=payment.pk).update(captured_minor=49_00)

    answer = desk.get(page(payment))

    said = text_of(answer)
    assert "Payment: changed, not through the platform by database checkout, captured minor: 5000 → 4900" in said
    assert answer.context["story"].timeline[-1].tone == "warn"


def test_a_story_ends_with_the_line_of_a_file_that_paid_for_it(
    desk: Client, captured_payment: PaymentMaker, carry_out: Callable[[], int], eur: Any, operator: Actor
) -> None:
    payment = captured_payment(eur(50_00))
    services.refund_payment(payment=payment, amount=eur(20_00), reason="goods came back", actor=operator)
    carry_out()
    north = Gateway.objects.get(code="north")
    item = ClearingItem.objects.get(entry__payment_reference=payment.public_id, kind="charge")
    Settling(north, payment.merchant).settle(
        line("charge", item.gateway_reference, "", item.gross_minor, item.fee_minor + 7, currency="EUR", ago=0),
        line("fee", "fee_1", "", -25, currency="EUR", ago=0),
    )
    theirs = SettlementLine.objects.get(kind="charge")
    assert "Settlement Movement" in (said := text_of(desk.get(page(payment))))
    assert f"fee differs , line {theirs.line_number} of {theirs.file.name}" in said
    assert said.count("timing , not in a file yet") == 1

    match_by_hand(line=theirs, item=item, reason="the fee is right", actor=operator, has_second_person=True)
    answer = desk.get(page(payment))

    said = text_of(answer)
    charge = said[said.index("Settlement Movement") : said.index("refund at North")]
    assert f"charge at North, {item.occurred_on:%d %b %Y}" in charge
    assert "1.75 EUR 1.82 EUR" in charge
    assert "batch-1 not at the bank yet" in charge
    assert said.count("not in a file yet") == 1
    assert f'href="{page_of(theirs)}"' in answer.content.decode()


def test_a_fee_that_was_charged_once_for_two_movements_stands_once(
    desk: Client, authorized_payment: PaymentMaker, eur: Any, operator: Actor, carry_out: Callable[[], int]
) -> None:
    payment = authorized_payment(eur(50_00))
    for _ in range(2):
        services.capture_payment(payment=payment, amount=eur(20_00), actor=operator)
        carry_out()
    items = list(ClearingItem.objects.filter(entry__payment_reference=payment.public_id))
    assert len(items) == 2
    name, fee = "ch_both", sum(item.fee_minor for item in items)
    ClearingItem.objects.update(gateway_reference=name)
    Settling(Gateway.objects.get(code="north"), payment.merchant).settle(
        line("charge", name, "", 40_00, fee, currency="EUR", ago=0)
    )

    rows = desk.get(page(payment)).context["story"].settlement

    assert [len(row.traced.lines) for row in rows] == [1, 1]
    assert [row.fee_charged for row in rows] == [Money(fee, "EUR"), None]


def test_the_number_of_queries_does_not_grow_with_the_story(
    desk: Client, captured_payment: PaymentMaker, carry_out: Callable[[], int], eur: Any, operator: Actor
) -> None:
    short, long = captured_payment(eur(50_00)), captured_payment(eur(50_00))
    for number in range(1, 6):
        services.refund_payment(payment=long, amount=eur(number), reason="goods came back", actor=operator)
        carry_out()
    desk.get(page(short))

    assert queries_of(lambda: desk.get(page(long))) <= queries_of(lambda: desk.get(page(short)))


def test_a_story_of_many_chapters_is_cut_off_and_takes_no_more_queries(
    desk: Client, captured_payment: PaymentMaker, eur: Any
) -> None:
    payment = captured_payment(eur(50_00))
    attempt = payment.attempts.get(operation=Operation.AUTHORIZE)
    endpoint = WebhookEndpoint.objects.create(merchant=payment.merchant, mode="test", url="https://a.example/")
    desk.get(page(payment))
    before = queries_of(lambda: desk.get(page(payment)))
    now, about = clock.now(), {"merchant": payment.merchant, "mode": "test", "object_id": payment.public_id, "data": {}}
    GatewayCall.objects.bulk_create(
        GatewayCall(
            **{"gateway": attempt.gateway, "operation": "fetch", "reference": attempt.reference, "started_at": now},
            **{"duration_ms": number, "outcome": "unknown"},
        )
        for number in range(600)
    )
    events = WebhookEvent.objects.bulk_create(
        WebhookEvent(type="payment.updated", sequence=100 + number, **about) for number in range(200)
    )
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(event=event, endpoint=endpoint, next_attempt_at=now) for event in events
    )
    Attempt.objects.bulk_create(
        Attempt(
            **{"payment": payment, "seq": 10 + number, "confirmation": 1, "operation": "capture", "status": "declined"},
            **{"gateway": attempt.gateway, "amount_minor": 1, "currency": "EUR", "actor": "task:x", "created_at": now},
        )
        for number in range(50)
    )

    answer = desk.get(page(payment))

    assert queries_of(lambda: desk.get(page(payment))) <= before + 1  # the endpoints, once there are deliveries
    assert "there is more than is shown here" in text_of(answer)
    assert answer.context["story"].timeline[-1].title


def test_a_story_tells_what_came_of_telling_the_merchant(
    desk: Client, captured_payment: PaymentMaker, eur: Any
) -> None:
    payment = captured_payment(eur(50_00))
    events = list(WebhookEvent.objects.filter(object_id=payment.public_id).order_by("sequence"))
    endpoint = WebhookEndpoint.objects.create(
        merchant=payment.merchant, mode="test", url="https://shop.example/hooks?token=t0ken", secret="whsec_x"
    )
    WebhookDelivery.objects.create(
        event=events[0], endpoint=endpoint, status="delivered", attempt_count=3, last_http_status=204
    )
    WebhookDelivery.objects.create(
        event=events[1], endpoint=endpoint, status="failed", attempt_count=1, last_error="refused the connection"
    )

    said = text_of(desk.get(page(payment)))

    assert "event 1, delivered after 3 tries to shop.example, HTTP 204" in said
    assert "event 2, failed to shop.example, refused the connection" in said
    assert "t0ken" not in said


def test_a_payment_cannot_be_added_changed_or_deleted_here(captured_payment: PaymentMaker, eur: Any) -> None:
    payment, administrator = captured_payment(eur(50_00)), at_desk("administrator")

    assert administrator.get("/admin/payments/payment/add/").status_code == 403
    assert administrator.get(f"/admin/payments/payment/{payment.public_id}/delete/").status_code == 403
    assert administrator.post(page(payment), {"status": "failed", "amount_minor": 1}).status_code == 403
    payment.refresh_from_db()
    assert (payment.status, payment.amount_minor) == (Status.CAPTURED, 50_00)


# --- Finding ------------------------------------------------------------------------------------------------------


def test_one_of_our_ids_leads_straight_to_the_payment(
    desk: Client, captured_payment: PaymentMaker, eur: Any, operator: Actor
) -> None:
    payment = captured_payment(eur(50_00))
    refund = services.refund_payment(payment=payment, amount=eur(1), actor=operator)

    for name in (payment.public_id, payment.attempts.first().public_id, refund.public_id):  # type: ignore[union-attr]
        answer = desk.get("/admin/payments/payment/", {"q": name})
        assert (answer.status_code, answer["Location"]) == (302, page(payment))


@pytest.mark.parametrize(
    "term",
    [
        *("order-7", "1042", "ana@example.com", "ANA@EXAMPLE.COM", "4242", "{gateway_reference}", "{id}"),
        *("4242 50.00", "50.00 4242", "4242 50", "50 eur 4242", "EUR 4242 50.0", " 4242  50.00  EUR "),
    ],
)
def test_a_payment_is_found_by(desk: Client, captured_payment: PaymentMaker, eur: Any, usd: Any, term: str) -> None:
    reference = "1042" if term == "1042" else "order-7"
    payment = captured_payment(eur(50_00), merchant_reference=reference, customer_email="Ana@example.com")
    others = [captured_payment(usd(60_00), number=MASTERCARD), captured_payment(eur(50_01), number=MASTERCARD)]
    about = {
        "gateway_reference": payment.attempts.get(operation=Operation.AUTHORIZE).gateway_reference,
        "id": payment.public_id,
    }

    answer = desk.get("/admin/payments/payment/", {"q": term.format(**about)}, follow=True)

    said = text_of(answer)
    assert payment.public_id in said
    assert not [other for other in others if other.public_id in said]


@pytest.mark.parametrize(
    "term", ["4242 50.01", "4242 50.00 USD", "4444 50.00", "4242 5.000", "4242 EUR", "ORDER-7", "42", "4242 50 50"]
)
def test_a_payment_is_not_found_by(desk: Client, captured_payment: PaymentMaker, eur: Any, term: str) -> None:
    payment = captured_payment(eur(50_00), merchant_reference="order-7")

    assert payment.public_id not in text_of(desk.get("/admin/payments/payment/", {"q": term}))


def test_an_amount_is_read_in_the_decimals_of_each_currency(desk: Client, captured_payment: PaymentMaker) -> None:
    yen = captured_payment(Money(5_000, "JPY"), country="JP")
    euros = captured_payment(Money(5_000, "EUR"))

    said = text_of(desk.get("/admin/payments/payment/", {"q": "4242 5000"}))
    assert yen.public_id in said
    assert euros.public_id not in said  # 50.00 EUR
    said = text_of(desk.get("/admin/payments/payment/", {"q": "4242 50"}))
    assert euros.public_id in said
    assert yen.public_id not in said


def test_the_list_takes_as_many_queries_for_many_payments_as_for_one(
    desk: Client, captured_payment: PaymentMaker, eur: Any
) -> None:
    captured_payment(eur(1_00))
    desk.get("/admin/payments/payment/")
    one = queries_of(lambda: desk.get("/admin/payments/payment/"))
    for number in range(5):
        captured_payment(eur(2_00 + number))

    assert queries_of(lambda: desk.get("/admin/payments/payment/")) == one


@pytest.mark.parametrize(
    "probe",
    [
        *("card__number__startswith=4", "merchant__api_keys__hash__startswith=a", "customer_email__startswith=a"),
        *("decision__x=1", "card__fingerprint=1", "no_such_field=1", "status__in=captured"),
    ],
)
def test_a_filter_that_is_not_offered_is_refused_in_a_friendly_way(desk: Client, probe: str) -> None:
    answer = desk.get(f"/admin/payments/payment/?{probe}", follow=True)

    assert answer.status_code == 200
    assert "This list has no such filter" in text_of(answer)


@pytest.mark.parametrize("job", ["unknown", "processing", "refused_today", "cancel_requested"])
def test_filters_named_for_the_job_find_what_they_say(
    desk: Client, created_payment: PaymentMaker, eur: Any, operator: Actor, job: str
) -> None:
    processing = created_payment(eur(1_00), confirm=True)
    canceled = services.cancel_payment(payment=created_payment(eur(2_00), confirm=True), actor=operator)
    lost = created_payment(eur(3_00), confirm=True)
    Attempt.objects.filter(payment=lost).update(status=AttemptStatus.UNKNOWN)
    declined = Payment.objects.get(pk=created_payment(eur(4_00)).pk)
    Payment.objects.filter(pk=declined.pk).update(status=Status.DECLINED)

    said = text_of(desk.get("/admin/payments/payment/", {"job": job}))

    expected = {
        "unknown": {lost},
        "processing": {processing, canceled, lost},
        "refused_today": {declined},
        "cancel_requested": {canceled},
    }[job]
    assert {p for p in (processing, canceled, lost, declined) if p.public_id in said} == expected


# --- Verbs --------------------------------------------------------------------------------------------------------


def test_capture_takes_the_amount_with_the_reason_and_the_name_of_the_person(
    desk: Client, authorized_payment: PaymentMaker, carry_out: Callable[[], int], eur: Any
) -> None:
    payment = authorized_payment(eur(50_00))

    answer = fill_in(desk, verb(payment, "capture"), amount="20.50", reason="first parcel has left")
    carry_out()

    payment.refresh_from_db()
    assert (answer.status_code, answer["Location"]) == (302, page(payment))
    assert payment.captured_minor == 20_50
    entry = AuditEntry.objects.get(object_id=payment.public_id, verb="payment.capture_requested")
    assert (entry.actor, entry.reason, entry.address) == ("user:a Operations", "first parcel has left", "127.0.0.1")


def test_a_form_that_is_submitted_twice_acts_once(
    desk: Client, captured_payment: PaymentMaker, carry_out: Callable[[], int], eur: Any
) -> None:
    payment = captured_payment(eur(50_00))
    address = verb(payment, "refund")
    form = {**fields_of(desk.get(address).content.decode()), "amount": "10.00", "reason": "one book came back"}

    desk.post(address, form)
    second = desk.post(address, form, follow=True)

    assert "already submitted" in text_of(second)
    assert [refund.amount_minor for refund in Refund.objects.filter(payment=payment)] == [10_00]


def test_cancel_releases_an_authorization(
    desk: Client, authorized_payment: PaymentMaker, carry_out: Callable[[], int], eur: Any
) -> None:
    payment = authorized_payment(eur(50_00))

    fill_in(desk, verb(payment, "cancel"), reason="customer called")
    carry_out()

    payment.refresh_from_db()
    assert payment.status == Status.VOIDED


def test_a_refusal_is_shown_in_plain_words_and_leaves_no_trace(
    desk: Client, captured_payment: PaymentMaker, eur: Any
) -> None:
    payment = captured_payment(eur(50_00))

    answer = fill_in(desk, verb(payment, "refund"), amount="50.01", reason="too much")

    assert "Asked to refund 50.01 EUR, but only 50.00 EUR can be refunded." in text_of(answer)
    assert not Refund.objects.exists()


@pytest.mark.parametrize(
    "amount", ["10,00", "1e1", "١٠", "１０", "10.001", "-1", "+1", "0", "0.00", "NaN", "", " ", "1 0"]
)
def test_an_amount_that_is_not_plainly_one_is_refused(
    desk: Client, captured_payment: PaymentMaker, eur: Any, amount: str
) -> None:
    payment = captured_payment(eur(50_00))

    answer = fill_in(desk, verb(payment, "refund"), amount=amount, reason="test")

    assert answer.status_code == 200
    assert not Refund.objects.exists()


@pytest.mark.parametrize("reason", ["", "   ", "card 4242 4242 4242 4242", "line\x00end"])
def test_a_reason_is_mandatory_and_holds_no_card_number(
    desk: Client, captured_payment: PaymentMaker, eur: Any, reason: str
) -> None:
    payment = captured_payment(eur(50_00))

    answer = fill_in(desk, verb(payment, "refund"), reason=reason)

    assert answer.status_code == 200
    assert not Refund.objects.exists()
    assert not AuditEntry.objects.filter(reason__contains="4242").exists()


@pytest.mark.parametrize(
    ("role", "offered"),
    [
        ("Operations", {"capture", "cancel"}),
        ("Finance", set()),
        ("Read-only", set()),
        ("administrator", {"capture", "cancel"}),
    ],
)
def test_an_authorized_payment_offers_what_status_and_role_allow(
    authorized_payment: PaymentMaker, eur: Any, role: str, offered: set[str]
) -> None:
    payment, browser = authorized_payment(eur(50_00)), at_desk(role)

    html = browser.get(page(payment)).content.decode()

    assert {name for name in ("capture", "cancel", "refund") if verb(payment, name) in html} == offered


@pytest.mark.parametrize("name", ["capture", "cancel", "refund"])
def test_somebody_who_only_reads_is_kept_out_of_the_verbs_pages(
    authorized_payment: PaymentMaker, carry_out: Callable[[], int], eur: Any, name: str
) -> None:
    payment, reader = authorized_payment(eur(50_00)), at_desk("Read-only")
    before = list(Attempt.objects.values_list("pk", "status"))

    assert reader.get(verb(payment, name)).status_code == 403
    assert reader.post(verb(payment, name), {"reason": "x", "amount": "1.00"}).status_code == 403
    assert list(Attempt.objects.values_list("pk", "status")) == before


def test_what_the_status_forbids_is_not_offered_and_leads_back(
    desk: Client, captured_payment: PaymentMaker, eur: Any
) -> None:
    payment = captured_payment(eur(50_00))

    answer = desk.get(verb(payment, "capture"), follow=True)

    assert answer.redirect_chain == [(page(payment), 302)]
    assert "Capture is not possible now." in text_of(answer)


def test_a_currency_without_decimals_takes_none(desk: Client, authorized_payment: PaymentMaker) -> None:
    payment = authorized_payment(Money(1_200, "JPY"))

    answer = fill_in(desk, verb(payment, "capture"), amount="100.0", reason="part")

    assert "JPY has no decimals." in text_of(answer)


# --- Attempts, refunds and what nobody knows ----------------------------------------------------------------------


def test_attempts_and_refunds_are_told_on_the_page_of_their_payment(
    desk: Client, captured_payment: PaymentMaker, eur: Any
) -> None:
    payment = captured_payment(eur(50_00))
    attempt = payment.attempts.get()

    answer = desk.get(f"/admin/payments/attempt/{attempt.public_id}/change/")

    assert answer["Location"] == f"{page(payment)}#{attempt.public_id}"


def test_an_unknown_attempt_is_settled_by_two_people_and_never_by_one(
    created_payment: PaymentMaker, merchant: Merchant, eur: Any
) -> None:
    payment = created_payment(eur(50_00), confirm=True)
    attempt = payment.attempts.get()
    Attempt.objects.filter(pk=attempt.pk).update(status=AttemptStatus.UNKNOWN, next_action="ask")
    maker, checker = at_desk("Operations"), at_desk("administrator")
    form = {"outcome": "declined", "evidence": "Their report of today, line 7", "reason": "they confirmed by phone"}

    fill_in(maker, f"/admin/payments/attempt/{attempt.public_id}/settle/", **form)
    approval = Approval.objects.get()
    own = fill_in(maker, f"/admin/kit/approval/{approval.public_id}/approve/")
    approval.refresh_from_db()
    assert "you asked for it" in text_of(own)
    assert approval.status == APPROVAL.initial

    fill_in(checker, f"/admin/kit/approval/{approval.public_id}/approve/")

    attempt.refresh_from_db()
    approval.refresh_from_db()
    assert approval.status == Approval.Status.APPROVED
    assert attempt.status == AttemptStatus.DECLINED
