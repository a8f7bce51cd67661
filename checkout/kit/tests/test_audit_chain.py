"""Whatever is changed in the audit behind its back is found, and named."""

import json
import threading
from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from checkout.kit import audit_chain, clock
from checkout.kit.audit_chain import seal_audit, verify_audit
from checkout.kit.models import Alert, AuditEntry, AuditSeal
from checkout.kit.tasks import verify_audit as verify_audit_task
from checkout.settings import policy

pytestmark = pytest.mark.django_db(transaction=True)

CHANGE = "UPDATE kit_auditentry SET {} WHERE verb = 'deed.3'"
REMOVE = "DELETE FROM kit_auditentry WHERE verb = 'deed.3'"
SLIP_IN = """
INSERT INTO kit_auditentry SELECT (jsonb_populate_record(
    NULL::kit_auditentry, to_jsonb(entry) || jsonb_build_object('id', gen_random_uuid())
)).* FROM kit_auditentry AS entry WHERE verb = 'deed.3'
"""
CHANGE_SEAL = "UPDATE kit_auditseal SET {} WHERE number = 2"


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine entries in three seals, and one that is too young for one."""
    monkeypatch.setattr(policy, "AUDIT_SEAL_ENTRIES", 3)
    tamper("TRUNCATE kit_auditentry")
    for number in range(9):
        tell(f"deed.{number}")
    seal_audit()
    tell("deed.9")


def tell(verb: str) -> AuditEntry:
    return AuditEntry.objects.create(
        actor="user:ana", verb=verb, object_type="door", object_id="door_1", before={"open": False}, after={"x": "ü"}
    )


def tamper(statement: str, *values: Any) -> None:
    """As whoever rules the database, with triggers looking away."""
    with transaction.atomic(), connection.cursor() as cursor:
        if statement.startswith("TRUNCATE"):
            cursor.execute("ALTER TABLE kit_auditentry DISABLE TRIGGER append_only")
            cursor.execute(statement)
            cursor.execute("ALTER TABLE kit_auditentry ENABLE TRIGGER append_only")
            return
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, values)


def told(*options: str) -> tuple[int, str]:
    """The command's exit code, and what it said."""
    out = StringIO()
    try:
        call_command("verify_audit", *options, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_an_untouched_audit_is_green(sealed: None) -> None:
    verdict = verify_audit()
    assert (verdict.is_green, verdict.seals, verdict.entries, verdict.waiting) == (True, 3, 9, 1)
    assert verdict.samples == []


def test_each_seal_continues_the_one_before(sealed: None) -> None:
    first, second, third = AuditSeal.objects.order_by("number")
    assert [seal.number for seal in (first, second, third)] == [1, 2, 3]
    assert (first.begins_at, second.begins_at, third.begins_at) == (
        audit_chain.BEGINNING,
        first.ends_at,
        second.ends_at,
    )
    assert [seal.entry_count for seal in (first, second, third)] == [3, 3, 3]


def test_what_is_sealed_is_not_sealed_again(sealed: None) -> None:
    (new,) = seal_audit()
    assert new.entry_count == 1
    assert seal_audit() == []
    assert verify_audit().is_green


def test_entries_of_one_transaction_are_never_divided(sealed: None) -> None:
    with transaction.atomic():
        for number in range(7):
            tell(f"together.{number}")
    (both,) = seal_audit()
    assert both.entry_count == 8
    assert verify_audit().is_green


def test_nothing_can_join_what_was_sealed_however_long_its_transaction_takes(
    sealed: None, django_db_blocker: Any
) -> None:
    """A transaction that began before others ends after them: its entry waits for a later seal, with all after it."""
    written, may_end = threading.Event(), threading.Event()

    def slow() -> None:
        with django_db_blocker.unblock():
            with transaction.atomic():
                tell("slow")
                written.set()
                assert may_end.wait(30)
            connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    assert written.wait(30)
    tell("quick")
    (until_then,) = seal_audit()
    may_end.set()
    thread.join()
    (rest,) = seal_audit()

    assert (until_then.entry_count, rest.entry_count) == (1, 2)  # deed.9; then the slow one and the quick one
    assert verify_audit().is_green


def test_what_goes_on_in_another_database_delays_nothing(sealed: None) -> None:
    told = connection.get_connection_params()
    about = {name: told[name] for name in ("host", "port", "user", "password") if name in told}
    with psycopg.connect(**about, dbname="postgres") as elsewhere:
        elsewhere.execute("SELECT pg_current_xact_id()")  # a transaction that writes, and goes on
        tell("quick")
        (seal,) = seal_audit()
    assert seal.entry_count == 2  # deed.9 and this one


def test_neither_an_entry_nor_a_seal_can_be_changed_or_removed(sealed: None) -> None:
    for table in ("kit_auditentry", "kit_auditseal"):
        for statement in ("UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"):
            column = "verb" if table == "kit_auditentry" else "entry_count"
            with pytest.raises(IntegrityError, match="is append-only"), connection.cursor() as cursor:
                cursor.execute(statement.format(table, column, column))


def test_what_is_hashed_does_not_depend_on_the_session(sealed: None) -> None:
    seal = AuditSeal.objects.get(number=2)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Asia/Kolkata'; SET LOCAL DateStyle = 'German'")
        cursor.execute("SET LOCAL bytea_output = 'escape'; SET LOCAL search_path = public, pg_catalog")
        assert audit_chain._content(seal.begins_at, seal.ends_at)[1] == bytes(seal.content_hash)


@pytest.mark.parametrize(
    "change",
    [
        *("actor = 'user:bob'", "verb = 'other'", "object_type = 'window'", "object_id = 'door_2'", "reason = 'none'"),
        *("before = '{}'", 'after = \'{"x": "u"}\'', "address = '192.0.2.1'", "told_by_database = true"),
        *("at = at - interval '1 microsecond'", "id = gen_random_uuid()"),
    ],
)
def test_a_changed_entry_is_found(sealed: None, change: str) -> None:
    tamper(CHANGE.format(change))
    assert verify_audit().samples == ["seal 2 covers entries that were changed"]


def test_an_entry_moved_into_another_transaction_is_found(sealed: None) -> None:
    tamper(CHANGE.format("transaction_id = transaction_id - 1"))
    assert verify_audit().violations


def test_a_removed_entry_is_found(sealed: None) -> None:
    tamper(REMOVE)
    assert verify_audit().samples == ["seal 2 covers 2 entries and was made of 3"]


def test_an_entry_slipped_into_the_past_is_found(sealed: None) -> None:
    tamper(SLIP_IN)
    assert verify_audit().samples == ["seal 2 covers 4 entries and was made of 3"]


def test_a_removed_seal_is_found(sealed: None) -> None:
    tamper("DELETE FROM kit_auditseal WHERE number = 2")
    assert verify_audit().samples == ["seal 3 does not continue the one before it"]


@pytest.mark.parametrize("change", ["entry_count = 2", "ends_at = ends_at + 1", "content_hash = sha256('')"])
def test_a_changed_seal_is_found(sealed: None, change: str) -> None:
    tamper(CHANGE_SEAL.format(change))
    assert verify_audit().samples[0] == "seal 2 does not continue the one before it"


def test_a_seal_made_again_after_a_change_breaks_the_next_one(sealed: None) -> None:
    """Whoever changes an old entry has to make every later seal again; the last one is known elsewhere."""
    tamper(CHANGE.format("verb = 'other'"))
    first, second = AuditSeal.objects.filter(number__in=(1, 2)).order_by("number")
    _, second.content_hash = audit_chain._content(second.begins_at, second.ends_at)
    again = audit_chain._hash_of(second, bytes(first.seal_hash))
    tamper(CHANGE_SEAL.format("content_hash = %s, seal_hash = %s"), second.content_hash, again)
    assert verify_audit().samples == ["seal 3 does not continue the one before it"]


def test_the_last_seal_cannot_be_removed_from_what_it_covered(sealed: None) -> None:
    tamper("UPDATE kit_auditentry SET at = %s", clock.now() - timedelta(days=3))
    tamper("DELETE FROM kit_auditseal WHERE number = 3")
    assert "4 entries of before" in verify_audit().samples[-1]


def test_an_end_removed_with_all_that_it_covered_is_found_by_whoever_kept_its_seal(sealed: None) -> None:
    last = AuditSeal.objects.get(number=3)
    kept = bytes(last.seal_hash).hex()
    assert told("--seal", kept)[0] == 0
    tamper("DELETE FROM kit_auditentry WHERE transaction_id >= %s", last.begins_at)
    tamper("DELETE FROM kit_auditseal WHERE number = 3")
    assert verify_audit().is_green
    code, text = told("--seal", kept)
    assert code == 1
    assert f"the seal {kept} is not there any more" in text


def test_the_command_says_what_differs_and_fails(sealed: None) -> None:
    code, text = told()
    assert code == 0
    assert "holds" in text
    assert bytes(AuditSeal.objects.get(number=3).seal_hash).hex() in text

    tamper(REMOVE)
    code, text = told()
    assert code == 1
    assert "→ seal 2 covers 2 entries and was made of 3" in text
    code, text = told("--json")
    assert code == 1
    assert (json.loads(text)["violations"], json.loads(text)["is_green"]) == (1, False)


def test_an_audit_that_is_not_what_it_was_raises_an_alert(sealed: None) -> None:
    verify_audit_task()
    assert not Alert.objects.exists()
    tamper(REMOVE)
    verify_audit_task()
    alert = Alert.objects.get()
    assert (alert.kind, alert.severity) == ("audit_broken", "critical")
    assert "seal 2 covers 2 entries and was made of 3" in alert.message


def test_of_an_audit_that_nobody_sealed_yet_it_says_so(db: None) -> None:
    code, text = told()
    assert code == 0
    assert "Nothing has been sealed yet." in text
