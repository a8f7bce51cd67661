"""A merchant, a gateway, an amount, and a way to post what is being tested."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from django.db import connection, transaction

from checkout.kit.actors import Actor
from checkout.kit.money import Money
from gateways.models import Gateway
from ledger import recipes
from ledger.chart import AccountKey
from ledger.recipes import JournalDraft
from ledger.selectors import balance_of
from ledger.services import record_entries
from merchants.models import Merchant
from merchants.services import create_merchant


@pytest.fixture
def ana(db: None) -> Merchant:
    return create_merchant(name="Ana's", country="PT", default_currency="USD", actor=Actor.command("test"))


@pytest.fixture
def acme(db: None) -> Gateway:
    return Gateway.objects.create(
        code="acme",
        name="Acme",
        adapter="acme",
        mode="test",
        data_format="json",
        base_url="http://127.0.0.1:1",
        currencies=["USD"],
    )


@pytest.fixture
def usd() -> Callable[[int], Money]:
    return lambda amount_minor: Money(amount_minor, "USD")


@pytest.fixture
def fact(ana: Merchant, acme: Gateway) -> Callable[..., dict[str, Any]]:
    """What every recipe is told, about Ana and Acme."""

    def about(reference: str = "att_1", **more: Any) -> dict[str, Any]:
        return {
            "mode": "test",
            "merchant_id": ana.pk,
            "gateway_id": acme.pk,
            "reference": reference,
            "payment_reference": "pay_1",
            **more,
        }

    return about


@pytest.fixture
def record() -> Callable[[Sequence[JournalDraft]], None]:
    """Post in a transaction, as whoever knows of the facts would."""

    def record(drafts: Sequence[JournalDraft]) -> None:
        with transaction.atomic():
            record_entries(drafts)

    return record


@pytest.fixture
def balance() -> Callable[[AccountKey], Money]:
    return lambda account: balance_of(account, mode="test", currency="USD")


@pytest.fixture
def sold(fact, record, usd) -> Callable[..., None]:
    """A sale without fees, released at once."""

    def sold(amount_minor: int = 100_00, reference: str = "att_1") -> None:
        record(
            recipes.for_capture(
                amount=usd(amount_minor),
                gateway_fee=usd(0),
                platform_fee=usd(0),
                tax=usd(0),
                release=True,
                **fact(reference),
            )
        )

    return sold


@pytest.fixture
def tamper(db: None) -> Callable[..., None]:
    """Write what nobody may: as whoever rules the database, with triggers and foreign keys looking away."""

    def tamper(statement: str, *values: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(statement, values)
            cursor.execute("SET LOCAL session_replication_role = origin")

    return tamper


@pytest.fixture
def backdate(tamper: Callable[..., None]) -> Callable[[str, datetime], None]:
    """Let the entries under a reference have been recorded at another time."""

    def backdate(reference: str, at: datetime) -> None:
        tamper(
            "UPDATE ledger_posting SET created_at = %s"
            " WHERE entry_id IN (SELECT id FROM ledger_journalentry WHERE reference = %s)",
            at,
            reference,
        )
        tamper("UPDATE ledger_journalentry SET created_at = %s WHERE reference = %s", at, reference)

    return backdate
