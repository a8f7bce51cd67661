"""What is there after a day at the desk? A row of everything, for tests that open all pages."""

from typing import Any

import pytest

from checkout.kit import clock
from checkout.kit.alerts import raise_alert
from checkout.kit.models import Approval, User
from gateways.models import Gateway, HealthCheck, Notice
from ledger.models import (
    BankLine,
    ClosedDay,
    Discrepancy,
    ReportSubscription,
    SettlementBatch,
    SettlementFile,
    SettlementLine,
)
from merchants.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from payments.models import AuditRun
from payments.services import refund_payment


@pytest.fixture
def a_day(
    captured_payment: Any,
    authorized_payment: Any,
    processed_payment: Any,
    api_key: Any,
    operator: Any,
    eur: Any,
    usd: Any,
) -> None:
    """A day at the desk: captured, authorized and declined payments, a refund, and one row of everything rarer."""
    captured = captured_payment(eur(50_00))
    captured_payment(usd(70_00))
    authorized_payment(eur(20_00))
    processed_payment(eur(10_00), number="4000000000000002")
    refund_payment(payment=captured, amount=eur(5_00), reason="one came back", actor=operator)
    raise_alert(kind="test", message="Look here", severity="critical")
    now, gateway = clock.now(), Gateway.objects.get(code="north")
    HealthCheck.objects.create(gateway=gateway, checked_at=now, is_good=True, duration_ms=3, health_status="healthy")
    Notice.objects.create(
        gateway=gateway, notice_id="n1", reference="att_x", outcome="succeeded", body="{}", received_at=now
    )
    AuditRun.objects.create(started_at=now, duration_ms=12, result="green", counts={"I1": 7})
    endpoint = WebhookEndpoint.objects.create(
        merchant=captured.merchant, mode="test", url="https://shop.example/hooks", secret="whsec_never-shown"
    )
    event = WebhookEvent.objects.first()
    assert event is not None
    WebhookDelivery.objects.create(event=event, endpoint=endpoint, next_attempt_at=now)
    Approval.objects.create(
        kind="attempt.settle_by_hand",
        object_id=captured.attempts.first().public_id,
        payload={"outcome": "declined"},
        payload_hash="x",
        reason="by phone",
        maker=User.objects.create_user("maker"),
        expires_at=clock.seconds_from_now(60),
    )
    ReportSubscription.objects.create(report="revenue", period="yesterday", format="csv", mode="test")
    settle(gateway)


def settle(gateway: Gateway) -> None:
    """A file with a line that nobody expected, its payout, a booking at the bank, and a day that is closed."""
    about: dict[str, Any] = {"gateway": gateway, "mode": "test", "currency": "EUR"}
    today = clock.now().date()
    received = {"source": "upload", "size_bytes": 9, "status": "imported", "line_count": 1, "received_by": "user:frank"}
    file, statement = (
        SettlementFile.objects.create(gateway=sender, mode="test", name=name, sha256=name, **received)
        for sender, name in ((gateway, "day.csv"), (None, "day.xml"))
    )
    line = SettlementLine.objects.create(
        **{**about, "file": file, "line_number": 2, "kind": "charge", "raw_type": "charge", "occurred_on": today},
        **{
            "gateway_reference": "ch_1",
            "gross_minor": 500,
            "fee_minor": 20,
            "net_minor": 480,
            "batch_reference": "b-1",
        },
    )
    bank_line = BankLine.objects.create(
        file=statement, line_number=1, account="DE00", text="b-1", currency="EUR", amount_minor=480, booked_on=today
    )
    SettlementBatch.objects.create(
        **about, file=file, reference="b-1", net_minor=480, line_count=1, paid_on=today, bank_line=bank_line
    )
    Discrepancy.objects.create(
        **about,
        kind="missing_in_ledger",
        on=today,
        line=line,
        theirs_minor=500,
        difference_minor=480,
        found_at=clock.now(),
    )
    figures = ("opening_minor", "movement_minor", "matched_minor", "closing_minor", "file_minor", "exceptions_minor")
    ClosedDay.objects.create(**about, on=today, closed_by="user:frank", **dict.fromkeys(figures, 0))
