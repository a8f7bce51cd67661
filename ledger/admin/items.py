"""How does an operator see what gateways are expected to settle? Item by item, open until a file has named it."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from checkout.kit.admin import ReadOnlyAdmin
from checkout.kit.display import EMPTY, amount, badge, code, link, page_of, words
from checkout.kit.money import Money
from ledger.admin.filters import CurrencyFilter, MatchedFilter
from ledger.models import ClearingItem, SettlementBatch, SettlementLine
from ledger.reconciliation.tracing import trace


@admin.register(ClearingItem)
class ClearingItemAdmin(ReadOnlyAdmin):
    """What we expect gateways to settle, and which of it they have."""

    money_columns = ("gross", "fee", "net")
    list_display = ["occurred_on", "what", "gross", "fee", "net", "gateway", "named", "state", "mode"]
    list_filter = [
        MatchedFilter,
        ("kind", ChoicesDropdownFilter),
        ("gateway", RelatedDropdownFilter),
        CurrencyFilter,
        ("mode", ChoicesDropdownFilter),
    ]
    list_select_related = ["gateway", "match"]
    quick_filters = (("Open", "state=open"), ("Matched", "state=matched"))
    search_fields = ["reference"]
    search_help_text = "Our reference in full (att_…, rfd_…)"
    ordering = ["occurred_on", "entry"]
    fields = [
        *("entry_link", "occurred_on", "what", "gross", "fee", "net"),
        *("gateway", "named", "gateway_reference", "state", "settled_by"),
    ]
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ClearingItem], search_term: str
    ) -> tuple[QuerySet[ClearingItem], bool]:
        return queryset.filter(reference=search_term.strip()) if search_term.strip() else queryset, False

    @display(description="movement")
    def what(self, item: ClearingItem) -> str:
        return words(item.kind)

    @display(description="gross")
    def gross(self, item: ClearingItem) -> SafeString:
        return amount(Money(item.gross_minor, item.currency))

    @display(description="fee, expected")
    def fee(self, item: ClearingItem) -> SafeString:
        return amount(Money(item.fee_minor, item.currency))

    @display(description="net")
    def net(self, item: ClearingItem) -> SafeString:
        return amount(Money(item.gross_minor - item.fee_minor, item.currency))

    @display(description="reference")
    def named(self, item: ClearingItem) -> SafeString | str:
        return code(item.reference)

    @display(description="state")
    def state(self, item: ClearingItem) -> SafeString:
        return badge(words(item.match.how), "good") if item.match else badge("open", "busy")

    @display(description="entry")
    def entry_link(self, item: ClearingItem) -> SafeString:
        return link(item.entry, page_of(item.entry))

    @display(description="settled by")
    def settled_by(self, item: ClearingItem) -> SafeString | str:
        """The lines that it was matched with, and how far their money has come."""
        (traced,) = trace([item.entry])
        told = format_html_join("", "<div>{}</div>", ((line_in_words(line),) for line in traced.lines))
        return told + format_html_join("", "<div>{}</div>", ((payout_in_words(it),) for it in traced.payouts)) or EMPTY


def line_in_words(line: SettlementLine) -> SafeString:
    """A line of a file, as a link."""
    return link(f"line {line.line_number} of {line.file.name}", page_of(line))


def payout_in_words(payout: SettlementBatch) -> SafeString:
    """A payout, as a link, and whether it has come."""
    bank_line = payout.bank_line
    came = (
        link(f"at the bank on {bank_line.booked_on:%d %b %Y}", page_of(bank_line)) if bank_line else "not at the bank"
    )
    return format_html("{}, {}", link(f"payout {payout.reference}", page_of(payout)), came)
