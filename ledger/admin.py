"""How does an operator see the books? Entries with their postings, accounts with their balances, the trial balance."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Prefetch, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from checkout.kit.admin import ReadOnlyAdmin
from checkout.kit.display import amount, badge, code, link, list_of, page_of, page_of_public_id, words
from checkout.kit.modes import Mode
from checkout.kit.money import Money
from ledger import selectors
from ledger.chart import CHART, AccountKind
from ledger.models import Account, JournalEntry, Posting
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


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    """The journal: every fact about money, once."""

    inlines = [PostingInline]
    list_display = ["created_at", "what", "sum", "merchant", "gateway", "about", "mode"]
    list_filter = [("kind", ChoicesDropdownFilter), ("mode", ChoicesDropdownFilter)]
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


class CurrencyFilter(DropdownFilter):
    """By currency, of those that have accounts."""

    title = "currency"
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(c, c) for c in Account.objects.order_by("currency").values_list("currency", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Account]) -> QuerySet[Account]:
        return queryset.filter(currency=self.value()) if self.value() else queryset


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """Every account of the chart that was ever posted to, with what is on it now."""

    list_display = ["name", "owner", "balance_amount", "nature", "mode"]
    list_filter = [("kind", ChoicesDropdownFilter), ("mode", ChoicesDropdownFilter), CurrencyFilter]
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
        view = self.admin_site.admin_view(self.trial_balance_view)
        return [path("trial-balance/", view, name="ledger_trial_balance"), *super().get_urls()]

    def trial_balance_view(self, request: HttpRequest) -> HttpResponse:
        """Debits and credits of every kind of account, per currency, in one mode; they must tie."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = request.GET.get("mode", "")
        in_use = sorted(set(Account.objects.values_list("mode", flat=True).distinct()), reverse=True)
        mode = asked if asked in Mode.values else Mode.LIVE if Mode.LIVE in in_use else Mode.TEST
        context = {
            **self.admin_site.each_context(request),
            "title": "Trial balance",
            "mode": mode,
            "modes": in_use,
            "sheets": sheets(selectors.trial_balance(mode=mode), mode),
        }
        return TemplateResponse(request, "admin/desk/trial_balance.html", context)

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


@dataclass(frozen=True)
class Line:
    """One kind of account on the trial balance: the sums of its accounts that stand on either side."""

    kind: str
    meaning: str
    nature: str
    debit: Money
    credit: Money
    address: str


@dataclass(frozen=True)
class Sheet:
    """The trial balance of one currency."""

    currency: str
    lines: list[Line]
    debit: Money
    credit: Money

    @property
    def is_balanced(self) -> bool:
        """Whether debits and credits tie."""
        return self.debit == self.credit


def sheets(balances: Iterable[Balance], mode: str) -> list[Sheet]:
    """Balances by currency and kind of account, in the order of the chart."""
    by_currency: dict[str, dict[str, list[Balance]]] = {}
    for balance in balances:
        by_currency.setdefault(balance.account.currency, {}).setdefault(balance.account.kind, []).append(balance)
    return [
        Sheet(
            currency=currency,
            lines=[_line(kind, rows, currency, mode) for kind, rows in kinds.items()],
            debit=_total((row.debit for rows in kinds.values() for row in rows), currency),
            credit=_total((row.credit for rows in kinds.values() for row in rows), currency),
        )
        for currency, kinds in by_currency.items()
    ]


def _line(kind: str, rows: list[Balance], currency: str, mode: str) -> Line:
    row = CHART[AccountKind(kind)]
    return Line(
        kind=kind,
        meaning=row.meaning,
        nature=row.nature,
        debit=_total((balance.debit for balance in rows), currency),
        credit=_total((balance.credit for balance in rows), currency),
        address=list_of(Account, f"kind__exact={kind}&currency={currency}&mode__exact={mode}"),
    )


def _total(amounts: Iterable[Money], currency: str) -> Money:
    return sum(amounts, Money(0, currency))


def account_name(account: Account) -> str:
    """An account in plain words, with whose it is."""
    owner = account.merchant or account.gateway
    return f"{words(account.kind)} · {owner}" if owner else words(account.kind)
