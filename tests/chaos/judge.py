"""Was anything doubled, lost or left open? Held against the gateways' own books and what the merchants were told.

Of the differences between ledger and books a round is charged with what it added, so that one bad round does not taint
the next ones. The platform's own self-audit is asked as well.
"""

import io
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db.models import Count, F, Max, Sum

from checkout.kit.ids import parse_public_id
from gateways.models import Gateway
from ledger.chart import AccountKind
from ledger.models import AccountBalance, JournalEntry, Posting
from ledger.selectors import trial_balance
from merchants.models import Merchant, WebhookEvent
from payments.models import Attempt, AuditRun, Payment, Refund
from payments.statuses import IN_FLIGHT, AttemptStatus, RefundStatus, Status
from tests.chaos.history import answered
from tests.chaos.load import Shop
from tests.owed import ours_less_theirs

_NOT_FROZEN = (202, 409, 429)
_MODE = "test"
Row = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """Something that must not be: `kind` is doubled, lost, unknown, ledger or audit; `payment` an id, or empty."""

    kind: str
    payment: str
    words: str


@dataclass
class Verdict:
    """What became of a round's payments."""

    statuses: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    ledger_difference: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, payment: str, words: str) -> None:
        """Note something that must not be."""
        self.findings.append(Finding(kind, payment, words))

    def count(self, kind: str) -> int:
        """How many payments, or things without one, a kind of finding is about."""
        return len({finding.payment or finding.words for finding in self.findings if finding.kind == kind})


class Judge:
    """Judges one round after another; remembers how far ledger and books had come before."""

    def __init__(self, book: Path) -> None:
        self._book = book
        self._differences: dict[str, int] = {}

    def judge(self, *, shops: Sequence[Shop], history: Path, since: datetime) -> Verdict:
        """What is true now of the payments of these shops, all made since then."""
        verdict = Verdict()
        merchants = list(Merchant.objects.filter(name__in=[shop.name for shop in shops]))
        payments = list(Payment.objects.filter(merchant__in=merchants).select_related("merchant"))
        attempts = list(
            Attempt.objects.filter(payment__merchant__in=merchants).select_related("gateway").defer("decision")
        )
        refunds = list(Refund.objects.filter(payment__merchant__in=merchants).select_related("payment__merchant"))
        rows = self._rows(since)
        verdict.statuses.update(payment.status for payment in payments)
        _judge_charges(verdict, payments, attempts, refunds, rows)
        _judge_open(verdict, payments, attempts, refunds)
        _judge_history(verdict, payments, refunds, history)
        _judge_events(verdict, payments)
        _judge_entries(verdict, payments)
        self._judge_ledger(verdict, merchants)
        self._ask_the_platform(verdict, rows, history.with_name("books.json"), since)
        return verdict

    def _rows(self, since: datetime) -> list[Row]:
        with sqlite3.connect(f"file:{self._book}?mode=ro", uri=True) as book:
            book.row_factory = sqlite3.Row
            moment = since.isoformat(timespec="milliseconds")
            return [
                dict(row) for row in book.execute("SELECT * FROM operation WHERE at >= ? ORDER BY rowid", (moment,))
            ]

    def _judge_ledger(self, verdict: Verdict, merchants: Sequence[Merchant]) -> None:
        sums: Counter[str] = Counter()
        for balance in trial_balance(mode=_MODE):
            account, amount = balance.account, balance.sum.amount_minor
            sums[account.currency] += amount
            is_ours = account.merchant_id in {merchant.pk for merchant in merchants}
            if amount and (
                account.kind == AccountKind.SUSPENSE or account.kind == AccountKind.REFUND_IN_FLIGHT and is_ours
            ):
                self._differ(
                    verdict, f"{account.kind} {account.gateway or account.merchant} {account.currency}", amount
                )
        for currency, total in sums.items():
            self._differ(verdict, f"trial balance in {currency}", total)
        for (code, currency), difference in ours_less_theirs(self._book, Gateway.objects.all()).items():
            self._differ(verdict, f"{code} in {currency}, ours less theirs", difference)
        running = AccountBalance.objects.annotate(total=Sum("account__postings__amount_minor", default=0))
        for row in running.exclude(balance_minor=F("total")):
            self._differ(verdict, f"running balance of account {row.pk}", row.balance_minor - row.total)

    def _differ(self, verdict: Verdict, words: str, difference: int) -> None:
        added = difference - self._differences.get(words, 0)
        self._differences[words] = difference
        if added:
            verdict.ledger_difference += abs(added)
            verdict.add("ledger", "", f"{words}: {added}")

    def _ask_the_platform(self, verdict: Verdict, rows: Iterable[Row], file: Path, since: datetime) -> None:
        """The self-audit, now with the books; and each time it ran by itself, without them, while money moved."""
        for run in AuditRun.objects.filter(started_at__gte=since, result=AuditRun.Result.RED):
            verdict.add("audit", "", f"red at {run.started_at}: {json.dumps(run.findings)}")
        books = defaultdict(list)
        for row in rows:
            books[row["gateway"]].append({**row, "voided": bool(row["voided"]), "canceled": bool(row["canceled"])})
        file.write_text(json.dumps(books))
        said = io.StringIO()
        try:
            call_command("audit", "--json", f"--since={since.isoformat()}", f"--book-file={file}", stdout=said)
        except SystemExit:
            for finding in json.loads(said.getvalue()):
                if finding["violations"]:
                    verdict.add("audit", "", json.dumps(finding))


def _judge_charges(
    verdict: Verdict,
    payments: Iterable[Payment],
    attempts: Iterable[Attempt],
    refunds: Iterable[Refund],
    rows: Iterable[Row],
) -> None:
    """One live charge at the most, and of the amounts that we say (I1 to I4, I7)."""
    by_reference = {attempt.reference: attempt for attempt in attempts}
    charges: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        attempt = by_reference.get(row["reference"])
        if row["kind"] != "charge":
            continue
        if attempt is None:
            if _holds_money(row):
                verdict.add("lost", "", f"{row['gateway']} holds {row['reference']}, which we do not know")
        else:
            charges[attempt.payment_id].append(row)
    given_back: Counter[Any] = Counter()
    for refund in refunds:
        given_back[refund.payment_id] += refund.amount_minor if refund.status == RefundStatus.SUCCEEDED else 0
    for payment in payments:
        mine = [row for row in charges[payment.pk] if by_reference[row["reference"]].status == AttemptStatus.SUCCEEDED]
        others = [row for row in charges[payment.pk] if row not in mine and _holds_money(row)]
        held = [row for row in mine if row["status"] == "approved" and not row["voided"]]
        if len(held) + len(others) > 1:
            verdict.add("doubled", payment.public_id, f"{len(held) + len(others)} live charges")
        elif others:
            verdict.add(
                "lost", payment.public_id, f"is {payment.status}, and {others[0]['gateway']} holds money for it"
            )
        if payment.status in (Status.AUTHORIZED, Status.CAPTURED):
            _judge_amounts(verdict, payment, held)
        elif held:
            verdict.add("lost", payment.public_id, f"is {payment.status}, and charged")
        if given_back[payment.pk] != payment.refunded_minor:
            verdict.add("lost", payment.public_id, f"its refunds come to {given_back[payment.pk]}")


def _judge_amounts(verdict: Verdict, payment: Payment, held: Sequence[Row]) -> None:
    if not held:
        verdict.add("lost", payment.public_id, f"is {payment.status}, and no gateway holds a charge")
        return
    charge = held[0]
    for name in ("captured_minor", "refunded_minor"):
        theirs, ours = charge[name], getattr(payment, name)
        if theirs != ours:
            verdict.add("doubled" if theirs > ours else "lost", payment.public_id, f"{name}: {theirs}, we say {ours}")
    said = (payment.authorized_minor, payment.amount_minor, payment.currency)
    if said != (charge["authorized_minor"], charge["authorized_minor"], charge["currency"]):
        verdict.add(
            "lost", payment.public_id, f"the gateway authorized {charge['authorized_minor']} {charge['currency']}"
        )


def _holds_money(row: Row) -> bool:
    """Whether a charge holds, or took and kept, somebody's money."""
    is_given_back = 0 < row["captured_minor"] == row["refunded_minor"]
    return row["status"] == "approved" and not row["voided"] and not is_given_back


def _judge_open(
    verdict: Verdict, payments: Iterable[Payment], attempts: Iterable[Attempt], refunds: Iterable[Refund]
) -> None:
    """Nothing is in flight any more, and nothing stands between two statuses (I15)."""
    names = {payment.pk: payment.public_id for payment in payments}
    for attempt in attempts:
        if attempt.status in IN_FLIGHT or attempt.next_action_at is not None:
            words = f"{attempt.operation} {attempt.reference} is {attempt.status}, next {attempt.next_action_at}"
            verdict.add("unknown", names[attempt.payment_id], words)
    for payment in payments:
        if payment.status in (Status.PROCESSING, Status.REQUIRES_ACTION):
            verdict.add("unknown", payment.public_id, f"is {payment.status}")
    for refund in refunds:
        if refund.status not in (RefundStatus.SUCCEEDED, RefundStatus.FAILED):
            verdict.add("unknown", refund.payment.public_id, f"refund {refund.public_id} is {refund.status}")


def _judge_history(verdict: Verdict, payments: Sequence[Payment], refunds: Sequence[Refund], history: Path) -> None:
    """What was answered is there, under one id per key and in the same bytes whenever it was final (I8, I9)."""
    kept: dict[str, Payment | Refund] = {thing.public_id: thing for thing in (*payments, *refunds)}
    owners = {payment.public_id: payment.merchant.name for payment in payments}
    owners |= {refund.public_id: refund.payment.merchant.name for refund in refunds}
    ids, bodies = defaultdict(set), defaultdict(set)
    for call, answer in answered(history):
        http_status, body = answer["http_status"], answer["body"]
        verdict.answers[http_status] += 1
        if 200 <= http_status < 300:
            said = json.loads(body)
            thing = kept.get(said["id"])
            if thing is None:
                verdict.add("lost", said["id"], f"was answered with {http_status} and is not there")
            elif (said["amount"], said["currency"], call["shop"]) != (
                thing.amount_minor,
                thing.currency,
                owners[said["id"]],
            ):
                verdict.add("lost", said["id"], f"was answered as {said['amount']} {said['currency']}")
            if call["key"]:
                ids[call["key"]].add(said["id"])
        if call["key"] and http_status < 500 and http_status not in _NOT_FROZEN:
            bodies[call["key"]].add((http_status, body))
    for key, found in ids.items():
        if len(found) > 1:
            verdict.add("doubled", min(found), f"key {key} made {len(found)} objects")
    for key, answers in bodies.items():
        if len(answers) > 1:
            verdict.add("lost", min(ids[key], default=""), f"key {key} had {len(answers)} final answers")
    orders = Counter((payment.merchant_id, payment.merchant_reference) for payment in payments)
    for (_, reference), number in orders.items():
        if number > 1:
            verdict.add("doubled", "", f"{reference} became {number} payments")


def _judge_events(verdict: Verdict, payments: Iterable[Payment]) -> None:
    """No gap in what the merchant is told of a payment (the part of I12 that needs no endpoint)."""
    names = {payment.public_id: payment.event_count for payment in payments}
    told = WebhookEvent.objects.filter(object_id__in=names).values("object_id")
    for row in told.annotate(number=Count("id"), last=Max("sequence")):
        if not names[row["object_id"]] == row["number"] == row["last"]:
            verdict.add("lost", row["object_id"], f"{row['number']} events, the last is number {row['last']}")


def _judge_entries(verdict: Verdict, payments: Iterable[Payment]) -> None:
    """Every captured and refunded amount is in the ledger once (I5)."""
    kinds = {JournalEntry.Kind.CAPTURE: "captured_minor", JournalEntry.Kind.REFUND_SUCCEEDED: "refunded_minor"}
    posted: Mapping[tuple[str, str], int] = {
        (row["entry__payment_reference"], row["entry__kind"]): abs(row["total"])
        for row in Posting.objects.filter(entry__kind__in=kinds, account__kind=AccountKind.GATEWAY_RECEIVABLE)
        .values("entry__payment_reference", "entry__kind")
        .annotate(total=Sum("amount_minor"))
    }
    for payment in payments:
        for kind, name in kinds.items():
            found, said = posted.get((payment.public_id, kind), 0), getattr(payment, name)
            if found != said:
                verdict.ledger_difference += abs(found - said)
                verdict.add("ledger", payment.public_id, f"{found} posted as {kind}, {said} is said")


def story(public_id: str, book: Path) -> str:
    """Everything that is known about one payment, here and at the gateways."""
    key = parse_public_id(Payment.PUBLIC_PREFIX, public_id)
    payment = Payment.objects.filter(pk=key).first()
    if payment is None:
        return f"{public_id} is not there\n"
    lines = [
        f"{public_id} {payment.status} {payment.amount} authorized {payment.authorized_minor}"
        f" captured {payment.captured_minor} refunded {payment.refunded_minor} {payment.merchant_reference}"
    ]
    with sqlite3.connect(f"file:{book}?mode=ro", uri=True) as books:
        books.row_factory = sqlite3.Row
        for attempt in Attempt.objects.filter(payment=payment).select_related("gateway").order_by("seq"):
            lines.append(
                f"  {attempt.seq} {attempt.operation} {attempt.status} {attempt.amount} at {attempt.gateway.code}"
                f" {attempt.reference} {attempt.decline_code} sent {attempt.sent_at} finished {attempt.finished_at}"
                f" next {attempt.next_action} {attempt.next_action_at} reverses {attempt.reverses_id}"
            )
            told = [
                (row.at, f"{row.source} says {row.outcome} {row.decline_code} {row.detail}")
                for row in attempt.evidence.all()
            ]
            called = [
                (
                    row.started_at,
                    f"{row.operation} took {row.duration_ms} ms: {row.outcome} {row.http_status} {row.error}",
                )
                for row in attempt.gateway.calls.filter(reference=attempt.reference)
            ]
            lines += [f"      {at:%T.%f} {words}" for at, words in sorted(told + called)]
            for row in books.execute(
                "SELECT * FROM operation WHERE reference = ? OR parent_reference = ? ORDER BY rowid",
                (attempt.reference, attempt.reference),
            ):
                lines.append("      book: " + " ".join(f"{name}={value}" for name, value in dict(row).items() if value))
    return "\n".join(lines) + "\n"
