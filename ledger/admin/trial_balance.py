"""Do debits and credits tie? The trial balance of now, by currency and kind of account."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from checkout.kit.admin import DeskAdmin
from checkout.kit.display import list_of
from checkout.kit.modes import Mode
from checkout.kit.money import Money
from ledger import selectors
from ledger.chart import CHART, AccountKind
from ledger.models import Account
from ledger.selectors import Balance


def trial_balance_view(page: DeskAdmin, request: HttpRequest) -> HttpResponse:
    """Debits and credits of every kind of account, per currency, in one mode; they must tie."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    asked = request.GET.get("mode", "")
    in_use = sorted(set(Account.objects.values_list("mode", flat=True).distinct()), reverse=True)
    mode = asked if asked in Mode.values else Mode.LIVE if Mode.LIVE in in_use else Mode.TEST
    context = {
        **page.admin_site.each_context(request),
        "title": "Trial balance",
        "mode": mode,
        "modes": in_use,
        "sheets": sheets(selectors.trial_balance(mode=mode), mode),
    }
    return TemplateResponse(request, "admin/desk/trial_balance.html", context)


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
