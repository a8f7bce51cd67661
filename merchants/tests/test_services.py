"""Are merchants and keys made rightly only, and everything done to them told without a secret?"""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from checkout.kit.actors import Actor
from checkout.kit.models import AuditEntry
from merchants.models import ApiKey, Merchant, Scope, WebhookEvent
from merchants.selectors import api_key_of
from merchants.services import (
    NewKey,
    create_api_key,
    create_merchant,
    revoke_api_key,
    set_merchant_status,
)

ACTOR = Actor.user("ana", "192.0.2.1")
ANA: dict[str, Any] = {"name": "Ana", "country": "PT", "default_currency": "EUR", "actor": ACTOR}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"country": "pt"}, "country"),
        ({"default_currency": "XXX"}, "default_currency"),
        ({"default_currency": "EUR\n"}, "default_currency"),
        ({"fee_bps": -1}, "fee_bps"),
        ({"fee_bps": 10_001}, "fee_bps"),
        ({"fee_fixed_minor": -1}, "fee_fixed_minor"),
        ({"tax_bps": 10_001}, "tax_bps"),
        ({"name": ""}, "name"),
        ({"name": "n" * 121}, "name"),
    ],
)
def test_a_merchant_that_cannot_be_is_refused_and_leaves_no_trace(db: None, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ValidationError) as refused:
        create_merchant(**{**ANA, **fields})

    assert list(refused.value.message_dict) == [param]
    assert not Merchant.objects.exists()
    assert not AuditEntry.objects.filter(object_type="merchant").exists()


def test_taking_on_a_merchant_is_told_with_who_did_it_and_from_where(db: None) -> None:
    merchant = create_merchant(**ANA)

    entry = AuditEntry.objects.get(object_id=merchant.public_id)
    assert (entry.verb, entry.object_id, entry.actor, entry.address) == (
        "merchant.create",
        merchant.public_id,
        "user:ana",
        "192.0.2.1",
    )


def test_suspending_and_letting_work_again_is_told_and_holds_for_remembered_keys(
    merchant: Merchant, api_key: NewKey
) -> None:
    assert api_key_of(api_key.secret).merchant.is_active

    set_merchant_status(merchant=merchant, status="suspended", reason="unpaid", actor=ACTOR)
    assert not api_key_of(api_key.secret).merchant.is_active
    set_merchant_status(merchant=merchant, status="active", reason="paid", actor=ACTOR)
    assert api_key_of(api_key.secret).merchant.is_active

    entries = AuditEntry.objects.filter(verb="merchant.set_status").order_by("id")
    assert [(entry.before["status"], entry.after["status"], entry.reason) for entry in entries] == [
        ("active", "suspended", "unpaid"),
        ("suspended", "active", "paid"),
    ]
    with pytest.raises(ValueError, match="closed"):
        set_merchant_status(merchant=merchant, status="closed", reason="", actor=ACTOR)


def test_the_database_itself_refuses_a_status_or_a_rate_that_is_none(merchant: Merchant) -> None:
    for change in ({"status": "closed"}, {"fee_bps": 10_001}, {"tax_bps": 10_001}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Merchant.objects.filter(pk=merchant.pk).update(**change)


def test_the_secret_is_in_the_answer_and_nowhere_else(merchant: Merchant) -> None:
    new = create_api_key(merchant=merchant, mode="live", name="shop", actor=Actor.command("create_api_key"))

    assert new.secret.startswith("sk_live_")
    assert new.secret.startswith(new.key.prefix)
    assert len(new.secret) - len(new.key.prefix) == 34  # at 62 possibilities each, beyond guessing
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(k)::text FROM merchants_apikey k")
        stored = cursor.fetchone()[0]
    told = repr(list(AuditEntry.objects.values()))
    for text in (stored, told, repr(new), repr(new.key), str(new.key)):
        assert new.secret[20:] not in text
    assert AuditEntry.objects.get(verb="api_key.create").after == {
        "merchant": merchant.public_id,
        "mode": "live",
        "scopes": Scope.values,
        "prefix": new.key.prefix,
    }


def test_no_two_keys_are_alike(merchant: Merchant) -> None:
    keys = [create_api_key(merchant=merchant, mode="test", actor=ACTOR) for _ in range(20)]

    assert len({new.secret for new in keys}) == len({new.key.prefix for new in keys}) == 20


@pytest.mark.parametrize("wrong", [{"mode": "real"}, {"scopes": ["payments:*"]}, {"scopes": []}, {"name": "n" * 81}])
def test_a_key_that_cannot_be_is_refused_and_leaves_no_trace(merchant: Merchant, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        create_api_key(**{"merchant": merchant, "mode": "test", "actor": ACTOR, **wrong})

    assert not ApiKey.objects.exists()
    assert not AuditEntry.objects.filter(verb="api_key.create").exists()


def test_revoking_twice_changes_and_tells_nothing_more(api_key: NewKey) -> None:
    first = revoke_api_key(key=api_key.key, reason="leaked", actor=ACTOR)
    second = revoke_api_key(key=api_key.key, reason="again", actor=ACTOR)

    assert first.revoked_at == second.revoked_at is not None
    assert AuditEntry.objects.get(verb="api_key.revoke").reason == "leaked"


def test_an_event_has_its_own_place_in_the_story_of_its_object(merchant: Merchant) -> None:
    def tell(sequence: int, object_id: str = "pay_1") -> WebhookEvent:
        return WebhookEvent.objects.create(
            merchant_id=merchant.pk, mode="test", type="t", object_id=object_id, sequence=sequence, data={}
        )

    assert tell(1).public_id.startswith("evt_")
    tell(2)
    tell(1, object_id="pay_2")
    with pytest.raises(IntegrityError), transaction.atomic():
        tell(2)
    assert WebhookEvent.objects.count() == 3
