"""What one person may explain alone ends at the limit: whatever it is called, and however it is divided."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection, transaction

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.approvals import AlreadyRequested, MakerCannotCheck
from checkout.kit.models import Approval
from checkout.settings import policy
from gateways.models import Gateway
from ledger import chart
from ledger.models import Discrepancy, Match, SettlementLine
from ledger.reconciliation import locks
from ledger.reconciliation.locks import lock_whole_gateway
from ledger.reconciliation.refusals import LineCannotBeMatched, ReconciliationUnderWay, SecondPersonNeeded
from ledger.selectors import balance_of
from ledger.services import (
    APPROVED,
    REJECTED,
    agreeing,
    approve_resolution,
    reject_resolution,
    request_match,
    request_resolution,
)
from ledger.services.discrepancies import carry, match_by_hand, resolve, resolve_many
from ledger.tests.settling import ACTOR, Settling, line
from ledger.verification import verify_ledger

OLIVIA, PETER = Actor.user("olivia"), Actor.user("peter")
PARK = Discrepancy.Resolution.PARK_IN_SUSPENSE


@pytest.fixture
def settling(acme, ana) -> Settling:
    return Settling(acme, ana)


@pytest.fixture
def people(django_user_model):
    return tuple(django_user_model.objects.create(username=name) for name in ("olivia", "peter"))


def unknown(settling: Settling, *amounts: int) -> list[Discrepancy]:
    """Lines of nobody, each of such an amount."""
    settling.settle(*[line("charge", f"ch_{place}", "", amount) for place, amount in enumerate(amounts)])
    return list(Discrepancy.objects.order_by("line_id"))


def park(discrepancy: Discrepancy, actor: Actor = OLIVIA, **more) -> Discrepancy:
    return resolve(discrepancy=discrepancy, resolution=PARK, reason="", actor=actor, **more)


@pytest.mark.django_db
def test_a_fee_beyond_the_limit_is_not_matched_by_hand_alone(settling, acme):
    item = settling.charge("a", 1_000_00, 0, ago=9)
    settling.settle(line("charge", "typo", "", 1_000_00, 900_00))
    told = settling.the("missing_in_ledger")
    with pytest.raises(SecondPersonNeeded):
        match_by_hand(line=told.line, item=item, reason="", actor=OLIVIA)
    assert balance_of(chart.gateway_fee(acme.pk), mode="test", currency="USD").amount_minor == 0


@pytest.mark.django_db
def test_what_nobody_compared_is_not_matched_by_hand(settling):
    item = settling.charge("a")
    file = settling.import_lines(line("charge", "typo", "", 100_00))
    with pytest.raises(LineCannotBeMatched, match="compared"):
        match_by_hand(line=file.lines.get(), item=item, reason="", actor=OLIVIA)


@pytest.mark.django_db
def test_what_needs_two_is_not_divided_over_a_day(settling, monkeypatch):
    monkeypatch.setattr(policy, "RESOLUTION_LIMITS", (100, 250))
    first, second, third, small = unknown(settling, 100_00, 100_00, 60_00, 50_00)
    park(first)
    item = settling.charge("b", 200_00, 0, ago=9)
    match_by_hand(line=second.line, item=item, reason="", actor=OLIVIA)
    with pytest.raises(SecondPersonNeeded, match="260.00 USD within a day, more than the 250.00 USD"):
        park(third)
    with pytest.raises(SecondPersonNeeded):
        resolve_many(discrepancies=[third], resolution=PARK, reason="", actor=OLIVIA)
    park(third, PETER)
    park(small)


@pytest.mark.django_db
def test_nor_over_currencies(settling, acme, monkeypatch):
    monkeypatch.setattr(policy, "RESOLUTION_LIMITS", (100, 150))
    acme.currencies = ["USD", "EUR"]
    acme.save()
    settling.settle(
        line("charge", "x", "", 90_00, 0), line("charge", "y", "", 70_00, 0, currency="EUR", batch="batch-2")
    )
    dollars, euros = (Discrepancy.objects.get(currency=currency) for currency in ("USD", "EUR"))
    park(dollars)
    with pytest.raises(SecondPersonNeeded, match="160.00 EUR within a day, more than the 150.00 EUR"):
        park(euros)
    park(euros, PETER)


@pytest.mark.django_db
def test_nor_by_a_difference_of_two_currencies(settling, acme, monkeypatch):
    monkeypatch.setattr(policy, "RESOLUTION_LIMITS", (100, 150))
    acme.currencies = ["USD", "IDR"]
    acme.save()
    for name in "ab":
        settling.charge(name, 95_00, 0)
    settling.settle(
        *(line("charge", f"ch_{name}", "", 1, currency="IDR", batch=f"batch-{name}") for name in "ab"),
    )
    first, second = Discrepancy.objects.filter(kind="currency_differs")
    resolve(discrepancy=first, resolution="write_off", reason="", actor=OLIVIA)
    first.refresh_from_db()
    assert first.alone_minor == 95_01  # a hundredth of a rupiah uses up a cent at the most
    with pytest.raises(SecondPersonNeeded, match="190.02 USD within a day"):
        resolve(discrepancy=second, resolution="write_off", reason="", actor=OLIVIA)


@pytest.mark.django_db
def test_what_two_agreed_to_or_is_a_day_old_leaves_one_person_their_limit(settling, monkeypatch):
    monkeypatch.setattr(policy, "RESOLUTION_LIMITS", (100, 100))
    first, second, third = unknown(settling, 100_00, 100_00, 100_00)
    park(first, has_second_person=True)
    park(second)
    with pytest.raises(SecondPersonNeeded):
        park(third)
    Discrepancy.objects.filter(pk=second.pk).update(ended_at=clock.now() - timedelta(days=1))
    park(third)


@pytest.mark.django_db(transaction=True)
def test_two_deeds_of_one_person_at_once_see_each_other(settling, monkeypatch):
    monkeypatch.setattr(policy, "RESOLUTION_LIMITS", (100, 100))
    start = Barrier(2)

    def one(discrepancy: Discrepancy) -> str:
        try:
            start.wait(timeout=10)
            return park(discrepancy).status
        except SecondPersonNeeded as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, unknown(settling, 60_00, 60_01))) == ["resolved", "second_person_needed"]


@pytest.mark.django_db
def test_a_match_is_of_the_gateway_of_its_own_sides(settling, acme, ana):
    other = Gateway.objects.create(
        code="other", name="Other", adapter="acme", mode="test", data_format="json", base_url="http://127.0.0.1:1",
        currencies=["USD"],
    )  # fmt: skip
    settling.settle(line("charge", "ch_1", "", 1_00))
    Settling(other, ana).settle(line("charge", "ch_2", "", 1_00, batch="other"))
    resolve_many(discrepancies=Discrepancy.objects.all(), resolution=PARK, reason="", actor=OLIVIA)
    assert set(Match.objects.values_list("gateway", flat=True)) == {acme.pk, other.pk}
    assert [finding.name for finding in verify_ledger() if not finding.is_green] == []


@pytest.mark.django_db
def test_what_waits_for_a_decision_among_others_is_not_asked_for_again(settling, people):
    first, second = unknown(settling, 60_00, 70_00)
    about = {"resolution": PARK, "reason": "", "maker": people[0], "actor": OLIVIA}
    request_resolution(discrepancies=[first, second], **about)
    with pytest.raises(AlreadyRequested):
        request_resolution(discrepancies=[second], **about)


@pytest.mark.django_db
def test_what_somebody_carried_is_carried_again_when_its_resolution_is_rejected(settling, people):
    (told,) = unknown(settling, 100_01)
    carry(discrepancy=told, owner=people[0], reason="", actor=ACTOR)
    approval = request_resolution(discrepancies=[told], resolution=PARK, reason="", maker=people[0], actor=OLIVIA)
    reject_resolution(approval=approval, checker=people[1], reason="no", actor=PETER)
    told.refresh_from_db()
    assert (told.status, told.owner) == ("carried", people[0])


@pytest.mark.django_db(transaction=True)
def test_nothing_is_matched_while_somebody_agrees(settling, acme, people, monkeypatch):
    (told,) = unknown(settling, 100_01)
    approval = request_resolution(discrepancies=[told], resolution=PARK, reason="", maker=people[0], actor=OLIVIA)
    look = agreeing._payload

    def try_to_match() -> str:
        try:
            with transaction.atomic():
                lock_whole_gateway(acme.pk, "test")
        except ReconciliationUnderWay as refusal:
            return refusal.code
        finally:
            connection.close()
        return "matched"

    def meanwhile(*looked_at):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(try_to_match).result() == "reconciliation_under_way"
        return look(*looked_at)

    monkeypatch.setattr(locks, "_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(agreeing, "_payload", meanwhile)
    (done,) = approve_resolution(approval=approval, checker=people[1], actor=PETER)
    assert done.status == "resolved"


@pytest.mark.django_db
def test_a_match_by_hand_above_the_limit_is_made_when_somebody_agrees(settling, people):
    item = settling.charge("a", ago=9)
    settling.settle(line("charge", "ch_other", "", 300_00, 3_20))
    theirs = SettlementLine.objects.get(gateway_reference="ch_other")
    with pytest.raises(SecondPersonNeeded):
        match_by_hand(line=theirs, item=item, reason="one sale", actor=OLIVIA)

    approval = request_match(line=theirs, item=item, reason="one sale", maker=people[0], actor=OLIVIA)
    assert set(Discrepancy.objects.values_list("status", flat=True)) == {"requested"}
    assert all(agreeing.is_requested(told) for told in Discrepancy.objects.all())
    with pytest.raises(AlreadyRequested):
        request_match(line=theirs, item=item, reason="one sale", maker=people[0], actor=OLIVIA)
    with pytest.raises(MakerCannotCheck):
        APPROVED[approval.kind](approval=approval, checker=people[0], actor=OLIVIA)

    APPROVED[approval.kind](approval=approval, checker=people[1], actor=PETER)

    item.refresh_from_db()
    theirs.refresh_from_db()
    assert item.match == theirs.match is not None
    assert set(Discrepancy.objects.values_list("status", "resolution")) == {("resolved", "match_by_hand")}


@pytest.mark.django_db
def test_a_match_that_somebody_rejects_leaves_both_sides_open(settling, people):
    item = settling.charge("a", ago=9)
    settling.settle(line("charge", "ch_other", "", 300_00, 3_20))
    theirs = SettlementLine.objects.get(gateway_reference="ch_other")
    approval = request_match(line=theirs, item=item, reason="one sale", maker=people[0], actor=OLIVIA)

    REJECTED[approval.kind](approval=approval, checker=people[1], reason="two sales", actor=PETER)

    assert set(Discrepancy.objects.values_list("status", flat=True)) == {"open"}


@pytest.mark.django_db
def test_what_nobody_decided_in_time_may_be_explained_again(settling, people):
    (told,) = unknown(settling, 100_01)
    request_resolution(discrepancies=[told], resolution=PARK, reason="", maker=people[0], actor=OLIVIA)
    told.refresh_from_db()
    assert agreeing.is_requested(told)

    Approval.objects.update(expires_at=clock.now())

    assert not agreeing.is_requested(told)
