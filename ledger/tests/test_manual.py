"""Two people write into the books by hand, or neither does; what they write obeys the same rules as everything."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from checkout.kit.actors import Actor
from checkout.kit.approvals import AlreadyRequested, ApprovalChanged, ApprovalNotOpen, MakerCannotCheck, reject
from checkout.kit.errors import Refusal
from checkout.kit.models import Approval, AuditEntry, User
from checkout.kit.money import Money
from ledger import chart, recipes, services
from ledger.chart import AccountKey, AccountKind
from ledger.errors import (
    AccountNotInChart,
    AlreadyReversed,
    DayInFuture,
    EntryDoesNotBalance,
    InsufficientBalance,
    OneGatewayOnly,
)
from ledger.models import JournalEntry, Posting
from ledger.recipes import PostingDraft, credit, debit

pytestmark = pytest.mark.django_db(transaction=True)

OLIVIA, OSCAR = Actor.user("olivia"), Actor.user("oscar")


def today(*, days: int = 0):
    return datetime.now(UTC).date() + timedelta(days=days)


@pytest.fixture
def maker() -> User:
    return User.objects.create_user("olivia", is_superuser=True)


@pytest.fixture
def checker() -> User:
    return User.objects.create_user("oscar", is_superuser=True)


@pytest.fixture
def write(maker) -> Callable[..., Approval]:
    """`write(debit(…), credit(…))`: ask for an entry of today."""

    def write(*legs: PostingDraft, **changes: Any) -> Approval:
        words = {"mode": "test", "on": today(), "reason": "the bank's letter", "evidence": "letter 7"} | changes
        return services.request_manual_entry(legs=legs, maker=maker, actor=OLIVIA, **words)

    return write


@pytest.fixture
def reverse(maker) -> Callable[[JournalEntry], Approval]:
    return lambda entry: services.request_reversal(
        entry=entry, reason="booked twice", evidence="line 9", maker=maker, actor=OLIVIA
    )


@pytest.fixture
def agree(checker) -> Callable[[Approval], JournalEntry]:
    """As the desk does, by the kind of request."""
    return lambda approval: services.APPROVED[approval.kind](approval=approval, checker=checker, actor=OSCAR)


def written() -> int:
    return JournalEntry.objects.count()


def test_an_entry_is_posted_once_a_second_person_agrees(write, agree, balance, ana, acme, usd) -> None:
    approval = write(debit(chart.write_off(), usd(37)), credit(chart.gateway_receivable(acme.pk), usd(37)))
    assert written() == 0

    entry = agree(approval)

    assert (balance(chart.write_off()), balance(chart.gateway_receivable(acme.pk))) == (usd(37), -usd(37))
    assert (entry.kind, entry.reference, entry.occurred_on) == ("manual", approval.public_id, today())
    assert (entry.gateway, entry.merchant, entry.public_id) == (acme, None, approval.object_id)


def test_the_request_and_the_entry_are_one_story_in_the_audit(write, agree, maker, usd, ana) -> None:
    approval = write(debit(chart.bank(), usd(5)), credit(chart.merchant_available(ana.pk), usd(5)))
    entry = agree(approval)

    asked, done = AuditEntry.objects.filter(object_id=entry.public_id).order_by("id")
    assert [(row.verb, row.actor, row.reason) for row in (asked, done)] == [
        ("entry.write.request", "user:olivia", "the bank's letter"),
        ("entry.write", "user:oscar", "the bank's letter"),
    ]
    assert done.after["approval"] == approval.public_id
    assert done.after["evidence"] == "letter 7"
    assert done.after["legs"][1] == {
        "account": "merchant_available",
        "merchant": ana.public_id,
        "gateway": None,
        "holder": "",
        "currency": "USD",
        "amount": -5,
    }
    assert entry.merchant == ana


def test_every_kind_of_account_survives_the_request(write, agree, ana, acme, usd) -> None:
    gateway_legs = [debit(AccountKey(kind, gateway_id=acme.pk), usd(1)) for kind in gateway_kinds()]
    others = [
        credit(chart.wallet(ana.pk, "cus_1"), usd(1)),
        credit(chart.gift_card(ana.pk, "card_1"), usd(2)),
        credit(chart.merchant_pending(ana.pk), usd(len(gateway_legs) - 3)),
    ]
    entry = agree(write(*gateway_legs, *others))
    posted = {(leg.account.key, leg.amount) for leg in entry.postings.select_related("account")}
    assert posted == {(leg.account, leg.amount) for leg in (*gateway_legs, *others)}


def gateway_kinds() -> list[AccountKind]:
    return [kind for kind, row in chart.CHART.items() if row.owner is chart.Owner.GATEWAY]


@pytest.mark.parametrize(
    ("legs", "problem"),
    [
        ([], "fewer than two legs"),
        ([("bank", 5)], "fewer than two legs"),
        ([("bank", 5), ("write_off", -4)], "debits exceed credits by 0.01 USD"),
        ([("bank", 5), ("write_off", 0), ("rounding", -5)], "of nothing"),
    ],
)
def test_an_entry_that_does_not_balance_cannot_even_be_asked_for(write, usd, legs, problem) -> None:
    with pytest.raises(EntryDoesNotBalance, match=problem):
        write(*(PostingDraft(AccountKey(AccountKind(kind)), usd(amount)) for kind, amount in legs))
    assert not Approval.objects.exists()


def test_it_balances_in_each_currency_by_itself(write, usd) -> None:
    with pytest.raises(EntryDoesNotBalance, match="0.05 EUR"):
        write(debit(chart.bank(), Money(5, "EUR")), credit(chart.bank(), usd(5)))


@pytest.mark.parametrize("kind", ["gateway_receivable", "merchant_available", "wallet"])
def test_an_account_needs_the_owner_that_the_chart_says(write, usd, kind) -> None:
    with pytest.raises(AccountNotInChart, match=kind):
        write(PostingDraft(AccountKey(AccountKind(kind)), usd(5)), credit(chart.bank(), usd(5)))


def test_an_account_of_the_platform_names_nobody(write, usd, ana) -> None:
    with pytest.raises(AccountNotInChart, match="platform"):
        write(debit(AccountKey(AccountKind.BANK, merchant_id=ana.pk), usd(5)), credit(chart.write_off(), usd(5)))


def test_two_gateways_are_two_entries(write, usd, ana, acme) -> None:
    with pytest.raises(OneGatewayOnly):
        write(debit(chart.suspense(acme.pk), usd(5)), credit(chart.gateway_fee(ana.pk), usd(5)))


def test_a_day_that_has_not_come_yet_is_refused(write, usd) -> None:
    with pytest.raises(DayInFuture):
        write(debit(chart.bank(), usd(5)), credit(chart.write_off(), usd(5)), on=today(days=1))


def test_a_day_in_the_past_is_kept(write, agree, usd) -> None:
    approval = write(debit(chart.bank(), usd(5)), credit(chart.write_off(), usd(5)), on=today(days=-4))
    assert agree(approval).occurred_on == today(days=-4)


def test_whoever_asked_cannot_agree(write, maker, usd) -> None:
    approval = write(debit(chart.bank(), usd(5)), credit(chart.write_off(), usd(5)))
    with pytest.raises(MakerCannotCheck):
        services.approve_manual_entry(approval=approval, checker=maker, actor=OLIVIA)
    assert written() == 0


def test_it_is_posted_once(write, agree, usd) -> None:
    approval = write(debit(chart.bank(), usd(5)), credit(chart.write_off(), usd(5)))
    agree(approval)
    with pytest.raises(ApprovalNotOpen):
        agree(approval)
    assert written() == 1


def test_a_request_that_was_changed_since_is_refused(write, agree, usd) -> None:
    approval = write(debit(chart.bank(), usd(5)), credit(chart.write_off(), usd(5)))
    approval.payload["legs"][0]["amount"], approval.payload["legs"][1]["amount"] = 500, -500
    approval.save()
    with pytest.raises(ApprovalChanged):
        agree(approval)
    assert written() == 0


def test_a_rejected_request_is_never_posted(write, agree, checker, usd) -> None:
    approval = write(debit(chart.bank(), usd(5)), credit(chart.write_off(), usd(5)))
    reject(approval=approval, checker=checker, reason="no such letter", actor=OSCAR)
    with pytest.raises(ApprovalNotOpen):
        agree(approval)
    assert written() == 0


def test_a_floor_holds_for_people_as_well_and_the_request_stays_open(write, agree, sold, ana, balance, usd) -> None:
    approval = write(debit(chart.merchant_available(ana.pk), usd(50_00)), credit(chart.bank(), usd(50_00)))
    with pytest.raises(InsufficientBalance):
        agree(approval)
    assert (written(), Approval.objects.get().status) == (0, "requested")

    sold(50_00)
    agree(approval)
    assert balance(chart.merchant_available(ana.pk)) == usd(0)


def test_a_reversal_undoes_an_entry_to_the_cent(sold, reverse, agree, balance, ana, acme, usd) -> None:
    sold(100_00)
    released = JournalEntry.objects.get(kind="funds_released")

    entry = agree(reverse(released))

    assert (balance(chart.merchant_available(ana.pk)), balance(chart.merchant_pending(ana.pk))) == (usd(0), usd(100_00))
    assert (entry.kind, entry.reference, entry.occurred_on) == ("reversal", released.public_id, today())
    assert (entry.merchant, entry.gateway, entry.payment_reference) == (ana, acme, "pay_1")
    verbs = AuditEntry.objects.filter(object_id=released.public_id).values_list("verb", flat=True)
    assert sorted(verbs) == ["entry.reverse", "entry.reverse.request"]


def test_an_entry_is_reversed_once(sold, reverse, agree) -> None:
    sold(100_00)
    released = JournalEntry.objects.get(kind="funds_released")
    agree(reverse(released))
    with pytest.raises(AlreadyReversed):
        reverse(released)


def test_a_reversal_is_asked_for_once_at_a_time(sold, reverse) -> None:
    sold(100_00)
    released = JournalEntry.objects.get(kind="funds_released")
    reverse(released)
    with pytest.raises(AlreadyRequested):
        reverse(released)


def test_of_two_ways_to_reverse_the_same_at_once_one_posts(sold, reverse, agree, record, balance, ana, usd) -> None:
    """Reconciliation reverses what was booked twice; a person may have asked for the same."""
    sold(100_00)
    sold(100_00, reference="att_2")
    released = JournalEntry.objects.get(kind="funds_released", reference="att_1")
    approval, draft = reverse(released), recipes.reversal(entry=released)
    start = Barrier(2)

    def one(deed: Callable[[], Any]) -> Any:
        try:
            start.wait(10)
            return type(deed())
        except Refusal as refusal:
            return type(refusal)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        agreed, _ = pool.map(one, [lambda: agree(approval), lambda: record([draft])])
    assert agreed in (JournalEntry, AlreadyReversed)
    assert JournalEntry.objects.filter(kind="reversal").count() == 1
    assert balance(chart.merchant_available(ana.pk)) == usd(100_00)


def test_a_reversal_may_not_take_what_is_no_longer_there(sold, reverse, agree, write, ana, usd) -> None:
    sold(100_00)
    approval = reverse(JournalEntry.objects.get(kind="funds_released"))
    agree(write(debit(chart.merchant_available(ana.pk), usd(1)), credit(chart.bank(), usd(1))))
    with pytest.raises(InsufficientBalance):
        agree(approval)
    assert Posting.objects.filter(entry__kind="reversal").count() == 0


def test_a_reversal_can_be_reversed(sold, reverse, agree, balance, ana, usd) -> None:
    sold(100_00)
    agree(reverse(agree(reverse(JournalEntry.objects.get(kind="funds_released")))))
    assert balance(chart.merchant_available(ana.pk)) == usd(100_00)


def test_every_request_of_the_ledger_can_be_carried_out() -> None:
    assert set(services.APPROVED) >= {"entry.write", "entry.reverse"}
