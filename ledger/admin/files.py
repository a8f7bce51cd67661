"""How does a finance person bring in a file, see how far it got, and read what is wrong with it?"""

import csv
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet, Sum
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from checkout.kit import audit
from checkout.kit.admin import ReadOnlyAdmin, actor_of
from checkout.kit.admin.verbs import DiscreetForm
from checkout.kit.display import EMPTY, amount, badge, link, page_of, page_of_public_id, words
from checkout.kit.errors import Refusal
from checkout.kit.modes import Mode
from checkout.kit.money import Money
from checkout.kit.spreadsheets import safe
from gateways.models import Gateway
from gateways.settlements import LineKind
from ledger.admin.filters import CurrencyFilter, FileFilter, MatchedLineFilter
from ledger.models import BankLine, ClearingItem, SettlementBatch, SettlementFile, SettlementLine
from ledger.reconciliation.content import Content, opened
from ledger.reconciliation.tracing import items_settled_by
from ledger.services.files import receive_file
from ledger.statuses import FileStatus

UPLOAD_PERMISSION = "ledger.add_settlementfile"
_ERRORS_SHOWN = 100
_BATCHES_SHOWN = 50
_UNDER_WAY = (FileStatus.RECEIVED, FileStatus.IMPORTING)
_REFRESH_SECONDS = 2


class UploadForm(DiscreetForm, forms.Form):
    """Whose file it is, and the file."""

    sender = forms.ChoiceField(label="From", widget=UnfoldAdminSelectWidget)
    file = forms.FileField(
        label="File",
        allow_empty_file=True,
        help_text="As it came: a settlement file as CSV, or a bank statement as camt.053 XML.",
    )

    def __init__(self, data: Any = None, files: Any = None) -> None:
        super().__init__(data, files, label_suffix="")
        gateways = [(gateway.code, f"{gateway.name} ({gateway.mode})") for gateway in Gateway.objects.all()]
        banks = [(f"bank:{mode}", f"Our bank ({mode})") for mode in Mode.values]
        self.fields["sender"].choices = [*gateways, *banks]  # type: ignore[attr-defined]

    def clean_sender(self) -> tuple[Gateway | None, str]:
        """The gateway, or None for the bank, and the mode."""
        sender: str = self.cleaned_data["sender"]
        kind, _, mode = sender.partition(":")
        if kind == "bank" and mode:
            return None, mode
        gateway = Gateway.objects.get(code=sender)
        return gateway, gateway.mode


@admin.register(SettlementFile)
class SettlementFileAdmin(ReadOnlyAdmin):
    """Every file that a gateway or the bank gave us, and what came of it."""

    change_form_template = "admin/desk/settlement_file.html"
    change_list_template = "admin/desk/settlement_files.html"
    list_display = ["received_at", "name", "sender", "days", "lines_read", "status_badge", "profile", "source", "mode"]
    list_display_links = ["name"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("gateway", RelatedDropdownFilter),
        ("mode", ChoicesDropdownFilter),
    ]
    list_select_related = ["gateway"]
    quick_filters = (("Refused", "status__exact=refused"), ("Imported", "status__exact=imported"))
    fields = ["profile", "source", "mode", "size", "sha256", "received_by", "received_at", "imported_at"]
    readonly_fields = fields

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("upload/", view(self.upload_view), name="ledger_settlementfile_upload"),
            path("<path:object_id>/bytes/", view(self.bytes_view), name="ledger_settlementfile_bytes"),
            path("<path:object_id>/errors/", view(self.errors_view), name="ledger_settlementfile_errors"),
            *super().get_urls(),
        ]

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        """Take a file in; it is imported by a worker, and its page shows how far that got."""
        if not request.user.has_perm(UPLOAD_PERMISSION):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            gateway, mode = form.cleaned_data["sender"]
            upload = form.cleaned_data["file"]
            try:
                file = receive_file(
                    stream=upload.file,
                    name=upload.name,
                    gateway=gateway,
                    mode=mode,
                    source=SettlementFile.Source.UPLOAD,
                    actor=actor_of(request),
                )
            except Refusal as refusal:
                form.add_error("file", refusal.message)
            else:
                messages.success(request, f"{file.name} is received and will be read now.")
                return HttpResponseRedirect(page_of(file))
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Bring in a file", "form": form}
        return TemplateResponse(request, "admin/desk/upload.html", context)

    def bytes_view(self, request: HttpRequest, object_id: str) -> FileResponse:
        """The file as it came, unless it was refused for what it held. Audited."""
        file = self.get_object(request, object_id)
        if not self.has_view_permission(request, file):
            raise PermissionDenied
        if file is None or not file.chunks.exists():
            raise Http404
        audit.record(actor=actor_of(request), verb="file.download", obj=file)
        return FileResponse(
            opened(Content(file.pk)), as_attachment=True, filename=file.name, content_type="application/octet-stream"
        )

    def errors_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """All errors that were kept of a refused file, as CSV: for whoever made the file."""
        file = self.get_object(request, object_id)
        if not self.has_view_permission(request, file):
            raise PermissionDenied
        if file is None or not file.errors:
            raise Http404
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{file.public_id}-errors.csv"'
        out = csv.writer(response)
        out.writerow(["line", "column", "reason"])
        out.writerows([line or "", safe(column), safe(reason)] for line, column, reason in file.errors)
        return response

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_upload = request.user.has_perm(UPLOAD_PERMISSION)
        return super().changelist_view(request, {"may_upload": may_upload, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, obj: Any = None, **options: Any
    ) -> HttpResponse:
        if obj is not None:
            context |= facts_of(obj)
        response = super().render_change_form(request, context, add=add, obj=obj, **options)
        if obj is not None and obj.status in _UNDER_WAY:
            response["Refresh"] = str(_REFRESH_SECONDS)
        return response

    @display(description="from")
    def sender(self, file: SettlementFile) -> str:
        return file.gateway.name if file.gateway else "our bank"

    @display(description="about")
    def days(self, file: SettlementFile) -> str:
        return days_in_words(file)

    @display(description="lines")
    def lines_read(self, file: SettlementFile) -> str:
        if file.status == FileStatus.IMPORTING:
            return f"{file.progress:.0%}"
        return f"{file.line_count:,}" if file.status == FileStatus.IMPORTED else EMPTY

    @display(description="status")
    def status_badge(self, file: SettlementFile) -> SafeString:
        return badge(file.status)

    @display(description="size")
    def size(self, file: SettlementFile) -> str:
        return f"{file.size_bytes:,} bytes"


@admin.register(SettlementBatch)
class SettlementBatchAdmin(ReadOnlyAdmin):
    """What gateways say they have paid out, and the booking at the bank that brought it."""

    money_columns = ("net",)
    list_display = ["paid_on", "reference", "gateway", "net", "line_count", "status_badge", "bank_booking", "mode"]
    list_display_links = ["reference"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("gateway", RelatedDropdownFilter),
        CurrencyFilter,
        ("mode", ChoicesDropdownFilter),
    ]
    list_select_related = ["gateway", "bank_line"]
    quick_filters = (("Not at the bank yet", "status__exact=announced"),)
    fields = [
        "reference",
        "gateway_link",
        "mode",
        "net",
        "paid_out",
        "line_count",
        "paid_on",
        "status_badge",
        "bank_booking",
        "file_link",
        "entry_link",
    ]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[SettlementBatch]:
        return super().get_queryset(request).select_related("gateway", "bank_line", "file", "entry")

    @display(description="sum of its lines")
    def net(self, batch: SettlementBatch) -> SafeString:
        return amount(Money(batch.net_minor, batch.currency))

    @display(description="said to be paid out")
    def paid_out(self, batch: SettlementBatch) -> SafeString | str:
        return EMPTY if batch.payout_minor is None else amount(Money(batch.payout_minor, batch.currency))

    @display(description="status")
    def status_badge(self, batch: SettlementBatch) -> SafeString:
        return badge(batch.status)

    @display(description="gateway")
    def gateway_link(self, batch: SettlementBatch) -> SafeString:
        return link(batch.gateway, page_of(batch.gateway))

    @display(description="at the bank")
    def bank_booking(self, batch: SettlementBatch) -> SafeString | str:
        return link(f"{batch.bank_line.booked_on:%d %b %Y}", page_of(batch.bank_line)) if batch.bank_line else EMPTY

    @display(description="file")
    def file_link(self, batch: SettlementBatch) -> SafeString:
        return link(batch.file.name, page_of(batch.file))

    @display(description="journal entry")
    def entry_link(self, batch: SettlementBatch) -> SafeString | str:
        return link(batch.entry, page_of(batch.entry)) if batch.entry else EMPTY


@admin.register(BankLine)
class BankLineAdmin(ReadOnlyAdmin):
    """The bookings on our bank account."""

    money_columns = ("sum",)
    list_display = ["booked_on", "text_or_reference", "sum", "payouts", "account"]
    list_display_links = ["text_or_reference"]
    fields = ["booked_on", "sum", "account", "reference", "text", "payouts", "file_link"]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[BankLine]:
        imported = super().get_queryset(request).filter(file__status=FileStatus.IMPORTED)
        return imported.select_related("file").prefetch_related("batches__gateway")

    @display(description="booking")
    def text_or_reference(self, line: BankLine) -> str:
        return line.text or line.reference or f"booking {line.line_number}"

    @display(description="amount")
    def sum(self, line: BankLine) -> SafeString:
        return amount(Money(line.amount_minor, line.currency))

    @display(description="payouts of")
    def payouts(self, line: BankLine) -> str:
        return ", ".join(f"{batch.gateway.name} {batch.reference}" for batch in line.batches.all()) or EMPTY

    @display(description="statement")
    def file_link(self, line: BankLine) -> SafeString:
        return link(line.file.name, page_of(line.file))


@admin.register(SettlementLine)
class SettlementLineAdmin(ReadOnlyAdmin):
    """The lines of gateways' files, once these are imported."""

    money_columns = ("gross", "fee", "net")
    list_display = ["occurred_on", "what", "gateway", "gateway_reference", "gross", "fee", "net", "state", "mode"]
    list_display_links = ["gateway_reference"]
    list_filter = [
        FileFilter,
        MatchedLineFilter,
        ("kind", ChoicesDropdownFilter),
        ("gateway", RelatedDropdownFilter),
        CurrencyFilter,
        ("mode", ChoicesDropdownFilter),
    ]
    list_select_related = ["gateway"]
    ordering = ["-id"]
    search_fields = ["gateway_reference"]
    search_help_text = "The gateway's reference or ours, in full"
    fields = [
        "what",
        "gateway",
        "mode",
        "gateway_reference",
        "reference",
        "gross",
        "fee",
        "net",
        "occurred_on",
        "batch_reference",
        "line_number",
        "file_link",
        "state",
        "settles",
        "difference",
    ]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[SettlementLine]:
        return super().get_queryset(request).filter(file__status=FileStatus.IMPORTED).select_related("file", "gateway")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SettlementLine], search_term: str
    ) -> tuple[QuerySet[SettlementLine], bool]:
        term = search_term.strip()
        return queryset.filter(Q(reference=term) | Q(gateway_reference=term)) if term else queryset, False

    @display(description="movement")
    def what(self, line: SettlementLine) -> str:
        return words(line.kind) if line.kind != LineKind.UNMAPPED else f"“{line.raw_type}”"

    @display(description="gross")
    def gross(self, line: SettlementLine) -> SafeString:
        return amount(Money(line.gross_minor, line.currency))

    @display(description="fee")
    def fee(self, line: SettlementLine) -> SafeString:
        return amount(Money(line.fee_minor, line.currency))

    @display(description="net")
    def net(self, line: SettlementLine) -> SafeString:
        return amount(Money(line.net_minor, line.currency))

    @display(description="state")
    def state(self, line: SettlementLine) -> SafeString | str:
        """A payout is the sum of other lines: there is nothing to match it with."""
        if line.kind == LineKind.PAYOUT:
            return EMPTY
        return badge("open", "warn") if line.match_id is None else badge("matched", "good")

    @display(description="difference")
    def difference(self, line: SettlementLine) -> SafeString | str:
        """What was found about it, and the entry that explained that."""
        rows = [
            (
                link(words(told.kind), page_of(told)),
                badge(told.status),
                format_html("by {}", link(words(told.entry.kind), page_of(told.entry))) if told.entry else "",
            )
            for told in line.discrepancies.select_related("entry").order_by("pk")
        ]
        return format_html_join("", "<div>{} {} {}</div>", rows) or EMPTY

    @display(description="settles")
    def settles(self, line: SettlementLine) -> SafeString | str:
        """What we expected, and the payments that it came of."""
        rows = [
            (link(f"{words(item.kind)} {item.reference}", page_of(item)), _payment_of(item))
            for item in items_settled_by(line)
        ]
        return format_html_join("", "<div>{} {}</div>", rows) or EMPTY

    @display(description="file")
    def file_link(self, line: SettlementLine) -> SafeString:
        return link(line.file.name, page_of(line.file))


def _payment_of(item: ClearingItem) -> SafeString | str:
    name = item.entry.payment_reference
    return format_html("of {}", link(name, page_of_public_id(name))) if name else ""


def days_in_words(file: SettlementFile) -> str:
    """The days that a file is about."""
    if file.first_on is None or file.last_on is None:
        return EMPTY
    first, last = f"{file.first_on:%d %b}", f"{file.last_on:%d %b %Y}"
    return last if file.first_on == file.last_on else f"{first} – {last}"


def facts_of(file: SettlementFile) -> dict[str, Any]:
    """What the page of a file shows beyond its fields: four queries, whatever its size."""
    lines = SettlementLine.objects.filter(file=file).exclude(kind=LineKind.PAYOUT) if file.gateway_id else None
    sums: list[Any] = []
    if lines is not None and file.status == FileStatus.IMPORTED:
        sums = list(
            lines.order_by()
            .values("currency")
            .annotate(
                count=Count("id"),
                gross=Sum("gross_minor"),
                fee=Sum("fee_minor"),
                net=Sum("net_minor"),
                matched=Count("id", filter=Q(match__isnull=False)),
            )
            .order_by("currency")
        )
        for row in sums:
            for name in ("gross", "fee", "net"):
                row[name] = Money(int(row[name]), row["currency"])
            row["open"] = row["count"] - row["matched"]
    return {
        "sender": file.gateway.name if file.gateway else "our bank",
        "days": days_in_words(file),
        "percent": round(file.progress * 100),
        "is_under_way": file.status in _UNDER_WAY,
        "refused_for": file.errors[:_ERRORS_SHOWN],
        "sums": sums,
        "batches": [
            (batch, Money(batch.net_minor, batch.currency))
            for batch in file.batches.select_related("bank_line").order_by("reference")[:_BATCHES_SHOWN]
        ],
        "bookings": [
            (line, Money(line.amount_minor, line.currency))
            for line in file.bank_lines.order_by("line_number")[:_BATCHES_SHOWN]
            if file.status == FileStatus.IMPORTED
        ],
        "has_bytes": file.chunks.exists(),
    }
