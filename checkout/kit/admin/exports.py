"""How does a list leave as a file? All of it that its filters and search show, row by row, for whoever may see it.

Rows are read newest first in short queries by key. Between two of them no transaction and no connection is held,
however slowly the file is taken. What a column shows is written as plain text; an amount as decimal, minor units and
currency.
"""

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from html import unescape
from itertools import chain
from typing import Any

from django.contrib import messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import label_for_field
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.utils.safestring import SafeString
from unfold.views import ChangeList

from checkout.kit import audit, clock
from checkout.kit.admin.requests import actor_of, user_of
from checkout.kit.card_numbers import scrub
from checkout.kit.display import EMPTY, AmountShown
from checkout.kit.money import Money
from checkout.kit.spreadsheets import FILE_FORMATS, Cell, FileFormat
from checkout.settings import policy

_TAG = re.compile(r"<[^>]*>")
_SPACE = re.compile(r"\s+")
_MAY_BE_SENSITIVE = re.compile(r"\d{4}|sk_|whsec_")  # quick to look for; what has none of it holds no card number
_TOO_SLOW = "The first rows took longer than anybody should wait. Narrow the list down first."
_TOO_MANY = "Another export of yours, or of too many others, is being written. Try again when it has ended."


class _Running:
    """Whose exports are being written by this process: one of a person, so that nobody keeps all others waiting."""

    def __init__(self) -> None:
        self._people: set[Any] = set()
        self._lock = threading.Lock()

    def begin(self, person: Any) -> bool:
        """Whether there is room for one of this person, by key; it has its place until `end`."""
        with self._lock:
            if person in self._people or len(self._people) >= policy.EXPORTS_AT_ONCE:
                return False
            self._people.add(person)
            return True

    def end(self, person: Any) -> None:
        """Make room."""
        with self._lock:
            self._people.discard(person)


_running = _Running()


def export_view(page: Any, request: HttpRequest, form: str) -> HttpResponseBase:
    """A list as a file: its filters and its search, all of its rows. Audited with how many rows were sent."""
    if form not in FILE_FORMATS:
        raise Http404
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    verb = f"{page.opts.model_name}.export"
    if not page.has_view_permission(request):
        audit.record(actor=actor_of(request), verb=f"{verb}_refused", obj=user_of(request), after={"list": page.label})
        raise PermissionDenied
    back = f"{request.path.removesuffix(f'export/{form}/')}?{request.GET.urlencode()}"
    sent = _Sent(page, request, FILE_FORMATS[form])
    try:
        rows = _narrowed(page, request)
        if not _running.begin(user_of(request).pk):
            messages.error(request, _TOO_MANY)
            return HttpResponseRedirect(back)
        pieces = sent.pieces(rows)
        first = next(pieces, b"")
    except (DisallowedModelAdminLookup, IncorrectLookupParameters):
        return HttpResponseRedirect(back)  # the list says what is wrong
    except OperationalError:
        messages.error(request, _TOO_SLOW)
        return HttpResponseRedirect(back)
    response = StreamingHttpResponse(_Pieces(first, pieces), content_type=sent.form.content_type)
    name = f"{page.label.replace(' ', '_')}_{clock.now():%Y-%m-%dT%H%M%S}.{form}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


class _Unread(ChangeList):
    """A list as its filters and its search narrow it down, of which no page is counted or read."""

    def get_results(self, request: HttpRequest) -> None:
        pass


def _narrowed(page: Any, request: HttpRequest) -> QuerySet[Any]:
    """The rows of a list that its filters and its search leave."""
    rows: QuerySet[Any] = _Unread(
        request,
        model=page.model,
        list_display=page.list_display,
        list_display_links=(),
        list_filter=page.get_list_filter(request),
        date_hierarchy=None,
        search_fields=page.get_search_fields(request),
        list_select_related=page.get_list_select_related(request),
        list_per_page=page.list_per_page,
        list_max_show_all=page.list_max_show_all,
        list_editable=(),
        model_admin=page,
        sortable_by=(),
        search_help_text="",
    ).queryset
    return rows


class _Pieces:
    """The pieces of a file, closed when whoever takes them goes away."""

    def __init__(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._rest: Any = rest
        self._all = chain([first], rest)

    def __iter__(self) -> Iterator[bytes]:
        return self._all

    def close(self) -> None:
        self._rest.close()


class _Sent:
    """One file on its way, and what the audit says of it afterwards, however it ended."""

    def __init__(self, page: Any, request: HttpRequest, form: FileFormat) -> None:
        self.page = page
        self.form = form
        self.actor, self.user = actor_of(request), user_of(request)
        self.query = request.GET.urlencode()
        self.row_count = 0

    def pieces(self, rows: QuerySet[Any]) -> Iterator[bytes]:
        """The file. Lets the next one begin, and tells the audit, at its end or when it is given up."""
        is_complete = False
        try:
            yield from self.form.pieces(self._lines(rows))
            is_complete = True
        finally:
            _running.end(self.user.pk)
            facts = {"list": self.page.label, "filter": scrub(self.query), "format": self.form.name}
            audit.record(
                actor=self.actor,
                verb=f"{self.page.opts.model_name}.export",
                obj=self.user,
                after={**facts, "rows": self.row_count, "complete": is_complete},
            )
            _let_go()

    def _lines(self, rows: QuerySet[Any]) -> Iterator[list[Cell]]:
        columns = [_Column(self.page, name) for name in self.page.list_display]
        yield [title for column in columns for title in column.titles]
        for row in rows_by_key(self.page, rows):
            self.row_count += 1
            yield [cell for column in columns for cell in column.cells(row)]


def rows_by_key(page: Any, rows: QuerySet[Any]) -> Iterator[Any]:
    """All rows of a query, newest first, in short queries; between two of them no connection is held.

    What is made meanwhile is not among them. Refuses (OperationalError) what the database does not find in time.
    """
    rows, after = rows.order_by("-pk"), None
    while True:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('statement_timeout', %s, true)", [f"{policy.EXPORT_QUERY_SECONDS * 1000:.0f}"]
                )
            some = list((rows.filter(pk__lt=after) if after else rows)[: policy.EXPORT_ROWS_AT_ONCE])
            some = list(page.completed(some))
        _let_go()
        yield from some
        if len(some) < policy.EXPORT_ROWS_AT_ONCE:
            return
        after = some[-1].pk


def _let_go() -> None:
    """Give the connection back: in the web server another request has it meanwhile."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


class _Column:
    """One column of a list, as plain values."""

    def __init__(self, page: Any, name: Any) -> None:
        self.is_amount = name in page.money_columns
        title = str(label_for_field(name, page.model, page))
        self.titles = [title, f"{title}, minor units", f"{title}, currency"] if self.is_amount else [title]
        self._value: Callable[[Any], Any] = (
            name if callable(name) else getattr(page, name, None) or (lambda row: getattr(row, name))
        )

    def cells(self, row: Any) -> list[Cell]:
        value = self._value(row)
        if not self.is_amount:
            return [plain(value)]
        if not isinstance(value, AmountShown):
            return ["", "", ""]
        amount: Money = value.amount
        return [amount.as_decimal(), amount.amount_minor, amount.currency]


def plain(value: Any) -> Cell:
    """What a column shows, as a number or a text for machines: times in UTC by ISO 8601, no markup, no card number."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() | Decimal():
            return value
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case SafeString():
            text = _SPACE.sub(" ", unescape(_TAG.sub("", value))).strip()
        case list():
            text = ", ".join(map(str, value))
        case _:
            text = str(value)
    if text == EMPTY:
        return ""
    return scrub(text) if _MAY_BE_SENSITIVE.search(text) else text
