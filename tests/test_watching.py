"""Does the audit tell of every change, whoever made it and however? Asked of statements that come past the platform."""

import random
import uuid
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.http import HttpRequest

from checkout.kit import audit, clock, ids
from checkout.kit.access.models import Authenticator, RecoveryCode
from checkout.kit.acting import acting
from checkout.kit.actors import Actor
from checkout.kit.fields import EncryptedTextField
from checkout.kit.models import Approval, AuditEntry, User
from checkout.kit.watched import WATCHED
from checkout.kit.watching import watch
from gateways.models import Gateway, GatewayMaintenance, PendingCredentials
from gateways.services import set_gateway_status
from ledger.models import ClosedDay, Discrepancy, ReportSubscription
from merchants.models import ApiKey, Merchant, WebhookEndpoint
from merchants.services import revoke_api_key
from payments.models import Payment, Refund
from payments.services import refund_payment
from tests.desk import at_desk

pytestmark = pytest.mark.django_db(transaction=True)

SECRETS = ("a-hash-of-a-password", "sk_gateway_never_shown", "whsec_never_shown", "JBSWY3DPEHPK3PXP", "hash-of-a-code")

# By table: what somebody does to it past the platform, and what must be told of it.
CHANGES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "payments.Payment": ("UPDATE {} SET captured_minor = 1", {"captured_minor": 50_00}, {"captured_minor": 1}),
    "payments.Refund": ("UPDATE {} SET amount_minor = 1", {"amount_minor": 5_00}, {"amount_minor": 1}),
    "ledger.Discrepancy": ("UPDATE {} SET resolution = 'write_off'", {"resolution": ""}, {"resolution": "write_off"}),
    "ledger.ClosedDay": ("UPDATE {} SET closing_minor = 1", {"closing_minor": 0}, {"closing_minor": 1}),
    "ledger.ReportSubscription": ("UPDATE {} SET hour = 7", {"hour": 6}, {"hour": 7}),
    "ledger.ReportSubscription_recipients": ("DELETE FROM {}", {"user_id": "user:ana"}, {}),
    "gateways.Gateway": ("UPDATE {} SET fee_bps = 1", {"fee_bps": 290}, {"fee_bps": 1}),
    "gateways.GatewayMaintenance": ("UPDATE {} SET reason = 'no'", {"reason": "an upgrade"}, {"reason": "no"}),
    "gateways.PendingCredentials": ("UPDATE {} SET values = 'x'", {}, {"values": "(changed)"}),
    "gateways.Region": ("UPDATE {} SET name = 'Elsewhere'", {"name": "Europe"}, {"name": "Elsewhere"}),
    "gateways.RegionGateway": ("UPDATE {} SET priority = 9", {"priority": 1}, {"priority": 9}),
    "merchants.Merchant": ("UPDATE {} SET fee_bps = 0", {"fee_bps": 320}, {"fee_bps": 0}),
    "merchants.ApiKey": ("UPDATE {} SET hash = 'theirs'", {}, {"hash": "(changed)"}),
    "merchants.WebhookEndpoint": ("UPDATE {} SET secret = 'x'", {}, {"secret": "(changed)"}),
    "kit.Approval": ("UPDATE {} SET status = 'approved'", {"status": "requested"}, {"status": "approved"}),
    "kit.User": (
        "UPDATE {} SET is_superuser = true, password = 'x'",
        {"is_superuser": False},
        {"is_superuser": True, "password": "(changed)"},
    ),
    "kit.User_groups": ("DELETE FROM {}", {"group_id": "Finance"}, {}),
    "kit.User_user_permissions": ("DELETE FROM {}", {"permission_id": "view_payment"}, {}),
    "access.Authenticator": ("UPDATE {} SET secret = 'x'", {}, {"secret": "(changed)"}),
    "access.RecoveryCode": ("UPDATE {} SET hash = 'x'", {}, {"hash": "(changed)"}),
    "auth.Group": ("UPDATE {} SET name = 'Kings'", {"name": "Knights"}, {"name": "Kings"}),
    "auth.Group_permissions": ("DELETE FROM {}", {"permission_id": "view_payment"}, {}),
}
ONE = " WHERE id = (SELECT id FROM {} {})"
WHICH = {
    "gateways.Gateway": "WHERE code = 'north'",
    "gateways.Region": "WHERE name = 'Europe'",
    "gateways.RegionGateway": "ORDER BY id LIMIT 1",
    "auth.Group": "WHERE name = 'Knights'",
    "auth.Group_permissions": "ORDER BY id DESC LIMIT 1",
}


@pytest.fixture
def everything(captured_payment: Any, api_key: Any, operator: Actor, actor: Actor, eur: Any, mfa: None) -> None:
    """One row at least of everything that is watched, none of which may be told of as made past the platform."""
    payment = captured_payment(eur(50_00))
    refund_payment(payment=payment, amount=eur(5_00), reason="one came back", actor=operator)
    about = {"gateway": Gateway.objects.get(code="north"), "mode": "test", "currency": "EUR", "on": "2026-11-20"}
    figures = ("opening_minor", "movement_minor", "matched_minor", "closing_minor", "file_minor", "exceptions_minor")
    now = clock.now()
    ClosedDay.objects.create(**about, closed_by="user:frank", **dict.fromkeys(figures, 0))
    Discrepancy.objects.create(**about, kind="fee_differs", difference_minor=5, found_at=now)
    WebhookEndpoint.objects.create(merchant=payment.merchant, mode="test", url="https://a.test", secret=SECRETS[2])
    subscription = ReportSubscription.objects.create(report="revenue", period="yesterday", format="csv", mode="test")
    GatewayMaintenance.objects.create(
        gateway=about["gateway"],
        starts_at=now,
        ends_at=clock.seconds_from_now(60),
        reason="an upgrade",
        planned_by="user:frank",
    )
    ana = User.objects.get(username="ana")
    subscription.recipients.add(ana)
    approval = Approval.objects.create(
        kind="a", object_id="b", payload={}, payload_hash="c", reason="d", maker=ana, expires_at=now
    )
    PendingCredentials.objects.create(approval=approval, values=SECRETS[1])
    Gateway.objects.update(credentials=SECRETS[1])


@pytest.fixture
def mfa(db: None) -> None:
    """Ana, with a password, a second factor, a role and a permission of her own."""
    ana = User.objects.create(username="ana", password=SECRETS[0])
    permission = Group.objects.get(name="Finance").permissions.get(codename="view_payment")
    knights = Group.objects.create(name="Knights")
    knights.permissions.add(permission)
    ana.user_permissions.add(permission)
    ana.groups.add(Group.objects.get(name="Finance"))
    app = Authenticator.objects.create(user=ana, secret=SECRETS[3])
    RecoveryCode.objects.create(authenticator=app, hash=SECRETS[4])


@pytest.fixture
def stranger() -> Iterator[psycopg.Connection[Any]]:
    """Somebody with a connection to the database, and nothing else of ours."""
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    where = {name: connection.settings_dict[ours] for name, ours in names.items()}
    with psycopg.connect(**where, autocommit=True) as database:
        yield database


def table_of(label: str) -> str:
    return apps.get_model(label)._meta.db_table


def told() -> list[AuditEntry]:
    """What the database told by itself, the oldest first."""
    return list(AuditEntry.objects.filter(told_by_database=True).order_by("at"))


def test_every_watched_table_is_tried_here() -> None:
    assert CHANGES.keys() == {table.model for table in WATCHED}


def test_every_encrypted_or_hashed_column_of_a_watched_table_is_hidden() -> None:
    for watched in WATCHED:
        for field in apps.get_model(watched.model)._meta.concrete_fields:
            if isinstance(field, EncryptedTextField) or field.name in ("password", "hash"):
                sql = watched.sql(apps.get_model(watched.model), "public")
                assert field.column in sql.split("'{")[-1], (watched.model, field.name)


def test_a_change_past_the_platform_is_told_with_what_was_and_what_is(
    everything: None, stranger: psycopg.Connection[Any]
) -> None:
    for label, (statement, before, after) in CHANGES.items():
        table = table_of(label)
        known = {entry.pk for entry in told()}
        stranger.execute(statement.format(table) + ONE.format(table, WHICH.get(label, "LIMIT 1")))

        (entry,) = [entry for entry in told() if entry.pk not in known]
        what = "delete" if statement.startswith("DELETE") else "update"
        assert (entry.verb, entry.before, entry.after) == (f"{table}.{what}", before, after)
        assert entry.actor == f"database:{connection.settings_dict['USER']}"
        assert entry.address == "127.0.0.1"
        assert entry.object_id
    everything_told = str(list(AuditEntry.objects.values_list("before", "after")))
    assert [secret for secret in SECRETS if secret in everything_told] == []


def test_a_row_that_appears_or_disappears_is_told_of(mfa: None, stranger: psycopg.Connection[Any]) -> None:
    stranger.execute(
        "INSERT INTO merchants_merchant SELECT gen_random_uuid(), 'Eve', 'DE', 'EUR', 'active', 0, 0, 0, now()"
    )
    eve = Merchant.objects.get(name="Eve")
    stranger.execute("DELETE FROM merchants_merchant")

    came, went = told()[-2:]
    assert (came.object_id, came.before, came.after["name"]) == (eve.public_id, {}, "Eve")
    assert (went.object_id, went.before["name"], went.after) == (eve.public_id, "Eve", {})
    assert (came.verb, went.verb) == ("merchants_merchant.insert", "merchants_merchant.delete")


def test_what_goes_away_with_its_owner_is_told_of_with_it(mfa: None, stranger: psycopg.Connection[Any]) -> None:
    known = len(told())
    with stranger.transaction():
        stranger.execute("DELETE FROM access_recoverycode; DELETE FROM access_authenticator")

    (entry,) = told()[known:]
    assert (entry.verb, entry.object_id) == ("access_authenticator.delete", "user:ana")


def test_a_second_factor_that_nobody_confirmed_is_none(mfa: None) -> None:
    known = len(told())
    app = Authenticator.objects.create(user=User.objects.get(username="ana"), confirmed=False)
    app.delete()
    assert len(told()) == known
    Authenticator.objects.update(confirmed=False)
    assert told()[-1].before == {"confirmed": True}


def test_two_changes_of_one_row_in_one_transaction_are_both_told(
    merchant: Merchant, stranger: psycopg.Connection[Any]
) -> None:
    with stranger.transaction():
        stranger.execute("UPDATE merchants_merchant SET fee_bps = 1")
        stranger.execute("UPDATE merchants_merchant SET fee_bps = 2")

    assert [(entry.before["fee_bps"], entry.after["fee_bps"]) for entry in told()] == [(320, 1), (1, 2)]


def test_nobody_hides_behind_a_table_of_the_same_name(merchant: Merchant, stranger: psycopg.Connection[Any]) -> None:
    stranger.execute("CREATE TEMPORARY TABLE kit_auditentry (LIKE kit_auditentry INCLUDING DEFAULTS)")
    with stranger.transaction():
        stranger.execute("UPDATE merchants_merchant SET fee_bps = 1")
        stranger.execute(
            "INSERT INTO pg_temp.kit_auditentry SELECT (jsonb_populate_record(NULL::pg_temp.kit_auditentry,"
            " to_jsonb(entry) || '{\"told_by_database\": false}')).* FROM public.kit_auditentry AS entry"
        )

    assert [entry.verb for entry in told()] == ["merchants_merchant.update"]


def test_what_the_platform_accounts_for_is_told_once(
    captured_payment: Callable[..., Payment], carry_out: Any, api_key: Any, operator: Actor, eur: Any
) -> None:
    payment = captured_payment(eur(50_00))
    refund_payment(payment=payment, amount=eur(5_00), reason="one came back", actor=operator)
    carry_out()
    revoke_api_key(key=api_key.key, reason="leaked", actor=operator)
    set_gateway_status(gateway=payment.gateway, status="disabled", reason="too slow", actor=operator)

    assert told() == []
    assert Payment.objects.get().refunded_minor == 5_00
    assert AuditEntry.objects.filter(object_id=payment.public_id, verb="payment.capture").count() == 1
    assert (Payment.objects.count(), Refund.objects.count(), ApiKey.objects.count()) == (1, 1, 1)


def test_a_refund_accounts_for_its_own_payment_and_for_no_other(
    captured_payment: Callable[..., Payment], operator: Actor, eur: Any
) -> None:
    payment, other = captured_payment(eur(50_00)), captured_payment(eur(50_00))
    refund_payment(payment=payment, amount=eur(5_00), reason="one came back", actor=operator)
    with transaction.atomic():
        audit.record(actor=operator, verb="refund.succeed", obj=Refund.objects.get())
        Payment.objects.filter(pk__in=[payment.pk, other.pk]).update(refunded_minor=5_00)
        Payment.objects.filter(pk=payment.pk).update(capture_mode="manual")

    assert {entry.object_id: entry.after for entry in told()} == {
        other.public_id: {"refunded_minor": 5_00},
        payment.public_id: {"capture_mode": "manual"},
    }


def test_the_platforms_own_notes_are_no_changes(
    merchant: Merchant, api_key: Any, gateways: Any, mfa: None, stranger: psycopg.Connection[Any]
) -> None:
    known = len(told())
    stranger.execute("UPDATE merchants_apikey SET last_used_at = now()")
    stranger.execute("UPDATE gateways_gateway SET failure_count = 2, last_checked_at = now()")
    stranger.execute("UPDATE kit_user SET last_login = now()")
    stranger.execute("UPDATE access_authenticator SET last_step = 5, throttling_failure_count = 1")
    stranger.execute("UPDATE merchants_merchant SET fee_bps = fee_bps")

    assert len(told()) == known


def test_what_was_rolled_back_was_never_told(merchant: Merchant, stranger: psycopg.Connection[Any]) -> None:
    with stranger.transaction(force_rollback=True):
        stranger.execute("UPDATE merchants_merchant SET fee_bps = 1")
    with acting(Actor.user("ana")):
        Merchant.objects.update(fee_bps=1)
        transaction.set_rollback(True)

    assert told() == []


def test_whoever_acts_is_named_for_one_transaction(merchant: Merchant) -> None:
    with acting(Actor.user("ana", "192.0.2.9")):
        Merchant.objects.update(fee_bps=1)
    Merchant.objects.update(fee_bps=2)

    first, second = told()
    assert (first.actor, first.address) == ("user:ana", "192.0.2.9")
    assert second.actor.startswith("database:")


def test_what_a_page_of_the_desk_does_not_account_for_is_told_with_the_person(merchant: Merchant) -> None:
    browser = at_desk()
    person = User.objects.get(username="a administrator")
    name = "a page that forgot"

    page = admin.site._registry[Merchant]
    rows = type(page).get_queryset

    def forgetful(self: Any, request: HttpRequest) -> Any:
        with transaction.atomic():
            Merchant.objects.exclude(name=name).update(name=name)
        return rows(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(page), "get_queryset", forgetful)
        assert browser.get("/admin/merchants/merchant/").status_code == 200

    (entry,) = updates = [entry for entry in told() if entry.verb == "merchants_merchant.update"]
    assert (entry.actor, entry.address, entry.after) == (f"user:{person.username}", "127.0.0.1", {"name": name})
    Merchant.objects.update(name="somebody else")
    (other,) = [entry for entry in told() if entry.verb == "merchants_merchant.update" and entry not in updates]
    assert other.actor.startswith("database:")


def test_the_database_knows_the_same_names_as_we_do() -> None:
    keys = [uuid.UUID(int=random.getrandbits(128)) for _ in range(500)] + [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT array(SELECT public_id('pay', key) FROM unnest(%s) AS key)", [keys])
        (names,) = cursor.fetchone()
    assert names == [ids.public_id("pay", key) for key in keys]


def test_what_is_attached_is_left_alone_and_what_is_missing_is_attached_again(merchant: Merchant) -> None:
    triggers = "SELECT array_agg(oid ORDER BY oid) FROM pg_trigger WHERE tgname = 'accounted_for'"
    with connection.cursor() as cursor:
        cursor.execute(triggers)
        (attached,) = cursor.fetchone()
        watch(WATCHED)
        cursor.execute(triggers)
        assert cursor.fetchone() == (attached,)
        cursor.execute("DROP TRIGGER accounted_for ON merchants_merchant")
    Merchant.objects.update(fee_bps=1)
    assert told() == []
    watch(WATCHED)
    Merchant.objects.update(fee_bps=2)
    assert [entry.after for entry in told()] == [{"fee_bps": 2}]


def test_an_entry_bears_the_number_of_its_own_transaction(merchant: Merchant, actor: Actor) -> None:
    entry = audit.record(actor=actor, verb="a.b", obj=merchant)
    assert isinstance(entry.transaction_id, int)
    with pytest.raises(IntegrityError, match="bears the number of its transaction"), transaction.atomic():
        AuditEntry.objects.create(
            actor="user:eve", verb="a", object_type="b", object_id="c", transaction_id=entry.transaction_id
        )


def test_after_a_backup_was_restored_into_a_new_cluster_numbers_go_on(merchant: Merchant, actor: Actor) -> None:
    """There PostgreSQL counts its transactions from the beginning, here it is as if it did."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        AuditEntry.objects.create(actor="x", verb="a", object_type="b", object_id="c", transaction_id=10**15)
    assert audit.record(actor=actor, verb="early", obj=merchant).transaction_id < 10**15
    try:
        watch(WATCHED)
        assert audit.record(actor=actor, verb="late", obj=merchant).transaction_id > 10**15
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER in_the_present ON kit_auditentry")
            cursor.execute(_AS_IT_WAS)


_AS_IT_WAS = """
CREATE OR REPLACE FUNCTION audit_offset() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 0::bigint';
CREATE TRIGGER in_the_present BEFORE INSERT ON kit_auditentry FOR EACH ROW
    WHEN (NEW.transaction_id <> audit_transaction()) EXECUTE FUNCTION audit_is_written_in_the_present();
"""


def test_without_the_audit_nothing_is_changed(merchant: Merchant) -> None:
    """What cannot be told of is not done."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER FUNCTION audit_tell(text, text, text, jsonb, jsonb, text[]) RENAME TO audit_tell_gone")
    try:
        with pytest.raises(DatabaseError):
            Merchant.objects.update(fee_bps=1)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER FUNCTION audit_tell_gone RENAME TO audit_tell")
    assert Merchant.objects.get().fee_bps == 320


def test_numbers_that_were_raised_before_they_had_a_place_of_their_own_stay_raised() -> None:
    """An installation into whose cluster a backup was restored is upgraded, and goes back."""
    (numbers,) = import_module(
        "checkout.kit.migrations.0009_what_is_added_to_the_numbers_stands_alone"
    ).Migration.operations
    editor = connection.schema_editor(atomic=False)
    with transaction.atomic(), connection.cursor() as cursor:
        numbers.database_backwards("kit", editor, None, None)
        cursor.execute(
            "CREATE OR REPLACE FUNCTION audit_transaction() RETURNS bigint LANGUAGE sql STABLE AS"
            " 'SELECT pg_current_xact_id()::text::bigint + 41'"
        )
        numbers.database_forwards("kit", editor, None, None)
        cursor.execute("SELECT audit_offset(), audit_transaction() - pg_current_xact_id()::text::bigint")
        assert cursor.fetchone() == (41, 41)
        numbers.database_backwards("kit", editor, None, None)
        cursor.execute("SELECT audit_transaction() - pg_current_xact_id()::text::bigint, to_regproc('audit_offset')")
        assert cursor.fetchone() == (41, None)
        transaction.set_rollback(True)
