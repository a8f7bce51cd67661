"""What may a gateway's own message do? Be a reason to ask. Rows W of the catalogue: what is believed."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from checkout.kit.models import Alert
from checkout.kit.money import Money
from gateways.models import Gateway, Notice
from ledger import chart
from ledger.models import JournalEntry, Posting
from ledger.selectors import balance_of
from merchants.models import WebhookEvent
from payments.models import Attempt, Payment
from payments.selfaudit import Scope, audit_books
from payments.services import apply_notices
from payments.tests.answers import CANCEL, SUCCEEDED, last, make_due
from payments.tests.answers import tell as answer
from tests.bad_inputs.calls import CARD_NUMBER, CVV
from tests.bad_inputs.conftest import held, texts_of_database
from tests.bad_inputs.notices import SOUTH, document, signed, tell, tell_of, text_of
from tests.simulation import Simulation

Pay = Callable[..., Payment]
Euro = Callable[[int], Money]
pytestmark = pytest.mark.usefixtures("gateways")


@pytest.fixture
def pending(
    created_payment: Pay, gateways: dict[str, Gateway], simulation: Simulation, carry_out: Any, eur: Euro
) -> Callable[[str], Attempt]:
    """`pending("south")`: a charge of 50 euros that this gateway has in hand, and approves only now; nobody is to ask
    about it for an hour."""

    def pending(code: str) -> Attempt:
        Gateway.objects.exclude(code=code).update(status="disabled")
        simulation.change(code, behaviour="asynchronous", async_seconds=3600)
        attempt = last(created_payment(eur(50_00), confirm=True))
        carry_out()
        Attempt.objects.filter(pk=attempt.pk).update(next_action_at="2099-01-01T00:00Z")
        attempt.refresh_from_db()
        assert (attempt.gateway.code, attempt.status) == (code, "pending")
        simulation.calm()
        return attempt

    return pending


@pytest.mark.parametrize("code", ["north", "south"])
def test_w13_one_outcome_told_under_two_ids_is_applied_once(
    code: str, pending: Callable[[str], Attempt], carry_out: Callable[[], int]
) -> None:
    attempt = pending(code)
    payment = attempt.payment
    told: list[int] = []
    for id in ("ntc_1", "ntc_2"):
        assert tell_of(code, reference=attempt.reference, id=id).json() == {"received": 1}
        apply_notices()
        carry_out()
        told.append(WebhookEvent.objects.filter(object_id=payment.public_id).count())

    payment.refresh_from_db()
    assert (payment.status, payment.captured_minor) == ("captured", 50_00)
    assert told[0] == told[1]
    assert JournalEntry.objects.filter(payment_reference=payment.public_id, kind="capture").count() == 1
    assert set(Notice.objects.values_list("status", flat=True)) == {"applied"}


@pytest.mark.parametrize("code", ["north", "south"])
def test_w15_what_is_about_nothing_that_we_know_is_taken_and_stays_unmatched(code: str) -> None:
    for reference in ("att_unknown", "order-7"):
        for received in (1, 0):
            answer = tell_of(code, reference=reference, id=f"ntc_{reference}")
            assert (answer.status_code, answer.json()) == (200, {"received": received})

    apply_notices()

    assert list(Notice.objects.values_list("status", flat=True)) == ["unmatched", "unmatched"]
    assert not Alert.objects.exists()


@pytest.fixture
def unasked(created_payment: Pay, eur: Euro) -> Callable[[str], Attempt]:
    """`unasked("north")`: a charge of 50 euros that never reached its gateway, as far as that one knows."""

    def unasked(code: str) -> Attempt:
        Gateway.objects.exclude(code=code).update(status="disabled")
        attempt = last(created_payment(eur(50_00), confirm=True))
        Attempt.objects.filter(pk=attempt.pk).update(
            status="unknown", next_action="ask", next_action_at="2099-01-01T00:00Z"
        )
        attempt.refresh_from_db()
        return attempt

    return unasked


def has_moved_nothing(attempt: Attempt) -> bool:
    """Whether the attempt is as unknown as before, and its payment as poor."""
    attempt.refresh_from_db()
    attempt.payment.refresh_from_db()
    payment = attempt.payment
    return (payment.status, payment.captured_minor, attempt.status) == ("processing", 0, "unknown")


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param({"amount": 50_00_00}, id="W17 a hundred times as much"),
        pytest.param({"amount": 0}, id="W17 nothing"),
        pytest.param({"amount": -50_00}, id="W17 less than nothing"),
        pytest.param({"amount": "5000"}, id="W17 a string"),
        pytest.param({"amount": 50.0}, id="W17 a fraction"),
        pytest.param({"amount": True}, id="W17 true"),
        pytest.param({"amount": None}, id="W17 null"),
        pytest.param({"leave_out": "amount"}, id="W17 no amount"),
        pytest.param({"currency": "USD"}, id="W17 another currency"),
        pytest.param({"currency": None}, id="W17 no currency"),
        pytest.param({"id": None}, id="W19 no id at the gateway"),
        pytest.param({"leave_out": "id"}, id="W19 no id at all"),
        pytest.param({"id": "x" * 10_000}, id="W19 an id of ten kilobytes"),
        pytest.param({"status": "settled"}, id="a status that nobody knows"),
        pytest.param({"status": "declined", "decline": "no_such_code"}, id="a reason that nobody knows"),
    ],
)
def test_what_cannot_be_true_of_a_charge_moves_nothing_and_is_shown_to_a_person(
    claim: dict[str, Any], unasked: Callable[[str], Attempt]
) -> None:
    attempt = unasked("north")
    body = text_of(reference=attempt.reference, **{"amount": 50_00, **claim})

    assert tell(body, signed(body)).status_code == 200
    apply_notices()

    assert has_moved_nothing(attempt)
    alert = Alert.objects.get()
    assert (alert.kind, alert.object_id, alert.severity) == ("notice_differs", attempt.public_id, "critical")


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param({"amount": "5000.00"}, id="W17 a hundred times as much"),
        pytest.param({"amount": "0.00"}, id="W17 nothing"),
        pytest.param({"amount": "-50.00"}, id="W17 less than nothing"),
        pytest.param({"amount": "5E1"}, id="W17 an exponent"),
        pytest.param({"amount": "50"}, id="W17 without decimals"),
        pytest.param({"amount": None, "currency": None}, id="W17 no amount"),
        pytest.param({"currency": "USD"}, id="W17 another currency"),
        pytest.param({"transaction_id": None}, id="W19 no id at the gateway"),
        pytest.param({"transaction_id": "x" * 10_000}, id="W19 an id of ten kilobytes"),
        pytest.param({"result_code": "77"}, id="a result that nobody knows"),
    ],
)
def test_what_cannot_be_true_of_a_charge_moves_nothing_in_xml_either(
    claim: dict[str, str | None], unasked: Callable[[str], Attempt]
) -> None:
    attempt = unasked("south")

    assert tell(document(order_ref=attempt.reference, **{"amount": "50.00", **claim}), path=SOUTH).status_code == 200
    apply_notices()

    assert has_moved_nothing(attempt)
    alert = Alert.objects.get()
    assert (alert.kind, alert.object_id, alert.severity) == ("notice_differs", attempt.public_id, "critical")


@pytest.mark.parametrize(
    "claim",
    [{"amount": 10**30}, {"amount": 10**30, "status": "pending"}, {"currency": "x" * 5000, "status": "pending"}],
    ids=["W17 an amount without end", "W17 the same, pending", "W17 a currency without end"],
)
def test_what_no_column_could_hold_is_refused(claim: dict[str, Any], unasked: Callable[[str], Attempt]) -> None:
    attempt = unasked("north")
    body = text_of(reference=attempt.reference, **{"amount": 50_00, **claim})

    assert tell(body, signed(body)).status_code == 401
    assert (apply_notices(), has_moved_nothing(attempt)) == (0, True)


@pytest.mark.parametrize("code", ["north", "south"])
def test_even_what_could_be_true_is_only_a_reason_to_ask(
    code: str, unasked: Callable[[str], Attempt], carry_out: Callable[[], int]
) -> None:
    attempt = unasked(code)

    assert tell_of(code, reference=attempt.reference).status_code == 200
    apply_notices()

    assert has_moved_nothing(attempt)
    assert carry_out() > 0  # the gateway, asked, has never heard of it
    assert attempt.evidence.latest("id").source in ("inquiry", "cancel")
    assert not Alert.objects.filter(kind="notice_differs").exists()


def test_the_notice_of_a_card_that_was_only_verified_alarms_nobody(processed_payment: Pay, eur: Euro) -> None:
    attempt = last(processed_payment(eur(0), capture_mode="manual"))
    assert tell_of("north", reference=attempt.reference, amount_minor=0).status_code == 200

    apply_notices()

    assert not Alert.objects.exists()


@pytest.mark.parametrize("code", ["north", "south"])
@pytest.mark.parametrize("is_looked_at", [False, True], ids=["nobody looks at it", "a worker looks at it"])
def test_w31_a_notice_about_a_payment_that_somebody_holds_is_kept_at_once_and_applied_later(
    code: str,
    is_looked_at: bool,
    transactional_db: None,
    pending: Callable[[str], Attempt],
    carry_out: Callable[[], int],
) -> None:
    attempt = pending(code)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")

    with held(attempt.payment):
        answer = tell_of(code, reference=attempt.reference)
        assert (answer.status_code, answer.json()) == (200, {"received": 1})
        if is_looked_at:
            apply_notices()
            carry_out()
        attempt.refresh_from_db()
        assert attempt.status == "pending"

    if is_looked_at:
        make_due(attempt)  # its lease is over
    apply_notices()
    carry_out()
    attempt.payment.refresh_from_db()
    assert (attempt.payment.status, attempt.payment.captured_minor) == ("captured", 50_00)
    assert Notice.objects.get().status == "applied"


@pytest.mark.parametrize("capture_mode", ["automatic", "manual"])
def test_w33_a_success_of_what_was_given_up_is_set_aside_and_given_back_by_itself(
    capture_mode: str,
    created_payment: Pay,
    gateways: dict[str, Gateway],
    simulation: Simulation,
    carry_out: Callable[[], int],
    eur: Euro,
) -> None:
    simulation.change("north", behaviour="charge_then_500")
    payment = created_payment(eur(50_00), confirm=True, capture_mode=capture_mode)
    attempt = last(payment)
    carry_out()
    answer(attempt, SUCCEEDED, CANCEL)  # north says that it never will, and it has
    simulation.calm()
    carry_out()
    payment.refresh_from_db()
    status = "captured" if capture_mode == "automatic" else "authorized"
    assert (payment.status, payment.gateway) == (status, gateways["south"])

    assert tell_of("north", reference=attempt.reference).status_code == 200
    apply_notices()
    carry_out()

    payment.refresh_from_db()
    attempt.refresh_from_db()
    [charge] = [row for row in simulation.book("north") if row["reference"] == attempt.reference]
    assert (payment.status, attempt.status) == (status, "abandoned")
    assert charge["voided"] or charge["captured_minor"] == charge["refunded_minor"] == 50_00
    assert attempt.reversals.get().status == "succeeded"
    suspense = chart.suspense(attempt.gateway_id)
    assert balance_of(suspense, mode="test", currency="EUR").amount_minor == 0
    passed = Posting.objects.filter(account__kind="suspense", account__gateway=attempt.gateway_id)
    assert sorted(passed.values_list("amount_minor", flat=True)) == ([-50_00, 50_00] if status == "captured" else [])
    assert Alert.objects.filter(kind="late_success", object_id=attempt.public_id, severity="critical").exists()
    assert [finding.code for finding in audit_books(Scope()) if not finding.is_green] == []


@pytest.mark.parametrize(
    "more",
    [
        {"number": CARD_NUMBER, "cvv": CVV},
        {"number": "4242 4242 4242 4242", "cvc": int(CVV)},
        {"text": f"4242-4242-4242-4242 CVV2 {CVV}"},
        {"text": f"card\n{CARD_NUMBER}\tcvc={CVV}"},
        {"text": f"card\u00a0{CARD_NUMBER}"},
        {"card_cvv": CVV, "security_code": CVV, "cvv_code": CVV, "verificationValue": CVV},
    ],
    ids=str,
)
def test_w39_card_data_in_a_notice_is_not_kept(more: dict[str, Any]) -> None:
    body = text_of(card=more)
    assert tell(body, signed(body)).status_code == 200
    fields = "".join(f"<{name}>{value}</{name}>" for name, value in more.items())
    assert tell(document(more=f"<card>{fields}</card>"), path=SOUTH).status_code == 200

    kept = "".join(Notice.objects.values_list("body", flat=True))
    assert "card" in kept
    for found in (CARD_NUMBER, "4242 4242", "4242-4242", CVV):
        assert found not in kept
        assert found == CVV or found not in texts_of_database()


def test_w39_a_card_number_that_is_the_name_of_a_notice_is_not_kept() -> None:
    assert tell_of("north", reference="att_unknown", id=CARD_NUMBER).json() == {"received": 1}
    assert tell_of("north", reference="att_unknown", id=CARD_NUMBER).json() == {"received": 0}
    assert tell_of("south", reference=CARD_NUMBER, charge=CARD_NUMBER).status_code == 200
    apply_notices()

    assert CARD_NUMBER not in texts_of_database()
    assert list(Notice.objects.values_list("status", flat=True)) == ["unmatched", "unmatched"]


def test_w39_our_own_credentials_in_a_notice_are_not_kept(gateways: dict[str, Gateway]) -> None:
    for code in ("north", "south"):
        secrets = [value for name, value in gateways[code].secrets.items() if name != "merchant_id"]
        assert len(secrets) == 2
        body = text_of(echo=secrets)
        told = tell(body, signed(body)) if code == "north" else tell(document(more=f"<a>{secrets}</a>"), path=SOUTH)
        assert told.status_code == 200
        assert not [secret for secret in secrets if secret in texts_of_database()]
