"""Is every outcome, whenever and from wherever it comes, worth exactly what it proves?"""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from checkout.kit import clock
from checkout.kit.errors import InvalidTransition
from checkout.kit.ids import uuid7
from checkout.kit.models import Alert
from gateways.models import Gateway
from gateways.outcomes import DeclineCode, GatewayResult, Outcome
from gateways.routing import recompute
from ledger import chart
from ledger.models import JournalEntry
from ledger.selectors import balance_of, trial_balance
from payments import services
from payments.models import Attempt, CardSecret, Evidence, Payment
from payments.statuses import IN_FLIGHT, AttemptStatus, NextAction, Operation, RefundStatus, Status
from payments.tests.answers import (
    CANCEL,
    HARD,
    INQUIRY,
    NOT_FOUND,
    NOT_SENT,
    PENDING,
    RESPONSE,
    SOFT,
    SUCCEEDED,
    UNKNOWN,
    approved,
    attempts,
    beyond_settle_window,
    bring,
    charges,
    claim,
    events,
    last,
    make_due,
    tell,
    trace,
    waits_for,
)

RESULTS = {
    "succeeded": SUCCEEDED,
    "declined": HARD,
    "pending": PENDING,
    "not_sent": NOT_SENT,
    "unknown": UNKNOWN,
    "not_found": NOT_FOUND,
}

# What an attempt that is sent, pending or unknown becomes, by where the news comes from. A gateway that could not be
# asked (not_sent to an inquiry or a cancel) has said nothing.
BECOMES = {
    RESPONSE: {
        "sent": {"succeeded": "succeeded", "declined": "declined", "pending": "pending", "not_sent": "not_sent"},
        "pending": {"succeeded": "succeeded", "declined": "declined"},
        "unknown": {"succeeded": "succeeded", "declined": "declined", "pending": "pending"},
    },
    INQUIRY: {
        "sent": {"succeeded": "succeeded", "declined": "declined", "pending": "pending"},
        "pending": {"succeeded": "succeeded", "declined": "declined", "not_found": "unknown"},
        "unknown": {"succeeded": "succeeded", "declined": "declined", "pending": "pending"},
    },
    CANCEL: {"pending": {"succeeded": "abandoned"}, "unknown": {"succeeded": "abandoned"}},
}


@pytest.fixture
def attempt(created_payment: Callable[..., Payment], eur: Any) -> Callable[[str], Attempt]:
    """`attempt("unknown")`: a charge of 50 euros at north that got that far."""
    return lambda status: bring(last(created_payment(eur(50_00), confirm=True)), status)


@pytest.mark.parametrize("source", [RESPONSE, INQUIRY, CANCEL])
@pytest.mark.parametrize("status", AttemptStatus.values)
def test_news_moves_an_attempt_forward_or_not_at_all(
    attempt: Callable[[str], Attempt], status: str, source: str
) -> None:
    before = attempt(status)
    known = before.evidence.count()
    # What nobody has sent cannot be spoken of, what is being sent is not canceled: refused as a whole, or ignored.
    is_possible = status != AttemptStatus.CREATED and (status, source) != (AttemptStatus.SENT, CANCEL)
    for news, result in RESULTS.items():
        start = transaction.savepoint()
        if news == "succeeded" and source != CANCEL:
            result = approved(before)
        with suppress(*() if is_possible else (InvalidTransition, AssertionError)):
            tell(before, result, source)

        after = Attempt.objects.select_related("payment").get(pk=before.pk)
        becomes = BECOMES[Evidence.Source(source)].get(status, {})
        expected = {becomes.get(news, "unknown" if status == AttemptStatus.SENT else status)}
        assert after.status in (expected if is_possible else {status, AttemptStatus.UNKNOWN}), news
        assert after.status not in IN_FLIGHT or after.next_action_at is not None, news
        assert after.evidence.count() == known + 1 or not is_possible, news
        if after.status in IN_FLIGHT:  # ignorance is no end, and no reason to try elsewhere
            assert after.payment.status == Status.PROCESSING, news
            assert len(charges(after.payment)) == 1, news
        transaction.savepoint_rollback(start)


@pytest.mark.parametrize("status", ["declined", "not_sent", "abandoned"])
@pytest.mark.parametrize("source", [RESPONSE, INQUIRY])
def test_a_success_that_comes_too_late_changes_no_status_but_a_person_hears_of_it(
    attempt: Callable[[str], Attempt], status: str, source: str
) -> None:
    before = attempt(status)
    payment_status = before.payment.status

    after = tell(before, approved(before), source)
    if source == RESPONSE:  # which may be overtaken: the gateway is asked what holds
        assert waits_for(after) == NextAction.ASK
        assert after.next_action_at <= clock.now()
        after = tell(after, approved(before), INQUIRY)

    assert (after.status, after.payment.status) == (status, payment_status)
    assert Alert.objects.filter(kind="late_success", object_id=after.public_id, severity="critical").exists()
    assert after.evidence.latest("id").outcome == Outcome.SUCCEEDED
    assert after.payment.captured_minor == 0


def test_a_success_told_twice_is_counted_once(attempt: Callable[[str], Attempt]) -> None:
    charge = attempt("sent")
    tell(charge, approved(charge))
    before = trace(charge.payment)

    tell(charge, approved(charge), INQUIRY)

    after = Payment.objects.get(pk=charge.payment_id)
    assert (after.status, after.captured_minor, trace(after)) == (Status.CAPTURED, 50_00, before)


# What an authorization's outcome means for the payment.


def test_a_sale_is_authorized_captured_posted_and_told_in_order(attempt: Callable[[str], Attempt]) -> None:
    charge = attempt("sent")

    payment = tell(charge, approved(charge)).payment

    assert (payment.status, payment.authorized_minor, payment.captured_minor) == (Status.CAPTURED, 50_00, 50_00)
    assert events(payment) == ["payment.created", "payment.processing", "payment.authorized", "payment.captured"]
    assert sorted(JournalEntry.objects.values_list("kind", flat=True)) == sorted(
        ["capture", "gateway_fee", "platform_fee", "funds_released"]
    )
    # 50.00 less 3.20 % + 0.30, and 20 % tax on that: 50.00 − 1.90 − 0.38
    available = balance_of(chart.merchant_available(payment.merchant_id), mode="test", currency="EUR")
    assert available.amount_minor == 47_72
    assert sum(balance.sum.amount_minor for balance in trial_balance(mode="test")) == 0


def test_where_the_gateway_only_reserved_a_capture_follows_there(attempt: Callable[[str], Attempt]) -> None:
    charge = attempt("sent")

    payment = tell(charge, approved(charge, captured=False)).payment

    assert (payment.status, payment.captured_minor) == (Status.AUTHORIZED, 0)
    assert attempts(payment) == [("north", "authorize", "succeeded"), ("north", "capture", "created")]
    assert not JournalEntry.objects.exists()
    capture = last(payment)
    claim()
    tell(capture, approved(capture))
    payment.refresh_from_db()
    assert (payment.status, payment.captured_minor) == (Status.CAPTURED, 50_00)


@pytest.mark.parametrize(
    ("result", "elsewhere", "status"),
    [
        (NOT_SENT, True, Status.PROCESSING),
        (SOFT, True, Status.PROCESSING),
        (HARD, False, Status.DECLINED),
        (PENDING, False, Status.PROCESSING),
        (UNKNOWN, False, Status.PROCESSING),
    ],
    ids=["not sent", "soft decline", "hard decline", "pending", "unknown"],
)
def test_another_gateway_is_asked_only_after_it_is_certain_that_nothing_was_charged(
    attempt: Callable[[str], Attempt], result: GatewayResult, elsewhere: bool, status: str
) -> None:
    payment = tell(attempt("sent"), result).payment

    assert payment.status == status
    assert [code for code, _ in charges(payment)] == (["north", "south"] if elsewhere else ["north"])


def test_every_decline_code_but_the_soft_ones_is_final(attempt: Callable[[str], Attempt]) -> None:
    for code in DeclineCode:
        payment = tell(attempt("sent"), GatewayResult(Outcome.DECLINED, decline_code=code)).payment

        assert (payment.status == Status.DECLINED, payment.decline_code) == (
            (False, "") if code.is_soft else (True, code)
        )
        claim()  # what follows a soft one is out of the way of the next


def test_each_gateway_is_tried_once_and_then_the_payment_has_failed(attempt: Callable[[str], Attempt]) -> None:
    payment = attempt("sent").payment
    for _ in range(2):
        tell(last(payment), NOT_SENT)
        claim()

    payment = tell(last(payment), NOT_SENT).payment

    assert charges(payment) == [("north", "not_sent"), ("south", "not_sent"), ("spare", "not_sent")]
    assert (payment.status, payment.decline_code) == (Status.FAILED, "")
    assert events(payment)[-1] == "payment.failed"


def test_where_one_declined_softly_and_the_rest_was_not_reached_it_is_declined(
    attempt: Callable[[str], Attempt],
) -> None:
    payment = tell(attempt("sent"), SOFT).payment
    for _ in range(2):
        claim()
        payment = tell(last(payment), NOT_SENT).payment

    assert (payment.status, payment.decline_code) == (Status.DECLINED, "processing_error")


def test_every_attempts_decision_can_be_made_again(attempt: Callable[[str], Attempt]) -> None:
    payment = tell(attempt("sent"), NOT_SENT).payment

    decisions = [row.decision for row in payment.attempts.order_by("seq")]

    assert [decision["chosen"] for decision in decisions] == ["north", "south"]
    assert decisions[1]["question"]["tried"] == ["north"]
    for decision in decisions:
        assert json.loads(json.dumps(recompute(decision).as_json())) == decision


def test_a_canceled_payment_is_tried_nowhere_else(attempt: Callable[[str], Attempt], actor: Any) -> None:
    charge = attempt("sent")
    services.cancel_payment(payment=charge.payment, actor=actor)

    payment = tell(charge, NOT_SENT).payment

    assert [code for code, _ in charges(payment)] == ["north"]
    assert payment.status in (Status.FAILED, Status.CANCELED)


def test_what_is_authorized_after_it_was_canceled_is_released_or_given_back(
    attempt: Callable[[str], Attempt], actor: Any
) -> None:
    for captured, operation in ((False, "void"), (True, "refund")):
        charge = attempt("sent")
        services.cancel_payment(payment=charge.payment, actor=actor)

        payment = tell(charge, approved(charge, captured=captured)).payment

        assert attempts(payment)[-1] == ("north", operation, "created")
        assert payment.cancel_requested_at is not None


@pytest.mark.parametrize(
    "claims",
    [{"amount_minor": 50_01}, {"amount_minor": 49_99}, {"currency": "USD"}, {"reference": "att_somebody_elses"}],
    ids=str,
)
def test_an_approval_of_something_else_is_not_believed(
    attempt: Callable[[str], Attempt], claims: dict[str, Any]
) -> None:
    charge = attempt("sent")

    after = tell(charge, approved(charge, **claims))

    assert (after.status, after.payment.status) == (AttemptStatus.UNKNOWN, Status.PROCESSING)
    assert Alert.objects.get(kind="answer_differs").object_id == after.public_id
    assert charges(after.payment) == [("north", "unknown")]
    assert not JournalEntry.objects.exists()


def test_a_gateway_that_refuses_us_is_our_fault_and_a_person_hears_of_it(attempt: Callable[[str], Attempt]) -> None:
    refusal = GatewayResult.not_sent("refused before processing with status 401")

    tell(attempt("sent"), refusal, http_status=401)

    assert Alert.objects.get(kind="gateway_refuses_us").message.startswith("North refuses our requests")


# Asking about what is unknown.


def test_what_is_unknown_is_asked_about_sooner_at_first_and_for_ever(attempt: Callable[[str], Attempt]) -> None:
    charge = attempt("unknown")
    waits = []
    for _ in range(20):
        assert waits_for(charge) == NextAction.ASK
        assert charge.next_action_at is not None
        waits.append((charge.next_action_at - clock.now()).total_seconds())
        charge = tell(charge, UNKNOWN, INQUIRY)

    assert waits[0] <= 3
    assert max(waits) > 3600
    assert all(later > 0.8 * earlier for earlier, later in zip(waits, waits[1:], strict=False))
    assert (charge.status, charge.payment.status) == (AttemptStatus.UNKNOWN, Status.PROCESSING)


def test_before_the_settle_window_is_over_not_found_proves_nothing(attempt: Callable[[str], Attempt]) -> None:
    charge = attempt("unknown")
    make_due(charge, sent_ago_seconds=charge.gateway.settle_window_seconds - 2)

    charge = tell(charge, NOT_FOUND, INQUIRY)

    assert (charge.status, waits_for(charge)) == (AttemptStatus.UNKNOWN, NextAction.ASK)
    assert charge.next_action_at is not None
    assert (charge.next_action_at - clock.now()).total_seconds() <= 2  # asked again as soon as it is over
    assert charges(charge.payment) == [("north", "unknown")]


def test_after_it_the_gateway_is_told_never_to_charge_and_only_then_another_is_asked(
    attempt: Callable[[str], Attempt],
) -> None:
    charge = attempt("unknown")
    make_due(charge, sent_ago_seconds=beyond_settle_window(charge))

    charge = tell(charge, NOT_FOUND, INQUIRY)
    assert (charge.status, waits_for(charge)) == (AttemptStatus.UNKNOWN, NextAction.CANCEL)
    assert charges(charge.payment) == [("north", "unknown")]

    charge = tell(charge, UNKNOWN, CANCEL)
    assert (charge.status, waits_for(charge)) == (AttemptStatus.UNKNOWN, NextAction.ASK)
    assert charges(charge.payment) == [("north", "unknown")]

    charge = tell(charge, SUCCEEDED, CANCEL)
    assert (charge.status, waits_for(charge)) == (AttemptStatus.ABANDONED, None)
    assert charges(charge.payment) == [("north", "abandoned"), ("south", "created")]


@pytest.mark.parametrize("source", [RESPONSE, INQUIRY])
def test_a_success_is_not_believed_once_the_gateway_may_have_been_told_never_to_charge(
    attempt: Callable[[str], Attempt], source: str
) -> None:
    charge = attempt("unknown")
    make_due(charge, sent_ago_seconds=beyond_settle_window(charge))
    tell(charge, NOT_FOUND, INQUIRY)
    assert list(claim().values()) == [NextAction.CANCEL]

    charge = tell(charge, approved(charge), source)  # which was on its way before the cancel had its effect
    assert (charge.status, waits_for(charge)) == (AttemptStatus.UNKNOWN, NextAction.CANCEL)
    assert (charge.payment.status, charge.payment.captured_minor) == (Status.PROCESSING, 0)

    charge = tell(charge, SUCCEEDED, CANCEL)
    assert charges(charge.payment) == [("north", "abandoned"), ("south", "created")]
    assert not JournalEntry.objects.exists()


def test_a_cancel_of_what_counts_already_is_told_to_a_person(attempt: Callable[[str], Attempt]) -> None:
    charge = attempt("succeeded")

    assert tell(charge, SUCCEEDED, CANCEL).status == AttemptStatus.SUCCEEDED

    assert Alert.objects.get(kind="success_called_off").object_id == charge.public_id


def test_without_cancel_by_reference_a_person_decides(attempt: Callable[[str], Attempt]) -> None:
    Gateway.objects.update(supports_cancel_by_reference=False)
    charge = attempt("unknown")
    make_due(charge, sent_ago_seconds=beyond_settle_window(charge))

    charge = tell(charge, NOT_FOUND, INQUIRY)

    assert (charge.status, waits_for(charge)) == (AttemptStatus.UNKNOWN, NextAction.ASK)
    assert charges(charge.payment) == [("north", "unknown")]
    assert Alert.objects.get(kind="unknown_outcome").object_id == charge.public_id


def test_a_capture_that_is_not_found_is_sent_again_to_the_same_gateway_under_the_same_name(
    attempt: Callable[[str], Attempt],
) -> None:
    charge = attempt("sent")
    payment = tell(charge, approved(charge, captured=False)).payment
    capture = bring(last(payment), "unknown")
    make_due(capture, sent_ago_seconds=beyond_settle_window(capture))

    capture = tell(capture, NOT_FOUND, INQUIRY)

    assert (capture.status, waits_for(capture)) == (AttemptStatus.UNKNOWN, NextAction.REPLAY)
    assert len(attempts(payment)) == 2
    capture = tell(capture, NOT_SENT)  # the replay did not reach it: that says nothing of the first sending
    assert (capture.status, waits_for(capture)) == (AttemptStatus.UNKNOWN, NextAction.ASK)
    capture = tell(capture, approved(capture))
    assert (capture.status, capture.payment.status, capture.payment.captured_minor) == (
        AttemptStatus.SUCCEEDED,
        Status.CAPTURED,
        50_00,
    )


# Captures, voids and refunds belong to their gateway.


@pytest.mark.parametrize("operation", ["capture", "void"])
def test_what_did_not_reach_its_gateway_is_tried_there_again_and_later_each_time(
    attempt: Callable[[str], Attempt], actor: Any, operation: str
) -> None:
    charge = attempt("sent")
    Payment.objects.update(capture_mode="manual")
    payment = tell(charge, approved(charge, captured=False)).payment
    verb = {"capture": services.capture_payment, "void": services.cancel_payment}[operation]
    verb(payment=payment, actor=actor)

    waits = []
    while (follower := last(payment)).status == AttemptStatus.CREATED:
        waits.append((follower.next_action_at - clock.now()).total_seconds())  # type: ignore[operator]
        make_due(follower)
        claim()
        tell(follower, NOT_SENT)

    assert waits == sorted(waits)
    assert (len(waits), round(waits[-1])) == (6, 3600)
    assert {(code, what) for code, what, _ in attempts(payment)[1:]} == {("north", operation)}
    payment.refresh_from_db()
    assert payment.status == Status.AUTHORIZED
    assert Alert.objects.filter(kind=f"{operation}_refused").exists()


def test_a_refused_capture_leaves_the_payment_authorized(attempt: Callable[[str], Attempt]) -> None:
    charge = attempt("sent")
    payment = tell(charge, approved(charge, captured=False)).payment
    claim()

    payment = tell(last(payment), HARD).payment

    assert (payment.status, payment.captured_minor) == (Status.AUTHORIZED, 0)
    assert Alert.objects.get(kind="capture_refused").severity == "critical"


@pytest.mark.parametrize(
    ("result", "status", "refunded_minor", "available_minor"),
    [(SUCCEEDED, RefundStatus.SUCCEEDED, 10_00, 37_72), (HARD, RefundStatus.FAILED, 0, 47_72)],
    ids=["succeeded", "refused"],
)
def test_a_refund_takes_the_money_at_once_and_gives_it_back_if_it_is_refused(
    attempt: Callable[[str], Attempt],
    eur: Any,
    actor: Any,
    result: GatewayResult,
    status: str,
    refunded_minor: int,
    available_minor: int,
) -> None:
    charge = attempt("sent")
    payment = tell(charge, approved(charge)).payment

    def available() -> int:
        account = chart.merchant_available(payment.merchant_id)
        return balance_of(account, mode="test", currency="EUR").amount_minor

    refund = services.refund_payment(payment=payment, actor=actor, amount=eur(10_00))
    assert (refund.status, available()) == (RefundStatus.PROCESSING, 37_72)

    claim()
    payment = tell(last(payment), result).payment

    refund.refresh_from_db()
    assert (refund.status, payment.refunded_minor, available()) == (status, refunded_minor, available_minor)
    assert payment.status == Status.CAPTURED
    assert events(payment)[-1] == f"refund.{status}"
    assert sum(balance.sum.amount_minor for balance in trial_balance(mode="test")) == 0


def test_an_unknown_refund_keeps_the_money_aside(attempt: Callable[[str], Attempt], eur: Any, actor: Any) -> None:
    charge = attempt("sent")
    payment = tell(charge, approved(charge)).payment
    refund = services.refund_payment(payment=payment, actor=actor, amount=eur(10_00))
    claim()

    tell(last(payment), UNKNOWN)

    refund.refresh_from_db()
    assert refund.status == RefundStatus.PROCESSING
    aside = balance_of(chart.refund_in_flight(payment.merchant_id), mode="test", currency="EUR")
    assert aside.amount_minor == 10_00


def test_a_void_releases_the_money_and_ends_the_payment(attempt: Callable[[str], Attempt], actor: Any) -> None:
    charge = attempt("sent")
    Payment.objects.update(capture_mode="manual")
    payment = tell(charge, approved(charge, captured=False)).payment
    services.cancel_payment(payment=payment, actor=actor)
    claim()

    void = last(payment)
    payment = tell(void, approved(void)).payment

    assert (payment.status, payment.captured_minor) == (Status.VOIDED, 0)
    assert not JournalEntry.objects.exists()


# The verification value goes as soon as no charge can follow.


@pytest.mark.parametrize(
    ("result", "is_kept"),
    [(SUCCEEDED, False), (HARD, False), (SOFT, True), (NOT_SENT, True), (PENDING, True), (UNKNOWN, True)],
    ids=["succeeded", "hard", "soft", "not sent", "pending", "unknown"],
)
def test_the_verification_value_is_kept_only_while_a_charge_may_follow(
    attempt: Callable[[str], Attempt], result: GatewayResult, is_kept: bool
) -> None:
    charge = attempt("sent")

    tell(charge, approved(charge) if result is SUCCEEDED else result)

    assert CardSecret.objects.exists() is is_kept


def test_after_the_last_gateway_the_verification_value_is_gone(attempt: Callable[[str], Attempt]) -> None:
    payment = attempt("sent").payment
    for _ in range(3):
        tell(last(payment), NOT_SENT)
        claim()

    assert Payment.objects.get().status == Status.FAILED
    assert not CardSecret.objects.exists()


# The last guard is the database.


@pytest.mark.parametrize("status", ["created", "sent", "pending", "unknown", "succeeded"])
def test_a_second_live_charge_is_refused_by_the_database_itself(attempt: Callable[[str], Attempt], status: str) -> None:
    charge = attempt(status)

    def second(**changes: Any) -> Attempt:
        return Attempt.objects.create(
            **{
                "payment_id": charge.payment_id,
                "seq": 77,
                "confirmation": 2,
                "operation": Operation.AUTHORIZE,
                "gateway": Gateway.objects.get(code="spare"),
                "amount_minor": 50_00,
                "currency": "EUR",
                "actor": "test",
                "next_action_at": clock.now(),
                "created_at": clock.now(),
                **changes,
            }
        )

    for live in ("created", "sent", "pending", "unknown", "succeeded"):
        with pytest.raises(IntegrityError, match="one_live_charge_per_payment"), transaction.atomic():
            second(status=live)
    assert second(status="declined", id=uuid7()).pk


def test_the_same_charge_of_a_gateway_cannot_be_two_attempts(
    attempt: Callable[[str], Attempt], created_payment: Callable[..., Payment], eur: Any
) -> None:
    first = attempt("sent")
    tell(first, approved(first, gateway_reference="ch_1"))
    second = bring(last(created_payment(eur(50_00), confirm=True)), "sent")

    with pytest.raises(IntegrityError, match="gateway_reference_once"):
        tell(second, approved(second, gateway_reference="ch_1"))

    second.refresh_from_db()
    assert second.status == AttemptStatus.SENT
