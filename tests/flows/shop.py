"""What does a merchant do in a journey, and what must be true when it is over?

A shop speaks HTTP to the platform. What it claims afterwards is checked against the gateways' own books and the ledger.
"""

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from checkout.kit.ids import parse_public_id
from checkout.kit.models import Alert
from gateways.models import Gateway, Notice
from ledger.selectors import trial_balance
from merchants.models import Merchant
from payments.models import Attempt, Evidence, Payment
from payments.statuses import IN_FLIGHT, Operation
from tests.owed import ours_less_theirs
from tests.simulation import Simulation

GOOD, DECLINED, PROCESSING_ERROR, CHALLENGED = (
    "4242424242424242",
    "4000000000000002",
    "4000000000000119",
    "4000002500003155",
)

logging.getLogger("httpx").setLevel(logging.WARNING)


class Shop:
    """A merchant's software. `codes` are its gateways, in the order in which they are asked."""

    def __init__(self, url: str, secret: str, merchant: Merchant, codes: Sequence[str], simulation: Simulation) -> None:
        self.url = url
        self.secret = secret
        self.merchant = merchant
        self.codes = tuple(codes)
        self.simulation = simulation

    # What a merchant does.

    def get(self, path: str) -> Any:
        """The document at a path."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(
        self, path: str, body: dict[str, Any] | None = None, *, key: str | None = None, prefer: str = "wait=10"
    ) -> httpx.Response:
        """POST under a key of its own, unless one is named."""
        return self.ask("POST", path, body or {}, {"Idempotency-Key": key or uuid.uuid4().hex, "Prefer": prefer})

    def pay(
        self, amount: int = 50_00, *, number: str = GOOD, key: str | None = None, prefer: str = "wait=10", **fields: Any
    ) -> httpx.Response:
        """Create a payment in EUR and confirm it with a card; further fields of the body by name."""
        body = {"amount": amount, "currency": "EUR", "payment_method": self.card(number), **fields}
        return self.post("/v1/payments", body, key=key, prefer=prefer)

    def pay_soon(self, amount: int = 50_00, **fields: Any) -> str:
        """The same without waiting; returns the payment's id."""
        answer = self.pay(amount, prefer="respond-async", **fields)
        assert (answer.status_code, answer.json()["status"]) == (202, "processing"), answer.text
        return str(answer.json()["id"])

    @staticmethod
    def card(number: str = GOOD) -> dict[str, Any]:
        """A payment method."""
        return {"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2034, "cvv": "123"}}

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        """One request with the merchant's key, whatever comes of it."""
        headers = {"Authorization": f"Bearer {self.secret}", **(headers or {})}
        return httpx.request(method, self.url + path, json=body, headers=headers, timeout=30)

    # What can be seen of it.

    def ends(self, payment_id: str, *statuses: str, within: float = 20) -> dict[str, Any]:
        """The payment's document once nothing of it is in flight; its status must be one of these then."""
        until(lambda: not self.rows(payment_id).filter(status__in=IN_FLIGHT).exists(), within, "still in flight")
        payment: dict[str, Any] = self.get(f"/v1/payments/{payment_id}")
        assert payment["status"] in statuses, f"{payment_id} ended {payment['status']}, not {' or '.join(statuses)}"
        return payment

    def rows(self, payment_id: str) -> Any:
        """A payment's attempts, as they are kept."""
        key = parse_public_id(Payment.PUBLIC_PREFIX, payment_id)
        return Attempt.objects.filter(payment_id=key).select_related("gateway").order_by("seq")

    def attempts(self, payment_id: str) -> list[tuple[str, str, str]]:
        """Place of the gateway, operation and status of each attempt, as the merchant is told them."""
        told = self.get(f"/v1/payments/{payment_id}/attempts")["data"]
        return [(row["gateway"].partition("-")[0], row["operation"], row["status"]) for row in told]

    def evidence(self, payment_id: str) -> list[tuple[str, str]]:
        """Source and outcome of everything we were told about a payment."""
        rows = Evidence.objects.filter(attempt__in=self.rows(payment_id)).order_by("id")
        return list(rows.values_list("source", "outcome"))

    def charges(self, payment_id: str) -> list[dict[str, Any]]:
        """All charges of a payment in the books of all gateways together, also those that came to nothing."""
        references = {attempt.reference for attempt in self.rows(payment_id)}
        return [row for row in self._book() if row["kind"] == "charge" and row["reference"] in references]

    def arrived(self, payment_id: str) -> bool:
        """Whether a gateway has charged for the payment, whatever it told us."""
        return any(charge["status"] == "approved" for charge in self.charges(payment_id))

    def _book(self) -> list[dict[str, Any]]:
        codes = {
            *self.codes,
            *Gateway.objects.filter(attempts__payment__merchant=self.merchant).values_list("code", flat=True),
        }
        return [{"gateway": code, **row} for code in sorted(codes) for row in self.simulation.book(code)]

    # What must be true.

    def audit(self) -> None:
        """Hold every payment and the ledger against the gateways' own books."""
        charges = {row["reference"]: row for row in self._book() if row["kind"] == "charge"}
        live = {name: row for name, row in charges.items() if row["status"] == "approved" and not row["voided"]}
        attempts = Attempt.objects.filter(gateway__code__in={row["gateway"] for row in charges.values()})
        ours = {row.reference: row for row in attempts if row.operation == Operation.AUTHORIZE}
        assert live.keys() <= ours.keys(), "a gateway holds money that no attempt of ours accounts for"
        for payment in Payment.objects.filter(merchant=self.merchant):
            self._audit_payment(payment, [row for name, row in live.items() if ours[name].payment_id == payment.pk])
        if not any(row.status in IN_FLIGHT for row in attempts):
            self._audit_ledger()

    def _audit_payment(self, payment: Payment, live: list[dict[str, Any]]) -> None:
        assert len(live) <= 1, f"{payment.public_id} was charged {len(live)} times"
        match payment.status:
            case "captured" | "authorized":
                (charge,) = live or [{}]
                held = (charge.get("authorized_minor"), charge.get("captured_minor"), charge.get("currency"))
                said = (payment.authorized_minor, payment.captured_minor, payment.currency)
                assert held == said, f"{payment.public_id}: the gateway holds {held}, we say {said}"
                refunds = payment.refunds.filter(status="processing").exists()
                assert refunds or charge["refunded_minor"] == payment.refunded_minor
            case "processing":
                pass
            case _:
                assert not live, f"{payment.public_id} is {payment.status}, and yet charged"

    def _audit_ledger(self) -> None:
        sums: Counter[str] = Counter()
        for balance in trial_balance(mode="test"):
            sums[balance.sum.currency] += balance.sum.amount_minor
        assert not any(sums.values()), f"the trial balance is {dict(sums)}"
        differences = ours_less_theirs(self.simulation.book_file, Gateway.objects.filter(code__in=self.codes))
        assert not any(differences.values()), f"gateways owe otherwise by their own books than by ours: {differences}"

    def story(self) -> str:
        """Everything about this shop's payments that helps to understand a failure."""
        lines = []
        for payment in Payment.objects.filter(merchant=self.merchant).order_by("id"):
            sums = f"authorized {payment.authorized_minor} captured {payment.captured_minor}"
            lines.append(
                f"{payment.public_id} {payment.status} {payment.amount} {sums} refunded {payment.refunded_minor}"
            )
            for row in self.rows(payment.public_id):
                lines.append(
                    f"  {row.seq} {row.operation} {row.status} at {row.gateway.code} {row.reference} {row.decline_code}"
                    f" next {row.next_action} {row.next_action_at} asked {row.asked_count}"
                )
                for evidence in row.evidence.order_by("id"):
                    lines.append(f"      {evidence.at:%T.%f} {evidence.source} {evidence.outcome} {evidence.detail}")
                for call in row.gateway.calls.filter(reference=row.reference).order_by("id"):
                    lines.append(
                        f"      {call.started_at:%T.%f} {call.operation} {call.duration_ms} ms"
                        f" {call.outcome} {call.http_status} {call.error}"
                    )
        for gateway in Gateway.objects.filter(code__in=self.codes):
            lines.append(f"{gateway.code} {gateway.health_status} failures {gateway.failure_count}")
            lines += [f"  {told(row)}" for row in self.simulation.book(gateway.code)]
            notices = Notice.objects.filter(gateway=gateway).order_by("id")
            lines += [f"  notice {row.notice_id} {row.reference} {row.outcome} {row.status}" for row in notices]
        lines += [f"alert {alert.kind} {alert.object_id} {alert.message}" for alert in Alert.objects.all()]
        return "\n".join(lines)


def until(condition: Callable[[], Any], seconds: float, complaint: str) -> Any:
    """What the condition says once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {seconds} s: {complaint}"
        time.sleep(0.05)
    return value


def told(row: dict[str, Any]) -> str:
    """A row of a book in one line, without what is empty."""
    return " ".join(f"{name}={value}" for name, value in row.items() if value)
