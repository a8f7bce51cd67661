"""How does the month go? Each day trades; at midnight gateways settle and the bank tells; then the desk works."""

import io
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from checkout.kit import clock
from checkout.kit.errors import Refusal
from checkout.kit.models import User
from checkout.kit.modes import Mode
from checkout.kit.money import Money
from checkout.settings import policy
from gateways.models import Gateway
from gateways.simulator.account import BankAccount
from gateways.simulator.book import Book
from gateways.simulator.calls import CHARGE, IssuedFile, moment
from gateways.simulator.money import fee_of
from gateways.simulator.settings import GatewaySettings
from gateways.simulator.settlements import Settlements
from ledger import chart, selectors
from ledger.models import Discrepancy, SettlementFile
from ledger.reconciliation.control import receivable_control
from ledger.reconciliation.selectors import announced_batches, open_bank_lines
from ledger.reconciliation.statements import days_not_closed
from ledger.services.bank import match_bank_line, reconcile_bank
from ledger.services.closing import close_day
from ledger.services.discrepancies import carry, resolve, suggest
from ledger.services.files import import_file, receive_file
from ledger.services.matching import reconcile
from ledger.statuses import DiscrepancyStatus, FileStatus
from payments.month.market import ACTOR, CURRENCIES, Market
from payments.month.verdict import Verdict, judge

Say = Callable[[str], None]

# How many errors of each kind a gateway's file of one day has: drawn from the seed, up to so many.
MOST_PLANTED = {
    "missing_line": 2,
    "late_line": 2,
    "extra_line": 1,
    "dashboard_refund": 1,
    "duplicate_line": 1,
    "wrong_amount": 1,
    "wrong_fee": 1,
    "wrong_currency": 1,
    "unmapped_type": 1,
}
_BATCH_TOTAL_SHARE, _BANK_ERROR_SHARE = 0.1, 0.1
_FEWEST_PAYMENTS = 30  # a file of fewer is left alone: it has no room for errors in lines of their own


@dataclass
class Outcome:
    """What a simulated month came to, and whether it all holds."""

    payment_count: int = 0
    refund_count: int = 0
    file_count: int = 0
    line_count: int = 0
    refused: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    resolved_count: int = 0
    closed_count: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was refused, missed, made up, or left different."""
        return not self.refused and not self.differences and self.verdict.is_perfect


class Month:
    """Days that end before today, the last ones without trade, so that what is late or missing is known to be."""

    def __init__(self, *, days: int, payments: int, seed: int, folder: Path, say: Say) -> None:
        self._book = Book(str(folder / "month.sqlite3"))
        self._settlements, self._account = Settlements(self._book), BankAccount(self._book)
        self._market = Market(self._book, seed)
        self._random = random.Random(f"{seed}:plants")  # noqa: S311  errors, not secrets
        self._days, self._payments, self._seed, self._say = days, payments, seed, say
        self._owner, _ = User.objects.get_or_create(username="month-finance")
        self._answers: list[dict[str, Any]] = []
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Live through it all and compare."""
        quiet = max(policy.TIMING_DAYS, policy.BANK_CREDIT_DAYS) + 3
        first = clock.now().date() - timedelta(days=self._days + quiet)
        for number in range(self._days + quiet):
            on = first + timedelta(days=number)
            count = self._share(number) if number < self._days else 0
            self._outcome.payment_count += count
            self._outcome.refund_count += self._market.trade(on, count)
            self._settle(on, count)
            self._tell_bank(on)
            self._match_with_bank()
            self._work_off()
            self._close(on)
            self._say(f"{on}: {count:,} payments, {self._outcome.line_count:,} lines so far")
        self._outcome.verdict = judge(self._answers)
        self._outcome.differences += self._compare()
        return self._outcome

    def _share(self, number: int) -> int:
        """The payments of one day, so that all days make up the whole."""
        return self._payments * (number + 1) // self._days - self._payments * number // self._days

    def _settle(self, on: date, count: int) -> None:
        tomorrow = on + timedelta(days=1)
        until = datetime.combine(tomorrow, time(0), UTC)
        for gateway in self._market.gateways:
            plant = self._plant() if count >= _FEWEST_PAYMENTS * len(self._market.gateways) else {}
            issued = self._settlements.issue(self._market.settings(gateway), until=until, plant=plant, seed=self._seed)
            if issued is not None:
                self._bring_in(gateway, issued)
            reconcile(gateway=gateway, mode=Mode.TEST, actor=ACTOR, until=tomorrow)

    def _plant(self) -> dict[str, int]:
        rng = self._random
        plant = {kind: rng.randint(0, most) for kind, most in MOST_PLANTED.items()}
        plant["batch_total"] = int(rng.random() < _BATCH_TOTAL_SHARE)
        return plant

    def _bring_in(self, gateway: Gateway, issued: IssuedFile) -> None:
        archive = self._settlements.archive
        content = b"".join(archive.content(issued))
        self._receive(gateway, issued.name, content)
        self._note(archive.answers(issued), issued.name, gateway.code)

    def _tell_bank(self, on: date) -> None:
        arrived = self._account.archive.on_their_way(on)
        plant = {}
        if arrived and self._random.random() < _BANK_ERROR_SHARE:
            plant = {self._random.choice(["missing_credit", "wrong_credit"]): 1}
        statement = self._account.issue(on, plant=plant, seed=self._seed)
        if statement is not None:
            archive = self._account.archive
            self._receive(None, statement.name, archive.statement_content(statement))
            self._note(archive.statement_answers(statement), statement.name, "")
        reconcile_bank(mode=Mode.TEST, actor=ACTOR, until=on + timedelta(days=1))

    def _receive(self, gateway: Gateway | None, name: str, content: bytes) -> None:
        file = receive_file(
            stream=io.BytesIO(content),
            name=name,
            gateway=gateway,
            mode=Mode.TEST,
            source=SettlementFile.Source.COMMAND,
            actor=ACTOR,
        )
        file = import_file(file)
        self._outcome.file_count += 1
        self._outcome.line_count += file.line_count
        if file.status != FileStatus.IMPORTED:
            self._outcome.refused.append(f"{name}: {file.status} {file.errors[:3]}")

    def _note(self, answers: dict[str, Any], file: str, gateway: str) -> None:
        self._answers += [{"gateway": gateway, **error, "file": file} for error in answers["errors"]]

    def _work_off(self) -> None:
        """Explain what differs as the desk would; what may still explain itself is left alone."""
        waiting = Discrepancy.objects.filter(status=DiscrepancyStatus.OPEN).exclude(kind=Discrepancy.Kind.TIMING)
        for discrepancy in waiting.select_related("line", "item__entry", "batch", "bank_line").order_by("pk"):
            if discrepancy.kind == Discrepancy.Kind.BATCH_TOTAL_DIFFERS and suggest(discrepancy) is None:
                carry(discrepancy=discrepancy, owner=self._owner, reason="until the bank has told", actor=ACTOR)
                continue
            suggested = suggest(discrepancy) or Discrepancy.Resolution.WRITE_OFF
            if suggested == Discrepancy.Resolution.ADOPT_REFUND:
                suggested = Discrepancy.Resolution.PARK_IN_SUSPENSE
            resolve(
                discrepancy=discrepancy,
                resolution=suggested,
                reason="as planted",
                actor=ACTOR,
                has_second_person=True,
            )
            self._outcome.resolved_count += 1

    def _match_with_bank(self) -> None:
        """A payout that the gateway misstated came as its lines say, in a credit that does not name it: by hand."""
        for line in open_bank_lines(Mode.TEST):
            batches = announced_batches(Mode.TEST)
            same = [b for b in batches if (b.net_minor, b.currency) == (line.amount_minor, line.currency)]
            if len(same) == 1:
                match_bank_line(line=line, batches=same, reason="the sum of its lines", actor=ACTOR)

    def _close(self, on: date) -> None:
        """Close the day for every gateway and currency in which it moved anything."""
        for waiting in days_not_closed(mode=Mode.TEST):
            if waiting.first > on:
                continue
            about = {"gateway": waiting.gateway, "mode": Mode.TEST, "currency": waiting.currency, "on": waiting.first}
            try:
                close_day(**about, actor=ACTOR)  # type: ignore[arg-type]
            except Refusal as refusal:
                self._outcome.differences.append(f"{on}: {waiting.gateway} {waiting.currency}: {refusal.message}")
            else:
                self._outcome.closed_count += 1

    def _compare(self) -> Iterator[str]:
        """What does not tie: the trial balance, and each receivable with its open items and lines."""
        for currency in CURRENCIES:
            total = sum(row.sum.amount_minor for row in selectors.trial_balance(mode=Mode.TEST, currency=currency))
            if total:
                yield f"the trial balance in {currency} is off by {Money(total, currency)}"
            for gateway in self._market.gateways:
                control = receivable_control(gateway=gateway, mode=Mode.TEST, currency=currency)
                if control.difference_minor:
                    yield f"{gateway}: {control}"
                ours, theirs = in_transit_and_receivable(gateway, currency), self._owed(gateway, currency)
                if ours != theirs:
                    yield f"{gateway}: our books say that it owes us {ours}, its own say {theirs}"

    def _owed(self, gateway: Gateway, currency: str) -> Money:
        """What the gateway's own book says it owes us: paid out and not told by the bank yet, or in no file yet."""
        archive, far = self._settlements.archive, datetime.max.replace(tzinfo=UTC)
        settings = self._market.settings(gateway)
        owed = sum(
            line.gross_minor - (_fee(line.gross_minor, settings) if line.kind == CHARGE else 0)
            for line in archive.owed(gateway.code, until=moment(far))
            if line.currency == currency
        )
        coming = archive.on_their_way(far.date())
        owed += sum(p.amount_minor for p in coming if (p.gateway, p.currency) == (gateway.code, currency))
        return Money(owed, currency)


def simulate(*, days: int, payments: int, seed: int, say: Say) -> Outcome:
    """Simulate a month with books of gateways that are thrown away afterwards."""
    with tempfile.TemporaryDirectory(prefix="month-") as folder:
        return Month(days=days, payments=payments, seed=seed, folder=Path(folder), say=say).run()


def in_transit_and_receivable(gateway: Gateway, currency: str) -> Money:
    """What our books say that a gateway owes us, announced or not."""
    keys = (chart.gateway_receivable(gateway.pk), chart.gateway_in_transit(gateway.pk))
    return sum((selectors.balance_of(key, mode=Mode.TEST, currency=currency) for key in keys), Money(0, currency))


def _fee(amount_minor: int, settings: GatewaySettings) -> int:
    return fee_of(amount_minor, fee_bps=settings.fee_bps, fee_fixed_minor=settings.fee_fixed_minor)
