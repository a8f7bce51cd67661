"""A small book whose every figure can be worked out by hand: two merchants, two gateways, three days of March 2026.

In euros; fees as they were agreed with nobody, so that no two sums are alike:

| day | fact | amount | gateway fee | our fee | tax |
|---|---|---|---|---|---|
| 27 Feb | Ana captures at Acme | 50.00 | 1.75 | 2.00 | 0.40 |
| 2 Mar | Ana captures at Acme | 100.00 | 3.20 | 3.50 | 0.70 |
| 2 Mar | Ben captures at Bolt | 10.00 | 0.59 | 0.62 | 0.12 |
| 3 Mar | Ana captures at Bolt | 30.05 | 1.17 | 1.35 | 0.27 |
| 3 Mar | Ana gives back at Acme | 40.00 | | -1.40 | -0.28 |
| 4 Mar | Ben's capture is charged back | 10.00 | | | |

Beside it Ana captures 1050 yen and 5.125 Bahraini dinars at Acme on 2 March, without fees of ours.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import transaction

from checkout.kit.actors import Actor
from checkout.kit.money import Money
from gateways.models import Gateway
from ledger import recipes
from ledger.recipes import JournalDraft
from ledger.services import record_entries
from merchants.models import Merchant
from merchants.services import create_merchant

FEB_27, MAR_2, MAR_3, MAR_4 = date(2026, 2, 27), date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)
MARCH = {"mode": "test", "from": "2026-03-01", "to": "2026-03-31"}


@dataclass(frozen=True)
class Book:
    """Who is in it."""

    ana: Merchant
    ben: Merchant
    acme: Gateway
    bolt: Gateway

    def fact(self, merchant: Merchant, gateway: Gateway, day: date, reference: str) -> dict[str, Any]:
        """What recipes are told."""
        return {
            "mode": "test",
            "merchant_id": merchant.pk,
            "gateway_id": gateway.pk,
            "reference": reference,
            "occurred_at": datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
        }


def write_book() -> Book:
    """Write it, in a transaction per fact."""
    actor = Actor.command("test")
    ana, ben = (
        create_merchant(name=name, country="PT", default_currency="EUR", actor=actor) for name in ("Ana", "Ben")
    )
    book = Book(ana, ben, _gateway("acme"), _gateway("bolt"))
    capture(book, ana, book.acme, FEB_27, "att_1", 50_00, gateway_fee=1_75, our_fee=2_00, tax=40)
    capture(book, ana, book.acme, MAR_2, "att_2", 100_00, gateway_fee=3_20, our_fee=3_50, tax=70)
    capture(book, ben, book.bolt, MAR_2, "att_3", 10_00, gateway_fee=59, our_fee=62, tax=12)
    capture(book, ana, book.bolt, MAR_3, "att_4", 30_05, gateway_fee=1_17, our_fee=1_35, tax=27)
    capture(book, ana, book.acme, MAR_2, "att_5", 1_050, gateway_fee=38, currency="JPY")
    capture(book, ana, book.acme, MAR_2, "att_6", 5_125, gateway_fee=179, currency="BHD")
    refund = book.fact(ana, book.acme, MAR_3, "rfd_1")
    record(recipes.refund_requested(from_available=eur(40_00), from_receivable=eur(0), **refund))
    record(
        *recipes.for_refund_succeeded(amount=eur(40_00), returned_fee=eur(1_40), returned_tax=eur(28), **refund),
    )
    dispute = book.fact(ben, book.bolt, MAR_4, "dsp_1")
    record(recipes.chargeback_opened(from_available=eur(9_26), from_receivable=eur(74), **dispute))
    return book


def capture(
    book: Book,
    merchant: Merchant,
    gateway: Gateway,
    day: date,
    reference: str,
    amount_minor: int,
    *,
    gateway_fee: int = 0,
    our_fee: int = 0,
    tax: int = 0,
    currency: str = "EUR",
) -> None:
    """A capture that is released at once."""
    record(
        *recipes.for_capture(
            amount=Money(amount_minor, currency),
            gateway_fee=Money(gateway_fee, currency),
            platform_fee=Money(our_fee, currency),
            tax=Money(tax, currency),
            release=True,
            **book.fact(merchant, gateway, day, reference),
        )
    )


def record(*drafts: JournalDraft) -> None:
    """Post in a transaction."""
    with transaction.atomic():
        record_entries(drafts)


def eur(amount_minor: int) -> Money:
    """So many cents."""
    return Money(amount_minor, "EUR")


def _gateway(code: str) -> Gateway:
    return Gateway.objects.create(
        code=code,
        name=code.title(),
        adapter="simulator_json",
        mode="test",
        data_format="json",
        base_url="http://127.0.0.1:1",
        currencies=["EUR"],
    )
