"""What is a report about? A mode and a time, and at most one currency, merchant and gateway.

The same words ask for it everywhere: in an address, on a command line, in a subscription. Days are accounting days, in
UTC; an instant is one of our own record.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from checkout.kit import clock
from checkout.kit.ids import parse_public_id
from checkout.kit.inputs import is_printable
from checkout.kit.modes import Mode
from checkout.kit.money import CURRENCY_DECIMALS
from gateways.models import Gateway
from ledger.models import Account
from merchants.models import Merchant

MAX_DAYS = 366


class Asks(StrEnum):
    """What a report can be told. A report is over a period, or shows how things stood at an instant."""

    PERIOD = "period"
    INSTANT = "instant"
    CURRENCY = "currency"
    MERCHANT = "merchant"
    GATEWAY = "gateway"


class ScopeRefused(ValueError):
    """The words do not say what a report could be about: `errors` tells by word what is wrong."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__(" ".join(f"{word}: {error}" for word, error in errors.items()))


@dataclass(frozen=True)
class Scope:
    """What one run of a report is about. `first` and `last` belong to it; without `at` it is about now."""

    mode: str
    first: date
    last: date
    at: datetime | None = None
    currency: str = ""
    merchant: Merchant | None = None
    gateway: Gateway | None = None

    @property
    def instant(self) -> datetime:
        """The instant that ages are counted to."""
        return self.at or clock.now()

    def for_sql(self) -> dict[str, Any]:
        """The values that queries name; what was not asked for is NULL."""
        return {
            "mode": self.mode,
            "first": self.first,
            "last": self.last,
            "at": self.at,
            "today": self.instant.date(),
            "currency": self.currency or None,
            "merchant": self.merchant and self.merchant.pk,
            "gateway": self.gateway and self.gateway.pk,
        }

    def as_words(self, asks: frozenset[Asks]) -> dict[str, str]:
        """The words that ask for exactly this again."""
        words = {"mode": self.mode}
        if Asks.PERIOD in asks:
            words |= {"from": self.first.isoformat(), "to": self.last.isoformat()}
        elif self.at:
            words["at"] = self.at.isoformat()
        found = {"currency": self.currency, "merchant": self.merchant, "gateway": self.gateway}
        return words | {name: getattr(value, "public_id", str(value)) for name, value in found.items() if value}

    def in_words(self, asks: frozenset[Asks]) -> str:
        """The same for people: `test mode · 1 Nov 2026 to 30 Nov 2026 · USD`."""
        if Asks.PERIOD in asks:
            when = _day(self.first) if self.first == self.last else f"{_day(self.first)} to {_day(self.last)}"
        else:
            when = f"as of {self.at:%Y-%m-%d %H:%M:%S} UTC" if self.at else "as of now"
        return " · ".join(
            map(str, filter(None, [f"{self.mode} mode", when, self.currency, self.merchant, self.gateway]))
        )

    def file_name(self, report: str, asks: frozenset[Asks]) -> str:
        """What a file of it is called, without its ending."""
        days = f"{self.first}_{self.last}" if Asks.PERIOD in asks else f"{self.instant:%Y-%m-%dT%H%M%S}"
        return f"{report}_{self.mode}_{days}"


# Periods by their names, as people choose them: first and last day.
PERIODS: Mapping[str, Callable[[date], tuple[date, date]]] = {
    "today": lambda today: (today, today),
    "yesterday": lambda today: (today - timedelta(1), today - timedelta(1)),
    "last_7_days": lambda today: (today - timedelta(7), today - timedelta(1)),
    "this_month": lambda today: (today.replace(day=1), today),
    "last_month": lambda today: (_month_before(today), today.replace(day=1) - timedelta(1)),
}
USUAL_PERIOD = "this_month"


def end_of(day: date) -> datetime:
    """The instant at which a day of our record is over."""
    return datetime.combine(day + timedelta(1), time(), UTC)


def days_of(text: str, today: date) -> tuple[date, date] | None:
    """The days of a period by its name, or of `2026-11-01..2026-11-30`; None if it is neither."""
    if text in PERIODS:
        return PERIODS[text](today)
    first, _, last = text.partition("..")
    try:
        return date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        return None


def read_scope(words: Mapping[str, str], asks: frozenset[Asks], today: date | None = None) -> Scope:
    """What was asked for, in the words of `as_words` or by the name of a `period`; empty words are as if unsaid.

    Unsaid, the mode is live if there is anything live, and the time this month, or now. A period without its first day
    is one day long. `today` is the day that periods are counted from. Refuses: ScopeRefused.
    """
    said = {word: text for word, text in words.items() if text}
    reader = _Reader(said, today or clock.now().date())
    allowed = {"mode", "period", *(["from", "to"] if Asks.PERIOD in asks else ["at"])} | (asks - {Asks.INSTANT})
    reader.errors.update(dict.fromkeys(sorted(said.keys() - allowed), "This report is not told that."))
    first, last = reader.period()
    scope = Scope(
        mode=reader.one_of("mode", Mode.values) or _usual_mode(),
        first=first,
        last=last,
        at=reader.instant() if Asks.INSTANT in asks else None,
        currency=reader.one_of("currency", CURRENCY_DECIMALS),
        merchant=reader.found("merchant", Merchant),
        gateway=reader.found("gateway", Gateway),
    )
    if reader.errors:
        raise ScopeRefused(reader.errors)
    return scope


class _Reader:
    """Reads word by word, and keeps what is wrong with which."""

    def __init__(self, said: Mapping[str, str], today: date) -> None:
        self.said = said
        self.today = today
        self.errors: dict[str, str] = {}

    def one_of(self, word: str, known: Any) -> str:
        text = self.said.get(word, "")
        if text and text not in known:
            self.errors[word] = "There is no such value."
        return text

    def period(self) -> tuple[date, date]:
        name = self.one_of("period", PERIODS)
        if name and (clashing := self.said.keys() & {"from", "to", "at"}):
            self.errors["period"] = f"Either a period or {' and '.join(sorted(clashing))}."
        if name in PERIODS:
            return PERIODS[name](self.today)
        first, last = self._day("from"), self._day("to")
        if first is None and last is None:
            return PERIODS[USUAL_PERIOD](self.today)
        last = last or self.today
        first = first or last
        if first > last:
            self.errors.setdefault("from", "Is after the last day.")
        elif (last - first).days >= MAX_DAYS:
            self.errors.setdefault("from", f"At most {MAX_DAYS} days at once.")
        return first, last

    def instant(self) -> datetime | None:
        if text := self.said.get("at"):
            try:
                at = datetime.fromisoformat(text)
                return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
            except (ValueError, OverflowError):
                self.errors["at"] = "Write it as 2026-11-30T18:00."
                return None
        _, last = PERIODS.get(self.said.get("period", ""), PERIODS["today"])(self.today)
        return None if last >= clock.now().date() else end_of(last)

    def found(self, word: str, model: Any) -> Any:
        if not (text := self.said.get(word)):
            return None
        key = parse_public_id(model.PUBLIC_PREFIX, text)
        is_code = model is Gateway and key is None and is_printable(text)
        row = model.objects.filter(**({"code": text} if is_code else {"pk": key})).first()
        if row is None:
            self.errors[word] = "There is none of that name."
        return row

    def _day(self, word: str) -> date | None:
        try:
            return date.fromisoformat(self.said[word]) if word in self.said else None
        except ValueError:
            self.errors[word] = "Write it as 2026-11-30."
            return None


def _usual_mode() -> str:
    return Mode.LIVE if Account.objects.filter(mode=Mode.LIVE).exists() else Mode.TEST


def _month_before(today: date) -> date:
    return (today.replace(day=1) - timedelta(1)).replace(day=1)


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"
