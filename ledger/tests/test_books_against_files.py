"""Whatever we wrote down and whatever a gateway says of it, nothing is consumed twice and all is accounted for."""

from datetime import date, timedelta
from typing import Any

from django.db.models import Count, Max, Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from checkout.kit.actors import Actor
from gateways.models import Gateway
from ledger.models import ClearingItem, Discrepancy, Match, SettlementLine
from ledger.reconciliation.statements import statement
from ledger.services import forget_accounts
from ledger.services.discrepancies import resolve
from ledger.statuses import UNRESOLVED
from ledger.tests.settling import ACTOR, Settling, day, line, payout
from merchants.services import create_merchant

DAYS = 6
NAMES = ["", "a", "b", "c", "d", "e", "f"]  # few, so that names meet
AMOUNTS = [500, 999, 1000, 1001, 1500, 2000]  # a minor unit apart, halves and sums of each other
KINDS = ["charge", "refund"]

item = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "theirs": st.sampled_from(NAMES),
        "gross": st.sampled_from(AMOUNTS),
        "ago": st.integers(1, DAYS),
    }
)
told = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            [*KINDS, "refund_reversed", "chargeback", "fee", "reserve_held", "adjustment", "other"]
        ),
        "theirs": st.sampled_from(NAMES),
        "ours": st.sampled_from(["", *(f"att_{number}" for number in range(6))]),
        "gross": st.sampled_from(AMOUNTS),
        "fee": st.sampled_from([0, 0, 0, 1, 7]),
        "currency": st.sampled_from(["USD", "USD", "USD", "EUR"]),
        "ago": st.integers(1, DAYS),
        "batch": st.sampled_from(["one", "two"]),
    }
)


class BooksAgainstFiles(TestCase):
    """A world of its own for every example."""

    def settling(self) -> Settling:
        forget_accounts()
        gateway = Gateway.objects.create(
            code="acme", name="Acme", adapter="acme", mode="test", data_format="json",
            base_url="http://127.0.0.1:1", currencies=["USD", "EUR"],
        )  # fmt: skip
        merchant = create_merchant(name="Ana's", country="PT", default_currency="USD", actor=Actor.command("test"))
        return Settling(gateway, merchant)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        items=st.lists(item, max_size=9),
        faithful=st.lists(st.integers(0, 8), max_size=9, unique=True),
        lines=st.lists(told, max_size=8),
        late=st.lists(told, max_size=3),
        paid=st.integers(-3, 3),
    )
    def test_everything_is_accounted_for(
        self, items: list[Any], faithful: list[int], lines: list[Any], late: list[Any], paid: int
    ) -> None:
        settling = self.settling()
        for number, about in enumerate(items):
            self.expect(settling, number, about)
        said = [self.said_of(number, items[number]) for number in faithful if number < len(items)]
        said += [self.as_line(about) for about in lines]
        if paid:
            said.append(payout(paid * 500, ago=1, batch="one"))
        self.settle(settling, said)
        self.settle(settling, [self.as_line({**about, "batch": "late"}) for about in late])
        self.age(settling)
        self.explain(settling)

    def settle(self, settling: Settling, said: list[str]) -> None:
        if said:
            settling.settle(*said)
        self.check(settling)
        before = self.everything()
        assert not settling.settle().changed_anything
        assert self.everything() == before

    def age(self, settling: Settling) -> None:
        """A week later what was young is missing, and nothing else has changed."""
        before = Match.objects.count()
        settling.settle(until=day(-7))
        self.check(settling)
        assert Match.objects.count() == before
        assert not Discrepancy.objects.filter(kind="timing", status__in=UNRESOLVED).exists()
        settling.settle()

    def explain(self, settling: Settling) -> None:
        """Whatever is left can be explained away, and then nothing is left."""
        for difference in Discrepancy.objects.filter(status__in=UNRESOLVED):
            resolve(
                discrepancy=difference, resolution="park_in_suspense", reason="", actor=ACTOR, has_second_person=True
            )
        self.check(settling)
        assert not settling.open_lines().exists()
        assert not Discrepancy.objects.filter(status__in=UNRESOLVED).exists()
        assert not settling.settle().changed_anything

    def check(self, settling: Settling) -> None:
        """What must hold at any time."""
        for currency in ("USD", "EUR"):
            assert settling.control(currency) == 0
            for ago in range(DAYS + 1):
                assert statement(gateway=settling.gateway, mode="test", currency=currency, on=day(ago)).ties
        for match in Match.objects.all():
            self.check_match(match)
        told = Discrepancy.objects.filter(status__in=UNRESOLVED)
        assert set(settling.open_lines()) == {row.line for row in told if row.line}
        covered = self.covered()
        open_items = ClearingItem.objects.filter(match=None)
        paired = Q(discrepancies__line__isnull=False, discrepancies__status__in=UNRESOLVED)
        expected = set(open_items.filter(Q(occurred_on__lte=covered) | paired))
        assert expected == {row.item for row in told if row.item}
        assert not told.values("line").annotate(count=Count("pk")).filter(count__gt=1, line__isnull=False).exists()

    def covered(self) -> date:
        """Up to when dollars should have been named: as far as any line in them, or a week less than any at all."""
        told = SettlementLine.objects.exclude(kind="payout")
        last = {
            row["currency"]: row["day"] for row in told.values("currency").annotate(day=Max("occurred_on")).order_by()
        }
        if not last:
            return date.min
        return max(last.get("USD", date.min), max(last.values()) - timedelta(days=7))

    def check_match(self, match: Match) -> None:
        lines, items = list(match.lines.all()), list(match.items.all())
        theirs = sum(row.net_minor for row in lines)
        ours = sum(row.gross_minor - row.fee_minor for row in items)
        assert match.difference_minor == theirs - ours
        assert {row.currency for row in [*lines, *items]} == {match.currency}
        if match.how in ("by_hand", "posted"):
            return
        assert abs(match.difference_minor) <= 1
        assert lines
        assert items
        assert len({row.kind for row in [*lines, *items]}) == 1
        if match.how == "amount_and_date":
            assert abs(lines[0].occurred_on - items[0].occurred_on) <= timedelta(days=2)
            return
        names = {name for row in lines for name in (row.gateway_reference, row.reference) if name}
        assert all({row.gateway_reference, row.reference} & names for row in items)

    def everything(self) -> list[Any]:
        lines = SettlementLine.objects.order_by("pk").values_list("pk", "match")
        items = ClearingItem.objects.order_by("pk").values_list("pk", "match")
        return [*lines, *items, *Discrepancy.objects.order_by("pk").values()]

    def expect(self, settling: Settling, number: int, about: Any) -> None:
        post = settling.given_up if about["kind"] == "charge" else settling.given_back
        post(str(number), about["gross"], ago=about["ago"], theirs=about["theirs"])

    def said_of(self, number: int, about: Any) -> str:
        """What the gateway says of an item if it agrees in everything."""
        sign = 1 if about["kind"] == "charge" else -1
        return line(
            about["kind"], about["theirs"], f"att_{number}", sign * about["gross"], ago=about["ago"], batch="one"
        )

    def as_line(self, about: Any) -> str:
        kind, sign = about["kind"], -1 if about["kind"] in ("refund", "chargeback", "fee", "reserve_held") else 1
        return line(
            kind,
            about["theirs"],
            about["ours"],
            sign * about["gross"],
            0 if kind in ("fee", "reserve_held") else about["fee"],
            currency=about["currency"],
            ago=about["ago"],
            batch=about["batch"],
        )
