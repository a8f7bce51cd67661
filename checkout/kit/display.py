"""How does the desk show things? One look for amounts, statuses, people and links, in lists and on pages alike."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from checkout.kit import clock
from checkout.kit.models import AuditEntry, PublicModel
from checkout.kit.money import Money

EMPTY = "–"

# What a word means to somebody who looks at many of them: well, under way, needs a look, went wrong, over.
_TONES = {
    "good": "captured succeeded healthy enabled active applied delivered approved up valid green imported banked"
    " resolved cleared closed",
    "busy": "processing sent pending authorized requested waiting received importing announced",
    "warn": "draining maintenance unknown requires_action awaiting_approval unmatched warning late carried",
    "bad": "declined failed unhealthy down critical suspended disabled stopped revoked rejected red refused",
}
_AMOUNTS = {"amount", "difference", "value", "gross", "fee"}  # fields of documents that are in minor units
_DONE = {"insert": "added", "update": "changed", "delete": "removed"}  # of a row
TONES = {word: tone for tone, words in _TONES.items() for word in words.split()}


def words(name: str) -> str:
    """A name from the code as people read it: `insufficient_funds` is “insufficient funds”."""
    return name.replace("_", " ").replace(".", ": ", 1)


def badge(word: str, tone: str = "") -> SafeString:
    """A status as a coloured badge; the colour follows from the word unless it is given."""
    return format_html('<span class="badge badge-{}">{}</span>', tone or TONES.get(word, "quiet"), words(word))


def money(amount: Money) -> str:
    """An amount in major units with its currency: `1,234.50 EUR`."""
    return f"{amount.as_decimal():,} {amount.currency}"


class AmountShown(SafeString):
    """An amount as a column shows it, which still knows what it is: files are given the number."""

    amount: Money


def amount(value: Money) -> AmountShown:
    """An amount for a column of amounts."""
    shown = AmountShown(format_html('<span class="amount">{}</span>', money(value)))
    shown.amount = value
    return shown


def duration(milliseconds: float | None) -> str:
    """A duration in the unit that reads best: `56 ms`, `2.4 s`, `3 min`, `5 h`."""
    if milliseconds is None:
        return EMPTY
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1_000
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3600:.0f} h"


def age(since: datetime) -> str:
    """How long ago something was, as people say it: `90 s`, `45 min`, `30 h`, `3 days`."""
    seconds = max((clock.now() - since).total_seconds(), 0)
    if seconds < 120:
        return f"{int(seconds)} s"
    if seconds < 7_200:
        return f"{int(seconds / 60)} min"
    return f"{int(seconds / 3_600)} h" if seconds < 172_800 else f"{int(seconds / 86_400)} days"


def percentage(part: int, whole: int) -> str:
    """A share in percent with one decimal, or a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else EMPTY


def person(actor: str) -> str:
    """An actor of the audit in plain words."""
    kind, _, name = actor.partition(":")
    match kind:
        case "user":
            return name
        case "key":
            return f"the merchant (key {name}…)"
        case "task":
            return "the platform"
        case "gateway":
            return f"gateway {name}"
    return f"{kind} {name}".strip()


def deed(entry: AuditEntry) -> str:
    """What an audit entry says was done, in words; of what the database told of, to which table."""
    table, _, done = entry.verb.partition(".")
    return f"{words(table.partition('_')[2])}: {_DONE[done]}" if entry.told_by_database else words(entry.verb)


def unaccounted(entry: AuditEntry) -> str:
    """What is wrong with a change that only the database told of; a person may have come with it, a reason did not."""
    return "not through the platform" if entry.actor.startswith("database:") else "not accounted for"


def moment(at: datetime | None) -> SafeString | str:
    """A point in time, in UTC: the clock today, the day as well before; exact on hover."""
    if at is None:
        return EMPTY
    now = clock.now()
    shown = "%H:%M:%S" if at.date() == now.date() else "%d %b %H:%M" if at.year == now.year else "%d %b %Y"
    exact = at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return format_html('<time datetime="{}" title="{} UTC">{}</time>', at.isoformat(), exact, at.strftime(shown))


def name_of(obj: Model) -> str:
    """What an object is called in the address of its page."""
    return obj.public_id if isinstance(obj, PublicModel) else str(obj.pk)


def page_of(obj: Model) -> str:
    """The address of an object's page at the desk, or nothing if it has none."""
    name = f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change"
    try:
        return reverse(name, args=[name_of(obj)])
    except NoReverseMatch:
        return ""


def list_of(model: type[Model], query: str = "") -> str:
    """The address of a model's list at the desk, narrowed by a query string."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{address}?{query}" if query else address


def page_of_public_id(public_id: str) -> str:
    """The page of whatever carries this outside name, or nothing if no page is kept for its kind."""
    prefix = public_id.partition("_")[0]
    for model in admin.site._registry:
        if issubclass(model, PublicModel) and prefix == model.PUBLIC_PREFIX:
            return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[public_id])
    return ""


def link(text: Any, address: str) -> SafeString:
    """A link, or the bare text where there is nowhere to go."""
    return format_html('<a class="link" href="{}">{}</a>', address, text) if address else format_html("{}", text)


def code(text: str) -> SafeString | str:
    """A machine's name for something, in a fixed-width face."""
    return format_html('<span class="code">{}</span>', text) if text else EMPTY


def document(value: Any) -> SafeString:
    """JSON, laid out to be read."""
    return format_html('<pre class="document">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False, default=str))


def told(value: Any, currency: str = "") -> SafeString:
    """A document as people read it: fields in words, our ids as links, amounts in major units of its `currency`."""
    match value:
        case dict():
            currency = value.get("currency", currency)
            facts = [
                (words(name), _fact(name, fact, currency)) for name, fact in value.items() if fact not in ("", None)
            ]
            return format_html('<dl class="facts">{}</dl>', format_html_join("", "<dt>{}</dt><dd>{}</dd>", facts))
        case list():
            return format_html_join(" ", "{}", ((told(part, currency),) for part in value))
        case str() if address := page_of_public_id(value):
            return link(code(value), address)
    return format_html("{}", value)


def _fact(name: str, fact: Any, currency: str) -> SafeString:
    is_amount = name in _AMOUNTS and isinstance(fact, int) and currency
    return amount(Money(fact, currency)) if is_amount else told(fact, currency)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What changed between two states: field, before, after; of lists and objects only what differs."""
    return [
        (words(name), *_apart(before.get(name), after.get(name)))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _apart(before: Any, after: Any) -> tuple[str, str]:
    if isinstance(before, list) and isinstance(after, list):
        gone, come = [x for x in before if x not in after], [x for x in after if x not in before]
        return _plain(gone), _plain(come)
    if isinstance(before, dict) and isinstance(after, dict):
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return _plain({n: before[n] for n in names if n in before}), _plain({n: after[n] for n in names if n in after})
    return _plain(before), _plain(after)


def _plain(value: Any) -> str:
    if value in (None, "", [], {}):
        return EMPTY
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(item)}" for name, item in value.items())
    return str(value)
