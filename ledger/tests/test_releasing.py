"""Where money is not released at its capture, it is released once, when its gateway has settled it."""

from typing import Any

import pytest
from django.db import transaction

from checkout.kit.actors import Actor
from checkout.kit.money import Money
from ledger import chart, recipes, selectors
from ledger.chart import AccountKey
from ledger.models import ClearingItem, Discrepancy, JournalEntry
from ledger.services import record_entries
from ledger.services.discrepancies import match_by_hand, preview, resolve
from ledger.tests.settling import ACTOR, Settling, line
from merchants.models import Merchant
from merchants.services import create_merchant

pytestmark = pytest.mark.django_db


@pytest.fixture
def settling(acme, ana) -> Settling:
    return Settling(acme, ana)


def capture(settling: Settling, name: str, *, ago: int = 1, release: bool = False, **more: Any) -> ClearingItem:
    """A capture of 100.00, for 3.20 at the gateway and 4.20 of ours."""
    fact = {**settling.fact(f"att_{name}", ago, f"ch_{name}"), **more}
    amounts = {"amount": 100_00, "gateway_fee": 3_20, "platform_fee": 3_50, "tax": 70}
    money = {key: Money(minor, "USD") for key, minor in amounts.items()}
    with transaction.atomic():
        record_entries(recipes.for_capture(release=release, **money, **fact))
    return ClearingItem.objects.get(reference=f"att_{name}")


def stands(account: AccountKey) -> int:
    return selectors.balance_of(account, mode="test", currency="USD").amount_minor


def pending_and_available(merchant: Merchant) -> tuple[int, int]:
    return stands(chart.merchant_pending(merchant.pk)), stands(chart.merchant_available(merchant.pk))


def released() -> list[JournalEntry]:
    return list(JournalEntry.objects.filter(kind="funds_released").order_by("id"))


def test_what_a_file_settles_is_released_once_and_nothing_else(settling, ana, acme):
    bruno = create_merchant(name="Bruno", country="PT", default_currency="USD", actor=Actor.command("test"))
    for name in "ab":
        capture(settling, name)
    first = capture(settling, "c", merchant_id=bruno.pk)
    capture(settling, "later")
    assert pending_and_available(ana) == (3 * 95_80, 0)

    settling.settle(*[line("charge", f"ch_{name}", "", 100_00, 3_20) for name in "abc"])
    assert pending_and_available(ana) == (95_80, 2 * 95_80)
    assert pending_and_available(bruno) == (0, 95_80)
    assert {(entry.merchant_id, entry.gateway_id) for entry in released()} == {(ana.pk, acme.pk), (bruno.pk, acme.pk)}
    assert first.entry.public_id in {entry.reference for entry in released()}

    settling.settle()
    assert len(released()) == 2
    settling.settle(line("charge", "ch_later", "att_later", 100_00, 3_20, batch="batch-2"))
    assert pending_and_available(ana) == (0, 3 * 95_80)


def test_what_was_released_at_its_capture_is_not_released_again(settling, ana):
    capture(settling, "a", release=True)
    capture(settling, "b")
    settling.settle(*[line("charge", f"ch_{name}", "", 100_00, 3_20) for name in "ab"])
    assert pending_and_available(ana) == (0, 2 * 95_80)


def test_what_was_reversed_before_it_was_settled_is_not_released(settling, ana):
    item = capture(settling, "a")
    capture(settling, "b")
    with transaction.atomic():
        for entry in JournalEntry.objects.filter(reference="att_a"):
            record_entries([recipes.reversal(entry=selectors.entry_with_postings(entry.pk))])
    settling.settle(line("charge", "ch_a", "", 100_00, 3_20))
    item.refresh_from_db()
    assert item.match_id is not None
    assert (pending_and_available(ana), released()) == ((95_80, 0), [])


def test_what_is_matched_by_hand_is_released(settling, ana):
    item = capture(settling, "a", ago=9)
    settling.settle(line("charge", "typo", "", 100_00, 3_20))
    match_by_hand(line=settling.the("missing_in_ledger").line, item=item, reason="", actor=ACTOR)
    assert pending_and_available(ana) == (0, 95_80)


@pytest.mark.parametrize(("resolution", "available"), [("write_off", 95_80), ("reverse_ours", 0)])
def test_what_somebody_explains_is_released_unless_it_never_was(settling, ana, resolution, available):
    capture(settling, "a", ago=9)
    settling.settle(line("fee", "fe_1", "", -25))
    told: Discrepancy = settling.the("missing_at_gateway")
    kinds = {draft.kind for draft in preview(discrepancy=told, resolution=resolution).drafts}
    assert ("funds_released" in kinds) is bool(available)
    assert pending_and_available(ana) == (95_80, 0)
    resolve(discrepancy=told, resolution=resolution, reason="", actor=ACTOR, has_second_person=True)
    assert pending_and_available(ana) == (0, available)
    assert settling.control() == 0
