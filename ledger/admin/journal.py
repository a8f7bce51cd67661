"""How does an operator see the journal? Entries with their postings, and accounts with their balances."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Prefetch, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from checkout.kit import clock
from checkout.kit.admin import ReadOnlyAdmin, VerbAdmin
from checkout.kit.display import amount, badge, code, link, page_of, page_of_public_id, words
from checkout.kit.money import Money
from ledger.admin.filters import CurrencyFilter
from ledger.admin.legs import account_name
from ledger.admin.manual import PERMISSION, REVERSE, background_of, new_entry_view
from ledger.admin.reports import report_addresses
from ledger.admin.trial_balance import trial_balance_view
from ledger.chart import AccountKind
from ledger.models import Account, JournalEntry, Posting
from ledger.reports.clearing import PAST_BOTH
from ledger.reports.scope import PERIODS, days_of
from ledger.selectors import Balance


class PostingInline(TabularInline):
    """An entry's legs: debits and credits, which are equal."""

    model = Posting
    fields = ["account_link", "debit", "credit"]
    readonly_fields = fields
    extra = 0
    hide_title = True
    verbose_name_plural = "Postings"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Posting]:
        return super().get_queryset(request).select_related("account__merchant", "account__gateway")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="account")
    def account_link(self, posting: Posting) -> SafeString:
        return link(account_name(posting.account), page_of(posting.account))

    @display(description="debit")
    def debit(self, posting: Posting) -> SafeString | str:
        return amount(posting.amount) if posting.amount_minor > 0 else ""

    @display(description="credit")
    def credit(self, posting: Posting) -> SafeString | str:
        return amount(-posting.amount) if posting.amount_minor < 0 else ""


class EntryCurrencyFilter(CurrencyFilter):
    """By currency, which entries say in their postings."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(_has_posting(currency=self.value())) if self.value() else queryset


class TouchedAccountFilter(DropdownFilter):
    """Entries that touch accounts of a kind."""

    title = "account"
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, words(kind)) for kind in AccountKind.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(_has_posting(account__kind=self.value())) if self.value() else queryset


class PastBothFilter(DropdownFilter):
    """Entries that move what a gateway owes us, and are neither an item of ours nor explain a line of its files."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("past_both", "posted past items and lines")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        resolving = JournalEntry.objects.filter(discrepancies__isnull=False).values("xid")
        past = queryset.filter(_has_posting(account__kind=AccountKind.GATEWAY_RECEIVABLE), kind__in=PAST_BOTH)
        return past.exclude(xid__in=resolving)


class AccountingDayFilter(DropdownFilter):
    """Entries of accounting days: a period by its name, or two days as `2026-11-01..2026-11-30`."""

    title = "accounting day"
    parameter_name = "days"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        named = [(name, words(name)) for name in PERIODS]
        asked = request.GET.get(self.parameter_name, "")
        return [(asked, asked.replace("..", " to ")), *named] if asked and asked not in PERIODS else named

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        days = days_of(self.value() or "", clock.now().date())
        return queryset.filter(occurred_on__range=days) if days else queryset


def _has_posting(**what: Any) -> Exists:
    return Exists(Posting.objects.filter(entry=OuterRef("pk"), **what))


@admin.register(JournalEntry)
class JournalEntryAdmin(VerbAdmin, ReadOnlyAdmin):
    """The journal: every fact about money, once. People ask for entries of their own, and for reversals."""

    change_form_template = "admin/desk/entry.html"
    change_list_template = "admin/desk/journal.html"
    verbs = (REVERSE,)
    inlines = [PostingInline]
    money_columns = ("sum",)
    list_display = ["created_at", "accounting_day", "what", "sum", "merchant", "gateway", "about", "mode"]
    list_filter = [
        AccountingDayFilter,
        ("kind", ChoicesDropdownFilter),
        TouchedAccountFilter,
        PastBothFilter,
        ("merchant", RelatedDropdownFilter),
        ("gateway", RelatedDropdownFilter),
        EntryCurrencyFilter,
        ("mode", ChoicesDropdownFilter),
    ]
    list_select_related = ["merchant", "gateway"]
    search_fields = ["payment_reference"]
    search_help_text = "A payment's id in full (pay_…), or our reference (att_…, rfd_…)"
    fields = [
        "created_at",
        "occurred_on",
        "what",
        "mode",
        "merchant",
        "gateway",
        "about",
        "reference",
        "gateway_reference",
    ]
    readonly_fields = fields

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(partial(new_entry_view, self))
        return [path("new/", view, name="ledger_journalentry_new"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_write = request.user.has_perm(PERMISSION)
        return super().changelist_view(request, {"may_write": may_write, **(extra_context or {})})

    def page_context(self, request: HttpRequest, obj: JournalEntry) -> dict[str, Any]:
        return {**super().page_context(request, obj), "background": background_of(obj)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[JournalEntry]:
        return super().get_queryset(request).prefetch_related(Prefetch("postings", Posting.objects.order_by("id")))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[JournalEntry], search_term: str
    ) -> tuple[QuerySet[JournalEntry], bool]:
        term = search_term.strip()
        if term.startswith("pay_"):
            queryset = queryset.filter(payment_reference=term)
        elif term:
            queryset = queryset.filter(reference=term, kind__in=JournalEntry.Kind.values)
        return queryset, False

    @display(description="accounting day")
    def accounting_day(self, entry: JournalEntry) -> str:
        return f"{entry.occurred_on.day} {entry.occurred_on:%b %Y}"

    @display(description="fact")
    def what(self, entry: JournalEntry) -> str:
        return words(entry.kind)

    @display(description="amount")
    def sum(self, entry: JournalEntry) -> SafeString:
        debits = [posting for posting in entry.postings.all() if posting.amount_minor > 0]
        return amount(Money(sum(posting.amount_minor for posting in debits), debits[0].currency))

    @display(description="payment")
    def about(self, entry: JournalEntry) -> SafeString:
        return link(code(entry.payment_reference), page_of_public_id(entry.payment_reference))


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """Every account of the chart that was ever posted to, with what is on it now."""

    money_columns = ("balance_amount",)
    list_display = ["name", "owner", "balance_amount", "nature", "mode"]
    list_filter = [
        ("kind", ChoicesDropdownFilter),
        ("merchant", RelatedDropdownFilter),
        ("gateway", RelatedDropdownFilter),
        CurrencyFilter,
        ("mode", ChoicesDropdownFilter),
    ]
    list_select_related = ["merchant", "gateway"]
    ordering = ["currency", "kind", "id"]
    fields = ["name", "owner", "meaning", "nature", "mode", "currency", "balance_amount"]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        sums = (
            Posting.objects.filter(account=OuterRef("pk"))
            .order_by()
            .values("account")
            .annotate(sum=Sum("amount_minor"))
        )
        return super().get_queryset(request).annotate(total=Subquery(sums.values("sum")))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(partial(trial_balance_view, self))
        own = [path("trial-balance/", view, name="ledger_trial_balance"), *report_addresses(self)]
        return [*own, *super().get_urls()]

    @display(description="account")
    def name(self, account: Account) -> str:
        return words(account.kind)

    @display(description="whose")
    def owner(self, account: Account) -> SafeString | str:
        owner = account.merchant or account.gateway
        return link(owner, page_of(owner)) if owner else "the platform"

    @display(description="balance")
    def balance_amount(self, account: Any) -> SafeString:
        return amount(Balance(account, Money(int(account.total or 0), account.currency)).amount)

    @display(description="kind")
    def nature(self, account: Account) -> SafeString:
        return badge(account.chart_row.nature)

    @display(description="what it holds")
    def meaning(self, account: Account) -> str:
        return account.chart_row.meaning
