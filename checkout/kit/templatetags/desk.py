"""How do the desk's templates show things? In the words and looks of `checkout.kit.display`."""

from datetime import datetime
from typing import Any

from django import template
from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from checkout.kit import clock, display
from checkout.kit.money import Money

register = template.Library()

register.filter("badge", display.badge)
register.filter("money", display.money)
register.filter("words", display.words)
register.filter("person", display.person)
register.filter("page", display.page_of)
register.filter("duration", display.duration)
register.filter("moment", display.moment)
register.filter("deed", display.deed)
register.filter("unaccounted", display.unaccounted)
register.filter("page_of_name", display.page_of_public_id)


@register.filter
def negated(sum: Money) -> Money:
    """The same amount on the other side."""
    return -sum


@register.filter
def instant(at: datetime) -> SafeString:
    """A point in time to the millisecond, with the day unless it is today."""
    shown = at.strftime("%H:%M:%S.%f" if at.date() == clock.now().date() else "%d %b %H:%M:%S.%f")[:-3]
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), shown)


@register.filter
def titled(text: Any) -> str:
    """A name with a capital letter, unless it is one that machines compare."""
    name = str(text)
    return name if "_" in name else capfirst(name)


@register.filter
def changes(entry: Any) -> list[tuple[str, str, str]]:
    """What an audit entry says has changed: field, before, after."""
    return display.differences(entry.before, entry.after)


@register.filter
def linked(obj: Model | None) -> SafeString | str:
    """An object by its name, linked to its page; a dash of nothing."""
    return display.link(obj, display.page_of(obj)) if obj is not None else display.EMPTY
