"""Every invariant is broken once, past all that guards it, and the audit says which; a platform at peace is green."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.ids import uuid7
from checkout.kit.models import Alert, Approval, AuditEntry, User
from gateways.models import Gateway
from gateways.routing import recompute
from gateways.selectors import route
from gateways.services import resume_gateway, stop_gateway
from ledger.models import JournalEntry, Posting
from merchants.services import create_merchant
from payments import selectors, services
from payments.models import Attempt, AuditRun, Card, CardSecret, Evidence, IdempotencyKey, Payment
from payments.selfaudit import INVARIANTS, Finding, Scope, audit_books, read_book
from payments.statuses import AttemptStatus, Operation

DECLINED = "4000000000000002"


@pytest.fixture
def story(api, captured_payment, authorized_payment, created_payment, carry_out, operator, eur) -> SimpleNamespace:
    """Payments in every place where one can come to rest, and one on its way."""
    told = api.pay(25_00).json()
    captured = captured_payment(eur(50_00))
    refunded = captured_payment(eur(80_00))
    services.refund_payment(payment=refunded, amount=eur(30_00), reason="too late", actor=operator)
    voided = authorized_payment(eur(20_00))
    services.cancel_payment(payment=voided, reason="a mistake", actor=operator)
    authorized = authorized_payment(eur(70_00))
    in_parts = authorized_payment(eur(60_00), country="US")
    services.capture_payment(payment=in_parts, actor=operator, reason="shipped")
    declined = captured_payment(eur(10_00), number=DECLINED)
    carry_out()
    processing = created_payment(eur(40_00), confirm=True)
    payments = [captured, refunded, voided, authorized, in_parts, declined, processing]
    for payment in payments:
        payment.refresh_from_db()
    assert [payment.status for payment in payments] == [
        "captured",
        "captured",
        "voided",
        "authorized",
        "captured",
        "declined",
        "processing",
    ]
    return SimpleNamespace(
        told=selectors.payment_of(captured.merchant_id, "test", told["id"]),
        captured=captured,
        refunded=refunded,
        voided=voided,
        authorized=authorized,
        declined=declined,
        processing=processing,
        created=created_payment(eur(5_00)),
    )


@pytest.fixture
def plant(db: None) -> Callable[..., None]:
    """Write what the application never would: triggers and foreign keys look away."""

    def plant(statement: str, *values: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(statement, values)
            cursor.execute("SET LOCAL session_replication_role = origin")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")

    return plant


def red(scope: Scope | None = None) -> dict[str, Finding]:
    return {finding.code: finding for finding in audit_books(scope or Scope()) if not finding.is_green}


def charge_of(payment: Payment) -> Attempt:
    return payment.attempts.get(operation=Operation.AUTHORIZE)


def second_live_charge(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("DROP INDEX one_live_charge_per_payment")
    charge = charge_of(story.authorized)
    charge.pk, charge.seq, charge.status, charge.gateway_reference = uuid7(), 9, AttemptStatus.UNKNOWN, ""
    charge.next_action_at, charge.finished_at = clock.seconds_from_now(60), None
    charge.save(force_insert=True)
    return story.authorized.public_id


def two_gateway_references(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    charge = charge_of(story.captured)
    Evidence.objects.create(
        attempt=charge, at=clock.now(), source="inquiry", outcome="succeeded", gateway_reference="ch_other"
    )
    return charge.public_id


def declined_but_charged(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("UPDATE payments_attempt SET status = 'succeeded' WHERE payment_id = %s", story.declined.pk)
    return story.declined.public_id


def late_success_not_reversed(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    Evidence.objects.create(attempt=charge_of(story.declined), at=clock.now(), source="inquiry", outcome="succeeded")
    return story.declined.public_id


def another_amount_captured(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("UPDATE payments_payment SET captured_minor = captured_minor - 1 WHERE id = %s", story.captured.pk)
    return story.captured.public_id


def capture_not_posted(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    entry = JournalEntry.objects.get(kind="capture", payment_reference=story.captured.public_id)
    plant("DELETE FROM ledger_posting WHERE entry_id = %s", entry.pk)
    plant("DELETE FROM ledger_journalentry WHERE id = %s", entry.pk)
    return entry.reference


def capture_posted_twice(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    entry = JournalEntry.objects.get(kind="capture", payment_reference=story.captured.public_id)
    postings = list(entry.postings.all())
    twin = uuid7()
    plant(
        "INSERT INTO ledger_journalentry SELECT (jsonb_populate_record(entry, jsonb_build_object('id', %s, 'reference',"
        " 'att_again'))).* FROM ledger_journalentry AS entry WHERE id = %s",
        str(twin),
        entry.pk,
    )
    for posting in postings:
        plant(
            "INSERT INTO ledger_posting (entry_id, account_id, currency, amount_minor) VALUES (%s, %s, %s, %s)",
            twin,
            posting.account_id,
            posting.currency,
            posting.amount_minor,
        )
    return "att_again"


def unbalanced_entry(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    posting = Posting.objects.filter(
        entry__payment_reference=story.captured.public_id, account__kind="platform_fee"
    ).get()
    plant("UPDATE ledger_posting SET amount_minor = amount_minor - 1 WHERE id = %s", posting.pk)
    return posting.entry.public_id


def wrong_running_balance(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("UPDATE ledger_accountbalance SET balance_minor = balance_minor - 1")
    return "ledger account"


def refunded_out_of_nothing(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("UPDATE payments_payment SET refunded_minor = 1 WHERE id = %s", story.captured.pk)
    return story.captured.public_id


def answered_and_gone(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    gone = Payment(id=uuid7())
    body = {"id": gone.public_id, "object": "payment", "amount": 25_00}
    IdempotencyKey.objects.create(
        merchant_id=story.told.merchant_id,
        mode="test",
        key="gone",
        fingerprint="f",
        object_id=gone.pk,
        answering_until=clock.now(),
        http_status=201,
        body=json.dumps(body, separators=(",", ":")),
        created_at=clock.now(),
    )
    return gone.public_id


def told_another_amount(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant(
        "UPDATE payments_idempotencykey SET body = replace(body, '\"amount\":2500', '\"amount\":2600')"
        " WHERE object_id = %s",
        story.told.pk,
    )
    return story.told.public_id


def answer_about_another(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant(
        "UPDATE payments_idempotencykey SET body = replace(body, %s, %s) WHERE object_id = %s",
        story.told.public_id,
        story.captured.public_id,
        story.told.pk,
    )
    return "another object"


def kept_while_in_flight(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("UPDATE payments_idempotencykey SET http_status = 202 WHERE object_id = %s", story.told.pk)
    return "not final"


def a_step_that_is_not_in_the_table(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant(
        "UPDATE kit_auditentry SET after = jsonb_set(after, '{status}', '\"voided\"')"
        " WHERE object_id = %s AND verb = 'payment.authorize'",
        story.captured.public_id,
    )
    return story.captured.public_id


def another_status_than_history(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("UPDATE payments_payment SET status = 'failed' WHERE id = %s", story.declined.pk)
    return story.declined.public_id


def forgotten_attempt(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant(
        "UPDATE payments_attempt SET next_action_at = now() - interval '1 hour' WHERE payment_id = %s",
        story.processing.pk,
    )
    return charge_of(story.processing).public_id


def forgotten_request(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    approval = Approval.objects.create(
        kind="door.open",
        object_id="door",
        payload={},
        payload_hash="x",
        reason="x",
        maker=User.objects.create_user("maker"),
        expires_at=clock.seconds_from_now(-3600),
    )
    return approval.public_id


def gap_in_events(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("DELETE FROM merchants_webhookevent WHERE object_id = %s AND sequence = 2", story.captured.public_id)
    return story.captured.public_id


def card_of_another_merchant(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    other = create_merchant(name="Bo's", country="DE", default_currency="EUR", actor=Actor.command("test"))
    plant("UPDATE payments_card SET merchant_id = %s WHERE id = %s", other.pk, story.captured.card_id)
    return story.captured.public_id


def event_of_another_mode(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("UPDATE merchants_webhookevent SET mode = 'live' WHERE object_id = %s", story.captured.public_id)
    return story.captured.public_id


def card_number_in_a_text(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("UPDATE payments_payment SET description = 'call 4242 4242 4242 4242 back' WHERE id = %s", story.captured.pk)
    return f"payments_payment {story.captured.pk}"


def card_number_in_json(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("""UPDATE payments_payment SET metadata = '{"note": "5555555555554444"}' WHERE id = %s""", story.captured.pk)
    return f"payments_payment {story.captured.pk}"


def verification_value_kept(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    CardSecret.objects.filter(payment=story.processing).update(expires_at=clock.seconds_from_now(-3600))
    return story.processing.public_id


def card_in_the_clear(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("UPDATE payments_card SET number = '4242424242424242'::bytea WHERE id = %s", story.captured.card_id)
    return Card(id=story.captured.card_id).public_id


def nothing_comes_next(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("DELETE FROM payments_attempt WHERE payment_id = %s", story.processing.pk)
    return story.processing.public_id


def authorized_for_ever(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    plant("UPDATE payments_payment SET expires_at = NULL WHERE id = %s", story.authorized.pk)
    return story.authorized.public_id


def a_person_without_a_reason(story: SimpleNamespace, plant: Callable[..., None]) -> str:
    services.capture_payment(payment=story.authorized, actor=Actor.user("olivia"))
    return story.authorized.public_id


PLANTED = [
    ("I1", second_live_charge),
    ("I2", two_gateway_references),
    ("I3", declined_but_charged),
    ("I3", late_success_not_reversed),
    ("I4", another_amount_captured),
    ("I5", capture_not_posted),
    ("I5", capture_posted_twice),
    ("I6", unbalanced_entry),
    ("I6", wrong_running_balance),
    ("I7", refunded_out_of_nothing),
    ("I8", answered_and_gone),
    ("I8", told_another_amount),
    ("I9", answer_about_another),
    ("I9", kept_while_in_flight),
    ("I10", a_step_that_is_not_in_the_table),
    ("I10", another_status_than_history),
    ("I11", forgotten_attempt),
    ("I11", forgotten_request),
    ("I12", gap_in_events),
    ("I13", card_of_another_merchant),
    ("I13", event_of_another_mode),
    ("I14", card_number_in_a_text),
    ("I14", card_number_in_json),
    ("I14", verification_value_kept),
    ("I14", card_in_the_clear),
    ("I15", nothing_comes_next),
    ("I15", authorized_for_ever),
    ("I16", a_person_without_a_reason),
]


def test_a_platform_at_peace_is_green_and_everything_was_looked_at(story) -> None:
    findings = audit_books(Scope())

    assert [finding.code for finding in findings] == [f"I{number}" for number in range(1, 17)]
    assert {finding.code: finding.samples for finding in findings if not finding.is_green} == {}
    assert {finding.code for finding in findings if not finding.checked} == set()


def test_every_invariant_is_planted() -> None:
    assert {code for code, _ in PLANTED} == {invariant.code for invariant in INVARIANTS}


@pytest.mark.parametrize(("code", "break_it"), PLANTED, ids=lambda value: getattr(value, "__name__", value))
def test_what_breaks_an_invariant_turns_that_one_red_and_no_other(code, break_it, story, plant) -> None:
    broken = break_it(story, plant)

    found = red()

    assert found.keys() == {code}
    assert any(broken in " ".join(sample) for sample in found[code].samples)


def test_a_payment_not_touched_since_is_left_out(story, plant) -> None:
    another_amount_captured(story, plant)

    assert red(Scope(since=clock.seconds_from_now(60))).keys() == set()
    assert red(Scope(since=clock.seconds_from_now(-600))).keys() == {"I4"}


def test_payments_of_another_gateway_are_left_out(story, plant, gateways) -> None:
    another_amount_captured(story, plant)

    assert red(Scope(gateway=gateways["south"])).keys() == set()
    assert red(Scope(gateway=gateways["north"])).keys() == {"I4"}


class TestAgainstTheGatewaysBooks:
    """The same with what the gateways say themselves."""

    @pytest.fixture
    def books(self, story, gateways, simulation) -> dict[str, list[dict[str, Any]]]:
        ours = {attempt.reference for attempt in Attempt.objects.all()}
        return {code: [row for row in simulation.book(code) if row["reference"] in ours] for code in gateways}

    @pytest.fixture
    def red_with(self, tmp_path: Path) -> Callable[..., dict[str, Finding]]:
        def red_with(books: dict[str, list[dict[str, Any]]]) -> dict[str, Finding]:
            path = tmp_path / "book.json"
            path.write_text(json.dumps(books))
            book, book_gateways = read_book(path)
            return red(Scope(book=book, book_gateways=book_gateways))

        return red_with

    @staticmethod
    def row_of(books: dict[str, list[dict[str, Any]]], payment: Payment) -> dict[str, Any]:
        reference = charge_of(payment).reference
        return next(row for rows in books.values() for row in rows if row["reference"] == reference)

    def test_books_that_agree_are_green(self, books, red_with) -> None:
        assert sum(map(len, books.values())) >= 7
        assert red_with(books) == {}

    def test_a_second_charge_at_another_gateway(self, books, red_with, story) -> None:
        row = {**self.row_of(books, story.captured)}
        books["south"].append(row)

        found = red_with(books)

        assert found.keys() == {"I1", "I2", "I4"}
        assert found["I1"].gateways == {"north": 1, "south": 1}

    def test_a_charge_that_nobody_asked_for(self, books, red_with, story) -> None:
        books["south"].append({**self.row_of(books, story.captured), "reference": Attempt().reference})

        found = red_with(books)

        assert found.keys() == {"I2"}
        assert found["I2"].gateways == {"south": 1}

    def test_a_void_that_never_arrived(self, books, red_with, story) -> None:
        self.row_of(books, story.voided)["voided"] = False

        found = red_with(books)

        assert found.keys() == {"I3"}
        assert found["I3"].samples[0][0] == story.voided.public_id

    def test_a_capture_of_another_amount(self, books, red_with, story) -> None:
        self.row_of(books, story.captured)["captured_minor"] = 1

        assert red_with(books).keys() == {"I4"}

    def test_a_refund_that_never_arrived(self, books, red_with, story) -> None:
        self.row_of(books, story.refunded)["refunded_minor"] = 0

        assert red_with(books).keys() == {"I7"}


class TestCommand:
    """`manage.py audit`"""

    def test_says_what_it_looked_at_and_ends_well_when_all_holds(self, story, capsys) -> None:
        call_command("audit")

        printed = capsys.readouterr().out
        assert all(invariant.name in printed and invariant.covers in printed for invariant in INVARIANTS)
        assert AuditRun.objects.count() == 0

    def test_ends_with_one_when_something_is_broken_and_changes_nothing(self, story, plant, capsys) -> None:
        broken = another_amount_captured(story, plant)

        with pytest.raises(SystemExit) as exit:
            call_command("audit", "--json")

        assert exit.value.code == 1
        findings = {finding["code"]: finding for finding in json.loads(capsys.readouterr().out)}
        assert findings["I4"]["samples"][0][0] == broken
        assert findings["I4"]["gateways"] == {"north": 1}
        assert (Gateway.objects.exclude(stopped_at=None).count(), Alert.objects.count()) == (0, 0)

    def test_refuses_a_file_that_is_no_book(self, story, tmp_path) -> None:
        (tmp_path / "book.json").write_text('{"nowhere": []}')

        with pytest.raises(CommandError, match="nowhere"):
            call_command("audit", "--book-file", str(tmp_path / "book.json"))


class TestSelfAudit:
    """The hourly task's verb."""

    ACTOR = Actor.task("self_audit")

    def test_a_green_run_is_kept_and_stops_nothing(self, story) -> None:
        run = services.self_audit(actor=self.ACTOR)

        assert run is not None
        assert run.is_green
        assert run.counts["I4"] >= 3
        assert Gateway.objects.filter(stopped_at=None).count() == 3
        summary = selectors.self_audit_summary()
        assert (summary.is_green, summary.broken, summary.last_run_at) == (True, (), run.started_at)

    def test_a_red_run_stops_the_gateway_concerned_and_alerts(self, story, plant, created_payment, eur) -> None:
        another_amount_captured(story, plant)

        run = services.self_audit(actor=self.ACTOR)

        assert not run.is_green
        assert [finding["code"] for finding in run.findings] == ["I4"]
        stopped = Gateway.objects.exclude(stopped_at=None).get()
        assert stopped.code == "north"
        assert {alert.kind for alert in Alert.objects.all()} == {"self_audit_red", "gateway_stopped"}
        assert AuditEntry.objects.get(verb="gateway.stop").actor == "task:self_audit"
        assert not selectors.self_audit_summary().is_green

    def test_a_stopped_gateway_gets_no_new_payment_and_the_decision_says_why(
        self, story, plant, created_payment, eur
    ) -> None:
        another_amount_captured(story, plant)
        services.self_audit(actor=self.ACTOR)

        payment = created_payment(eur(30_00), confirm=True)

        assert payment.gateway.code == "south"
        decision = charge_of(payment).decision
        reasons = {considered["gateway"]: considered["reason"] for considered in decision["considered"]}
        assert reasons["north"].startswith("Left out: stopped by the self-audit: “A captured payment is one charge")
        assert json.loads(json.dumps(recompute(decision).as_json())) == decision

    def test_what_has_begun_at_a_stopped_gateway_goes_on(self, story, plant, carry_out, operator) -> None:
        another_amount_captured(story, plant)
        services.self_audit(actor=self.ACTOR)

        services.cancel_payment(payment=story.authorized, reason="stopped", actor=operator)
        carry_out()

        story.authorized.refresh_from_db()
        story.processing.refresh_from_db()
        assert (story.authorized.status, story.processing.status) == ("voided", "captured")

    def test_a_person_resumes_it_and_only_news_stops_it_again(self, story, plant, operator) -> None:
        another_amount_captured(story, plant)
        services.self_audit(actor=self.ACTOR)
        gateway = resume_gateway(gateway=Gateway.objects.get(code="north"), reason="one cent, known", actor=operator)
        assert not gateway.is_stopped

        services.self_audit(actor=self.ACTOR)
        assert not Gateway.objects.get(code="north").is_stopped

        refunded_out_of_nothing(story, plant)
        services.self_audit(actor=self.ACTOR)
        assert Gateway.objects.get(code="north").is_stopped
        entry = AuditEntry.objects.get(verb="gateway.resume")
        assert (entry.actor, entry.reason, entry.after) == ("user:olivia", "one cent, known", {"is_stopped": False})

    def test_a_gateway_that_is_stopped_twice_keeps_its_first_reason(self, gateways, operator) -> None:
        for reason in ("A first.", "A second."):
            stop_gateway(gateway=gateways["north"], reason=reason, actor=operator)

        assert Gateway.objects.get(code="north").stopped_reason == "A first."
        assert AuditEntry.objects.filter(verb="gateway.stop").count() == 1

    def test_texts_are_read_once_and_a_card_number_stays_red_until_it_is_gone(self, story, plant) -> None:
        first = services.self_audit(actor=self.ACTOR)
        first.started_at = clock.seconds_from_now(3600)
        first.save()
        assert services.self_audit(actor=self.ACTOR).counts["I14"] < first.counts["I14"]
        AuditRun.objects.update(started_at=clock.now())
        card_number_in_a_text(story, plant)

        assert not services.self_audit(actor=self.ACTOR).is_green
        assert not services.self_audit(actor=self.ACTOR).is_green

        plant("UPDATE payments_payment SET description = '' WHERE id = %s", story.captured.pk)
        assert services.self_audit(actor=self.ACTOR).is_green

    def test_decisions_of_before_gateways_could_be_stopped_are_recomputed(self, story) -> None:
        decision = charge_of(story.captured).decision
        for candidate in decision["candidates"]:
            del candidate["stopped_reason"]

        assert recompute(decision).chosen == decision["chosen"]

    def test_routing_asks_once_whatever_is_stopped(self, story, django_assert_num_queries) -> None:
        with django_assert_num_queries(1):
            route(country="DE", currency="EUR", mode="test", payment_method_type="card", amount_minor=1)
