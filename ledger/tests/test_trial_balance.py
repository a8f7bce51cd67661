"""Can the books be read in a terminal, and does it say so when they are wrong?"""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from checkout.kit.money import Money
from ledger import selectors
from ledger.selectors import Balance


def printed(*words: str) -> list[list[str]]:
    out = StringIO()
    call_command("trial_balance", *words, stdout=out)
    return [line.split() for line in out.getvalue().splitlines()]


def test_accounts_are_shown_with_their_owner_on_their_side_and_the_sums_are_equal(
    sold: Callable[..., None], django_assert_num_queries: Any
) -> None:
    sold(100_00)
    sold(20_50, reference="att_2")

    with django_assert_num_queries(3):
        lines = printed("USD", "--mode=test")

    assert lines == [
        ["account", "of", "debit", "credit"],
        ["gateway_receivable", "Acme", "120.50"],
        ["merchant_available", "Ana's", "120.50"],
        ["sum", "in", "USD", "120.50", "120.50"],
    ]


def test_another_mode_or_currency_is_another_book(sold: Callable[..., None]) -> None:
    sold(100_00)

    assert printed("USD")[1:] == [["sum", "in", "USD", "0.00", "0.00"]]
    assert printed("JPY", "--mode=test")[1:] == [["sum", "in", "JPY", "0", "0"]]


def test_books_that_do_not_balance_are_an_error(sold: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    sold(100_00)
    (first, *_) = selectors.trial_balance(mode="test", currency="USD")
    wrong = [Balance(first.account, Money(1, "USD"))]
    monkeypatch.setattr(selectors, "trial_balance", lambda **words: wrong)

    with pytest.raises(CommandError, match="debits exceed credits by 0.01 USD"):
        printed("USD", "--mode=test")
