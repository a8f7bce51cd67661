"""Can money leave beyond what one person may give back alone, without a second one, or more than once?"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection

from checkout.kit import approvals, clock
from checkout.kit.actors import Actor
from checkout.kit.approvals import ApprovalChanged, ApprovalNotOpen, MakerCannotCheck
from checkout.kit.errors import Refusal
from checkout.kit.models import Approval, AuditEntry, User
from checkout.kit.money import CURRENCY_DECIMALS, Money
from checkout.settings import policy
from gateways.errors import GatewayStopped
from gateways.models import Gateway
from gateways.services import stop_gateway
from ledger import chart
from ledger.selectors import balance_of
from payments import selectors, services
from payments.allowance import allowance_of
from payments.errors import PaymentNotRefundable, RefundExceedsCaptured
from payments.models import Attempt, Payment, Refund
from payments.selfaudit import Scope, audit_books
from payments.statuses import Operation, RefundStatus, Status
from payments.tests.answers import HARD, UNKNOWN, claim, events, last, tell, trace

Pay = Callable[..., Payment]
TASK = Actor.task("expire")


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones, so that a payment is above them."""
    limits = {"Operations": (20, 50), "Finance": (30, 40), "Administrator": (40, 100)}
    monkeypatch.setattr(policy, "REFUND_LIMITS", limits)


def person(name: str, *roles: str, **about: Any) -> User:
    user = User.objects.create_user(name, is_staff=True, **about)
    user.groups.set(Group.objects.get_or_create(name=role)[0] for role in roles)
    return user


@pytest.fixture
def olivia(db: None) -> User:
    return person("olivia", "Operations")


@pytest.fixture
def oscar(db: None) -> User:
    return person("oscar", is_superuser=True)


def by(user: User) -> Actor:
    return Actor.user(user.username, "192.0.2.7")


def refund(payment: Payment, user: User, amount: Money, reason: str = "returned") -> Refund:
    return services.refund_at_desk(payment=payment, person=user, amount=amount, actor=by(user), reason=reason)


def agree(approval: Approval, user: User) -> Refund:
    return services.approve_refund(approval=approval, checker=user, actor=by(user))


def asked(payment: Payment, user: User, amount: Money) -> Approval:
    """A refund that waits."""
    waiting = refund(payment, user, amount)
    assert waiting.status == RefundStatus.AWAITING_APPROVAL
    return Approval.objects.get(object_id=waiting.public_id)


def refused(refusal: type[Refusal], approval: Approval, user: User) -> None:
    """Whoever agrees now is refused, and nothing is left behind."""
    waiting = Refund.objects.get()
    before = trace(waiting.payment), list(Approval.objects.values())
    with pytest.raises(refusal):
        agree(approval, user)
    assert (trace(waiting.payment), list(Approval.objects.values())) == before
    assert Refund.objects.get().status == waiting.status


def available(payment: Payment) -> int:
    account = chart.merchant_available(payment.merchant_id)
    return balance_of(account, mode="test", currency=payment.currency).amount_minor


def is_green() -> bool:
    return not [finding.samples for finding in audit_books(Scope()) if not finding.is_green]


# --- Alone --------------------------------------------------------------------------------------------------------


def test_up_to_the_limit_one_person_refunds_alone(captured_payment: Pay, eur: Any, olivia: User) -> None:
    done = refund(captured_payment(eur(50_00)), olivia, eur(20_00))

    assert (done.status, done.alone) == (RefundStatus.PROCESSING, olivia)
    assert not Approval.objects.exists()


def test_what_was_refunded_alone_within_a_day_counts_over_all_payments(
    captured_payment: Pay, eur: Any, olivia: User
) -> None:
    first, second, third, fourth = (captured_payment(eur(50_00)) for _ in range(4))
    for payment in (first, second):
        assert refund(payment, olivia, eur(20_00)).status == RefundStatus.PROCESSING

    assert refund(third, olivia, eur(10_01)).status == RefundStatus.AWAITING_APPROVAL
    assert refund(fourth, olivia, eur(10_00)).status == RefundStatus.PROCESSING


def test_a_day_later_and_after_a_failure_the_limit_is_there_again(
    captured_payment: Pay, eur: Any, olivia: User
) -> None:
    payment = captured_payment(eur(90_00))
    left = lambda: allowance_of(olivia, currency="EUR", mode="test").left  # noqa: E731
    refund(payment, olivia, eur(20_00))
    assert left() == eur(30_00)

    claim()
    tell(last(payment), HARD)
    assert left() == eur(50_00)

    refund(payment, olivia, eur(15_00))
    with time_machine.travel(clock.now() + timedelta(days=1)):
        assert left() == eur(50_00)


def test_the_largest_limit_of_somebodys_roles_counts_and_nobody_has_none(db: None) -> None:
    limits = {
        user: (allowance.at_once.amount_minor, allowance.within_a_day.amount_minor)
        for user in (
            person("both", "Operations", "Finance"),
            person("super", is_superuser=True),
            person("reader", "Read-only"),
            person("nobody"),
        )
        if (allowance := allowance_of(user, currency="EUR", mode="test"))
    }

    assert {user.username: limit for user, limit in limits.items()} == {
        "both": (30_00, 50_00),
        "super": (40_00, 100_00),
        "reader": (0, 0),
        "nobody": (0, 0),
    }


@pytest.mark.parametrize(
    ("currency", "at_once"), [("EUR", 20_00), ("KWD", 20_000), ("JPY", 2_000), ("KRW", 10_000), ("VND", 200_000)]
)
def test_a_limit_is_of_the_payments_own_currency(db: None, olivia: User, currency: str, at_once: int) -> None:
    assert allowance_of(olivia, currency=currency, mode="test").at_once == Money(at_once, currency)


def test_the_day_is_one_for_all_currencies_and_one_for_each_mode(
    captured_payment: Pay, eur: Any, usd: Any, olivia: User
) -> None:
    refund(captured_payment(eur(50_00)), olivia, eur(20_00))
    refund(captured_payment(usd(50_00)), olivia, usd(10_01))

    assert [
        allowance_of(olivia, currency=currency, mode=mode).left.amount_minor
        for currency, mode in (("USD", "test"), ("EUR", "test"), ("KWD", "test"), ("JPY", "test"), ("EUR", "live"))
    ] == [19_99, 19_99, 19_990, 1_999, 50_00]
    assert refund(captured_payment(usd(50_00)), olivia, usd(20_00)).status == RefundStatus.AWAITING_APPROVAL
    assert refund(captured_payment(usd(50_00)), olivia, usd(19_99)).status == RefundStatus.PROCESSING
    assert not allowance_of(olivia, currency="EUR", mode="test").covers(eur(1))


def test_what_was_used_in_another_currency_is_rounded_against_whoever_refunds(
    captured_payment: Pay, olivia: User
) -> None:
    refund(captured_payment(Money(9_000, "KWD")), olivia, Money(1, "KWD"))

    used = [allowance_of(olivia, currency=currency, mode="test").used for currency in ("KWD", "EUR", "JPY", "VND")]
    assert [each.amount_minor for each in used] == [1, 1, 1, 10]  # a thousandth of a unit


def test_every_role_that_refunds_has_a_limit_and_no_limit_is_of_a_role_that_is_not_there(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    refunds = Group.objects.filter(permissions__codename="refund_payment").values_list("name", flat=True)

    assert set(refunds) == set(policy.REFUND_LIMITS)
    assert all(0 < at_once <= day for at_once, day in policy.REFUND_LIMITS.values())
    assert set(policy.LIMIT_MULTIPLES) <= set(CURRENCY_DECIMALS)


def test_merchants_are_not_limited(captured_payment: Pay, eur: Any) -> None:
    done = services.refund_payment(payment=captured_payment(eur(5_000_00)), actor=Actor.key("sk_test_x"))

    assert (done.status, done.alone) == (RefundStatus.PROCESSING, None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("currencies", [("EUR",), ("EUR", "USD")])
def test_two_refunds_of_one_person_at_once_see_each_other(
    captured_payment: Pay, olivia: User, currencies: tuple[str, ...]
) -> None:
    payments = [captured_payment(Money(90_00, currencies[number % len(currencies)])) for number in range(6)]
    start = Barrier(len(payments))

    def one(payment: Payment) -> str:
        try:
            start.wait(timeout=10)
            return str(refund(payment, olivia, Money(20_00, payment.currency)).status)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(payments)) as pool:
        statuses = sorted(pool.map(one, payments))

    assert statuses == ["awaiting_approval"] * 4 + ["processing"] * 2  # of fifty euros a day


# --- Asking -------------------------------------------------------------------------------------------------------


def test_above_the_limit_it_is_asked_for_and_its_money_is_promised_to_nobody_else(
    captured_payment: Pay, eur: Any, olivia: User
) -> None:
    payment = captured_payment(eur(50_00))
    before = available(payment)

    waiting = refund(payment, olivia, eur(30_00), "the parcel was empty")

    approval = Approval.objects.get()
    assert (waiting.status, waiting.alone) == (RefundStatus.AWAITING_APPROVAL, None)
    assert (approval.kind, approval.object_id, approval.maker) == ("payment.refund", waiting.public_id, olivia)
    assert (approval.payload["amount"], approval.payload["payment"]) == (30_00, payment.public_id)
    assert (available(payment), payment.attempts.filter(operation=Operation.REFUND).count()) == (before, 0)
    assert events(payment)[-1] == "refund.awaiting_approval"
    assert selectors.refundable(payment) == eur(20_00)
    with pytest.raises(RefundExceedsCaptured):
        services.refund_payment(payment=payment, amount=eur(20_01), actor=Actor.key("sk_test_x"))
    assert is_green()


def test_somebody_else_agrees_and_it_is_carried_out_once(
    captured_payment: Pay, carry_out: Callable[[], int], eur: Any, olivia: User, oscar: User
) -> None:
    payment = captured_payment(eur(50_00))
    approval = asked(payment, olivia, eur(50_00))
    approval.answer = "the shop confirmed"

    agree(approval, oscar)
    with pytest.raises(ApprovalNotOpen):
        agree(approval, oscar)
    carry_out()

    payment.refresh_from_db()
    approval.refresh_from_db()
    done = Refund.objects.get()
    assert (done.status, payment.refunded_minor, done.alone) == (RefundStatus.SUCCEEDED, 50_00, None)
    assert (approval.status, approval.checker, approval.answer) == ("approved", oscar, "the shop confirmed")
    assert events(payment)[-3:] == ["refund.awaiting_approval", "refund.processing", "refund.succeeded"]
    assert payment.attempts.filter(operation=Operation.REFUND).count() == 1
    entry = AuditEntry.objects.get(verb="refund.approve")
    assert (entry.actor, entry.reason, entry.before["status"]) == ("user:oscar", "returned", "awaiting_approval")
    assert allowance_of(oscar, currency="EUR", mode="test").used == eur(0)
    assert is_green()


@pytest.mark.django_db(transaction=True)
def test_of_many_who_agree_at_once_one_sends_it(captured_payment: Pay, eur: Any, olivia: User) -> None:
    approval = asked(captured_payment(eur(50_00)), olivia, eur(50_00))
    checkers = [person(f"checker {number}", is_superuser=True) for number in range(4)]
    start = Barrier(len(checkers))

    def one(checker: User) -> str:
        try:
            start.wait(timeout=10)
            return str(agree(approval, checker).status)
        except Refusal as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(checkers)) as pool:
        assert sorted(pool.map(one, checkers)) == ["approval_not_open"] * 3 + ["processing"]
    assert Attempt.objects.filter(operation=Operation.REFUND).count() == 1


@pytest.mark.parametrize("is_superuser", [False, True])
def test_nobody_agrees_to_their_own(captured_payment: Pay, eur: Any, is_superuser: bool) -> None:
    maker = person("maker", "Operations", is_superuser=is_superuser)

    refused(MakerCannotCheck, asked(captured_payment(eur(50_00)), maker, eur(45_00)), maker)


@pytest.mark.parametrize(
    "edit",
    [{"amount": 49_00}, {"payment": "pay_another"}, {"currency": "USD"}, {"stood": {}}],
    ids=lambda edit: next(iter(edit)),
)
def test_what_was_edited_meanwhile_is_not_agreed_to(
    captured_payment: Pay, eur: Any, olivia: User, oscar: User, edit: dict[str, Any]
) -> None:
    approval = asked(captured_payment(eur(50_00)), olivia, eur(30_00))
    Approval.objects.update(payload={**approval.payload, **edit})

    refused(ApprovalChanged, approval, oscar)


def test_a_refund_that_was_edited_meanwhile_is_not_agreed_to(
    captured_payment: Pay, eur: Any, olivia: User, oscar: User
) -> None:
    approval = asked(captured_payment(eur(50_00)), olivia, eur(30_00))
    Refund.objects.update(amount_minor=40_00)

    refused(ApprovalChanged, approval, oscar)


def test_a_stopped_gateway_is_looked_at_again_when_somebody_agrees(
    captured_payment: Pay, gateways: dict[str, Gateway], eur: Any, olivia: User, oscar: User, actor: Actor
) -> None:
    approval = asked(captured_payment(eur(50_00)), olivia, eur(30_00))
    stop_gateway(gateway=gateways["north"], reason="It looks wrong.", actor=actor)

    refused(GatewayStopped, approval, oscar)


def test_what_is_no_longer_there_is_not_agreed_to(captured_payment: Pay, eur: Any, olivia: User, oscar: User) -> None:
    payment = captured_payment(eur(50_00))
    approval = asked(payment, olivia, eur(30_00))
    Payment.objects.update(refunded_minor=20_01)
    refused(RefundExceedsCaptured, approval, oscar)

    Payment.objects.update(refunded_minor=0, captured_minor=0, status=Status.VOIDED)
    refused(PaymentNotRefundable, approval, oscar)


@pytest.mark.parametrize(("who", "status"), [("oscar", "rejected"), ("olivia", "withdrawn")])
def test_a_no_and_a_withdrawal_release_the_money_and_tell_the_merchant(
    captured_payment: Pay, eur: Any, olivia: User, oscar: User, who: str, status: str
) -> None:
    payment = captured_payment(eur(50_00))
    approval, user = asked(payment, olivia, eur(50_00)), {"olivia": olivia, "oscar": oscar}[who]

    services.reject_refund(approval=approval, checker=user, reason="wrong order", actor=by(user))

    approval.refresh_from_db()
    assert (approval.status, approval.answer, Refund.objects.get().status) == (status, "wrong order", "rejected")
    assert selectors.refundable(payment) == eur(50_00)
    assert events(payment)[-1] == "refund.rejected"
    with pytest.raises(ApprovalNotOpen):
        agree(approval, oscar)
    assert is_green()


def test_what_nobody_decides_in_time_is_let_go(captured_payment: Pay, eur: Any, olivia: User, oscar: User) -> None:
    payment = captured_payment(eur(50_00))
    approval = asked(payment, olivia, eur(50_00))
    services.expire_due(actor=TASK)
    assert Refund.objects.get().status == RefundStatus.AWAITING_APPROVAL

    with time_machine.travel(approval.expires_at):
        with pytest.raises(ApprovalNotOpen, match="is expired"):
            agree(approval, oscar)
        for _ in range(2):
            services.expire_due(actor=TASK)

    approval.refresh_from_db()
    assert (approval.status, approval.checker, Refund.objects.get().status) == ("expired", None, "rejected")
    assert selectors.refundable(payment) == eur(50_00)
    assert events(payment).count("refund.rejected") == 1
    assert is_green()


def test_requests_of_every_kind_are_closed_when_their_time_is_over(
    captured_payment: Pay, eur: Any, olivia: User
) -> None:
    approval = approvals.request(
        kind="door.open", obj=captured_payment(eur(1_00)), payload={}, reason="x", maker=olivia, actor=by(olivia)
    )

    with time_machine.travel(approval.expires_at):
        services.expire_due(actor=TASK)

    approval.refresh_from_db()
    assert approval.status == Approval.Status.EXPIRED
    assert AuditEntry.objects.filter(verb="door.open.expire", object_id=approval.public_id).count() == 1


def test_an_outcome_that_is_unknown_is_not_refunded(created_payment: Pay, eur: Any, olivia: User) -> None:
    payment = created_payment(eur(50_00), confirm=True)
    claim()
    tell(last(payment), UNKNOWN)

    with pytest.raises(PaymentNotRefundable):
        refund(payment, olivia, eur(10_00))
    assert not Refund.objects.exists()


def test_a_request_that_nobody_is_asked_about_turns_the_self_audit_red(
    captured_payment: Pay, eur: Any, olivia: User
) -> None:
    asked(captured_payment(eur(50_00)), olivia, eur(50_00))
    Approval.objects.all().delete()

    red = {finding.code: finding.samples for finding in audit_books(Scope()) if not finding.is_green}

    assert red == {"I15": [[Refund.objects.get().public_id, "awaits an approval that nobody is asked for"]]}
