"""What does a gateway pay out, and how does it say so? All that is final and in no file yet, one batch per currency.

    settlements = Settlements(Book(path))
    file = settlements.issue(GatewaySettings.parse({…}), until=datetime(2026, 3, 2, tzinfo=UTC), plant={"late_line": 1})
    b"".join(settlements.archive.content(file)), settlements.archive.answers(file)

Needs no clock and no server, so that a month passes as fast as it can be written down.
"""

import csv
import hashlib
import io
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from gateways.simulator import plants
from gateways.simulator.archive import Archive
from gateways.simulator.bank import Bank
from gateways.simulator.book import Book
from gateways.simulator.calls import CHARGE, REFUND, IssuedFile, moment
from gateways.simulator.formats import FORMATS, Format, Line, Payout
from gateways.simulator.money import fee_of
from gateways.simulator.settings import GatewaySettings

_CHUNK_CHARACTERS = 256 * 1024
_LONGEST_WAY_DAYS = 2  # from the payout to the bank


class Settlements:
    """Settles what stands in a book."""

    def __init__(self, book: Book) -> None:
        self.archive = Archive(book)
        self._book = book

    def issue(
        self, settings: GatewaySettings, *, until: datetime, plant: Mapping[str, Any] | None = None, seed: int = 0
    ) -> IssuedFile | None:
        """Issue the file of everything that became final before `until` and is in no file yet; None if that is nothing.

        The payouts leave at `until` and reach the bank at most two days later. `plant` says how many errors of each
        kind of `plants` there shall be; the same seed plants the same ones. Raises PlantRefused.
        """
        wanted = plants.wanted(plant or {}, {**plants.LINE_ERRORS, **plants.BATCH_ERRORS})
        until = until.astimezone(UTC)
        with self._book.transaction():
            number = self.archive.next_number(settings.code)
            rng = random.Random(f"{seed}:{settings.code}:{number}")
            owed = self._owed(settings, until)
            planter = plants.Planter(
                owed,
                rng,
                at=moment(until),
                price=lambda amount_minor: _fee(settings, amount_minor),
                refund=lambda line: self._refund(settings, line, until, rng),
            )
            for kind, count in wanted.items():
                if kind in plants.LINE_ERRORS:
                    planter.plant(kind, count)
            batches = _batches([*planter.lines.values(), *planter.added])
            misstated = _misstated(batches, wanted.get("batch_total", 0), rng)
            if not batches and planter.errors:
                raise plants.PlantRefused("plant: nothing would be left in the file")
            if not batches:
                return None
            sheet = _Sheet(FORMATS[settings.settlement_format](settings), number, moment(until), batches, misstated)
            answers = [*(error.as_answer(sheet.numbers) for error in planter.errors), *sheet.answers]
            file_id = self.archive.insert_file(
                gateway=settings.code,
                number=number,
                name=(name := sheet.format.file_name(number, until.date().isoformat())),
                format=settings.settlement_format,
                until=moment(until),
                line_count=len(sheet.entries),
                size_bytes=0,
                sha256="",
                planted_count=len(answers),
                answers=json.dumps({"file": name, "gateway": settings.code, "seed": seed, "errors": answers}),
            )
            self._write(file_id, sheet.chunks())
            refunds = {line.id for line in planter.added if line.kind == REFUND} - planter.lines.keys()
            settled = {line.id for line in owed} - planter.held_back | refunds
            self.archive.mark_settled(file_id, sorted(settled))
            self._pay_out(settings, file_id, sheet, until.date(), seed)
        return self.archive.file(settings.code, name)

    def _owed(self, settings: GatewaySettings, until: datetime) -> list[Line]:
        return [
            replace(line, fee_minor=_fee(settings, line.gross_minor)) if line.kind == CHARGE else line
            for line in self.archive.owed(settings.code, until=moment(until))
        ]

    def _refund(self, settings: GatewaySettings, line: Line, until: datetime, rng: random.Random) -> Line | None:
        """Give a part of a charge back in the back office, just in time for this file."""
        charge = self._book.get(settings.code, line.charge_id)
        rest_minor = charge.captured_minor - charge.refunded_minor
        if rest_minor == 0:
            return None
        at = until - timedelta(milliseconds=1)
        bank = Bank(self._book, settings.code, is_multi_capture=True, clock=lambda: at)
        amount_minor = rng.choice([rest_minor, rng.randint(1, rest_minor)])
        refund = bank.act(REFUND, charge.reference, amount_minor)
        return Line(
            kind=REFUND,
            id=refund.id,
            reference="",
            charge_id=charge.id,
            charge_reference=charge.reference,
            currency=refund.currency,
            gross_minor=-amount_minor,
            fee_minor=0,
            at=refund.final_at,
        )

    def _write(self, file_id: int, chunks: Iterator[bytes]) -> None:
        digest, size = hashlib.sha256(), 0
        for number, chunk in enumerate(chunks):
            digest.update(chunk)
            size += len(chunk)
            self.archive.insert_chunk(file_id, number, chunk)
        self.archive.finish_file(file_id, size_bytes=size, sha256=digest.hexdigest())

    def _pay_out(self, settings: GatewaySettings, file_id: int, sheet: "_Sheet", on: date, seed: int) -> None:
        """Send what the lines come to on its way to the bank, whatever the payout line says."""
        rng = random.Random(f"{seed}:{settings.code}:{sheet.number}:way")
        for currency, net_minor in sheet.nets.items():
            arrives_on = on + timedelta(days=rng.randint(0, _LONGEST_WAY_DAYS))
            if net_minor:
                batch = sheet.payouts[currency].batch
                reference, text = sheet.format.remittance(batch, currency)
                self.archive.insert_payout(
                    file_id=file_id,
                    gateway=settings.code,
                    payer=settings.name,
                    batch=batch,
                    currency=currency,
                    amount_minor=net_minor,
                    reference=reference,
                    text=text,
                    arrives_on=arrives_on.isoformat(),
                )


class _Sheet:
    """The rows of one file, in order, and which line stands in which row."""

    def __init__(
        self,
        form: Format,
        number: int,
        at: str,
        batches: Mapping[str, Sequence[Line]],
        misstated: Mapping[str, int],
    ) -> None:
        self.format = form
        self.number = number
        self.nets = {currency: sum(line.net_minor for line in lines) for currency, lines in batches.items()}
        self.payouts = {
            currency: Payout(form.batch(number, currency), currency, net_minor + misstated.get(currency, 0), at)
            for currency, net_minor in self.nets.items()
        }
        self.entries: list[Line | Payout] = []
        for currency, lines in batches.items():
            self.entries += [*lines, self.payouts[currency]]
        # By identity, as a duplicate is equal; the header is line 1.
        self.numbers = {id(entry): row for row, entry in enumerate(self.entries, start=2)}
        self.answers = [self._answer(currency) for currency in misstated]

    def chunks(self) -> Iterator[bytes]:
        """The file as CSV in UTF-8, piece by piece."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.format.header)
        for entry in self.entries:
            if isinstance(entry, Line):
                writer.writerow(self.format.line(entry, self.payouts[entry.currency]))
            else:
                writer.writerow(self.format.payout(entry))
            if text.tell() > _CHUNK_CHARACTERS:
                yield text.getvalue().encode()
                text.seek(0)
                text.truncate()
        yield text.getvalue().encode()

    def _answer(self, currency: str) -> dict[str, Any]:
        payout = self.payouts[currency]
        return {
            "planted": "batch_total",
            "expected": plants.BATCH_ERRORS["batch_total"],
            "lines": [self.numbers[id(payout)]],
            "batch": payout.batch,
            "currency": currency,
            "ours_minor": self.nets[currency],
            "theirs_minor": payout.amount_minor,
        }


def _fee(settings: GatewaySettings, amount_minor: int) -> int:
    return fee_of(amount_minor, fee_bps=settings.fee_bps, fee_fixed_minor=settings.fee_fixed_minor)


def _batches(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """The lines of each currency, oldest first."""
    batches: dict[str, list[Line]] = {currency: [] for currency in sorted({line.currency for line in lines})}
    for line in sorted(lines, key=lambda line: (line.at, line.id)):
        batches[line.currency].append(line)
    return batches


def _misstated(batches: Mapping[str, object], count: int, rng: random.Random) -> dict[str, int]:
    """By how much the payout line of so many batches shall be wrong."""
    if count > len(batches):
        raise plants.PlantRefused(f"plant: there are only {len(batches)} batches for batch_total")
    return {currency: rng.choice([-1, 1]) * rng.randint(2, 5_000) for currency in rng.sample(list(batches), count)}
