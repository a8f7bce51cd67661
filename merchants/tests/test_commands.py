"""Can a person with a terminal take on a merchant, and give it a key and take it away again?"""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from checkout.kit.models import AuditEntry
from merchants.errors import KeyRefused
from merchants.models import ApiKey, Merchant
from merchants.selectors import api_key_of
from merchants.services import NewKey


@pytest.fixture
def manage(db: None) -> Callable[..., str]:
    """`manage("create_merchant", …)`: what the command printed, and after a form feed what it said beside."""

    def manage(*words: str) -> str:
        out, aside = StringIO(), StringIO()
        call_command(*words, stdout=out, stderr=aside, no_color=True)
        return out.getvalue() + ("\f" + aside.getvalue() if aside.getvalue() else "")

    return manage


def test_a_merchant_is_taken_on_and_its_id_printed(manage: Callable[..., str]) -> None:
    printed = manage("create_merchant", "Ana's Books", "PT", "EUR", "--fee-bps=320", "--fee-fixed=30", "--tax-bps=2300")

    merchant = Merchant.objects.get()
    assert printed == f"{merchant.public_id}\n"
    assert (merchant.name, merchant.country, merchant.default_currency) == ("Ana's Books", "PT", "EUR")
    assert (merchant.fee_bps, merchant.fee_fixed_minor, merchant.tax_bps) == (320, 30, 2300)
    assert AuditEntry.objects.get(object_id=merchant.public_id).actor == "command:create_merchant"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("Ana", "Portugal", "EUR"), "country: "),
        (("Ana", "PT", "XXX"), "default_currency: "),
        (("Ana", "PT", "EUR", "--fee-bps=10001"), "fee_bps: "),
        (("", "PT", "EUR"), "name: "),
    ],
)
def test_a_merchant_that_cannot_be_is_refused_in_words(
    manage: Callable[..., str], words: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(CommandError, match=f"Nothing was done.\n{complaint}"):
        manage("create_merchant", *words)

    assert not Merchant.objects.exists()
    assert not AuditEntry.objects.exclude(verb="role.set").exists()


def test_a_key_opens_the_api_and_its_secret_is_told_once(manage: Callable[..., str], merchant: Merchant) -> None:
    secret, sentence = manage("create_api_key", merchant.public_id).split("\f")

    key = api_key_of(secret.strip())
    assert (key.merchant, key.mode, len(key.scopes)) == (merchant, "test", 4)
    assert "only time that the secret is shown" in sentence
    assert secret.strip() not in manage("list_merchants")


def test_a_key_may_be_for_one_thing_and_for_a_while(manage: Callable[..., str], merchant: Merchant) -> None:
    manage(
        *("create_api_key", merchant.public_id, "--mode=live", "--name=reports"),
        *("--scope=payments:read", "--scope=refunds:read", "--expires=2099-01-31T12:00:00+02:00"),
    )

    key = ApiKey.objects.get()
    assert (key.mode, key.name, key.scopes) == ("live", "reports", ["payments:read", "refunds:read"])
    assert str(key.expires_at) == "2099-01-31 10:00:00+00:00"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("mer_0000000000000000000000",), "no merchant with this id"),
        (("{merchant}", "--expires=2001-01-01"), "must lie ahead"),
        (("{merchant}", "--expires=soon"), "must be a date"),
        (("{merchant}", "--mode=real"), "invalid choice"),
        (("{merchant}", "--scope=payments:*"), "invalid choice"),
        (("{merchant}", "--name=" + "n" * 81), "name: "),
    ],
)
def test_a_key_that_cannot_be_is_refused_in_words(
    manage: Callable[..., str], merchant: Merchant, words: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint):
        manage("create_api_key", *(word.format(merchant=merchant.public_id) for word in words))

    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("name", ["prefix", "public_id", "str"])
def test_a_revoked_key_opens_nothing(manage: Callable[..., str], api_key: NewKey, name: str) -> None:
    api_key_of(api_key.secret)

    word = str(api_key.key) if name == "str" else getattr(api_key.key, name)
    assert manage("revoke_api_key", word, "--reason=leaked") == f"{api_key.key.prefix}… of Ana's Books is revoked.\n"

    with pytest.raises(KeyRefused) as refused:
        api_key_of(api_key.secret)
    assert refused.value.code == "key_revoked"
    entry = AuditEntry.objects.get(verb="api_key.revoke")
    assert (entry.reason, entry.actor) == ("leaked", "command:revoke_api_key")


def test_what_is_no_key_cannot_be_revoked_and_is_not_repeated(manage: Callable[..., str], api_key: NewKey) -> None:
    with pytest.raises(CommandError) as refused:
        manage("revoke_api_key", api_key.secret, "--reason=leaked")

    assert "no API key with this prefix" in str(refused.value)
    assert api_key.secret not in str(refused.value)
    assert api_key_of(api_key.secret)


@pytest.mark.parametrize(
    ("times", "words", "complaint"),
    [(2, ("--reason=again",), "revoked already"), (1, ("--reason= ",), "must say why"), (1, (), "required: --reason")],
)
def test_a_pointless_revocation_is_refused(
    manage: Callable[..., str], api_key: NewKey, times: int, words: tuple[str, ...], complaint: str
) -> None:
    for _ in range(times - 1):
        manage("revoke_api_key", api_key.key.prefix, *words)
    before = AuditEntry.objects.count()

    with pytest.raises(CommandError, match=complaint):
        manage("revoke_api_key", api_key.key.prefix, *words)

    assert AuditEntry.objects.count() == before


def test_the_list_shows_who_there_is_and_the_state_of_every_key(
    manage: Callable[..., str], merchant: Merchant, django_assert_num_queries: Any
) -> None:
    manage("create_api_key", merchant.public_id, "--name=old", "--expires=2099-01-31")
    manage("create_api_key", merchant.public_id, "--name=new", "--scope=refunds:read")
    manage("create_merchant", "Bo's Bikes", "DK", "DKK")
    old = ApiKey.objects.get(name="old")
    manage("revoke_api_key", ApiKey.objects.get(name="new").prefix, "--reason=unused")

    with django_assert_num_queries(2):
        printed = manage("list_merchants")

    ana, new, kept, bo = printed.splitlines()
    assert ana.startswith(f"{merchant.public_id}  DE  EUR  active")
    assert ana.endswith("fee 320 bps + 30, tax 2000 bps  Ana's Books")
    assert "revoked 2" in new
    assert new.endswith("refunds:read  new")
    assert kept.split() == [f"{old.prefix}…", "expires", "2099-01-31", "never", "used", *old.scopes, "old"]
    assert bo.endswith("Bo's Bikes")


def test_an_empty_list_says_what_to_do(manage: Callable[..., str]) -> None:
    assert "create_merchant" in manage("list_merchants")
