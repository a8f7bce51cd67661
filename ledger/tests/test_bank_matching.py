"""A payout is at the bank once, for what the bank says; what is late or differs is told."""

from datetime import date

import pytest

from checkout.settings import policy
from gateways.models import Gateway
from ledger import chart
from ledger.models import BankLine, Discrepancy, JournalEntry, SettlementBatch, SettlementFile
from ledger.reconciliation.refusals import LineCannotBeMatched
from ledger.selectors import balance_of
from ledger.services import match_bank_line, reconcile_bank
from ledger.services.discrepancies import resolve
from ledger.tests.settling import ACTOR, Settling, day, line, payout

pytestmark = pytest.mark.django_db


@pytest.fixture
def settling(acme, ana) -> Settling:
    acme.currencies = ["USD", "EUR"]
    acme.save()
    return Settling(acme, ana)


@pytest.fixture
def statement(db) -> SettlementFile:
    return SettlementFile.objects.create(mode="test", name="bank.xml", source="upload", size_bytes=1, status="imported")


@pytest.fixture
def booked(statement):
    """A booking at the bank."""

    def booked(amount: int, text: str = "", *, ago: int = 0, currency: str = "USD") -> BankLine:
        return BankLine.objects.create(
            file=statement, line_number=statement.bank_lines.count() + 1, account="DE1", text=text,
            currency=currency, amount_minor=amount, booked_on=day(ago),
        )  # fmt: skip

    return booked


@pytest.fixture
def paid(settling):
    """A payout that was announced, of one charge of as much."""

    def paid(net: int, batch: str, *, ago: int = 1, said: int | None = None) -> SettlementBatch:
        about = {"ago": ago, "batch": batch}
        settling.given_up(batch, net, ago=ago)
        settling.settle(line("charge", f"ch_{batch}", "", net, **about), payout(net if said is None else said, **about))
        return SettlementBatch.objects.get(reference=batch)

    return paid


def look(until: date | None = None):
    return reconcile_bank(mode="test", actor=ACTOR, until=until)


def stands(settling: Settling) -> tuple[int, int]:
    """In transit, and at the bank."""
    accounts = (chart.gateway_in_transit(settling.gateway.pk), chart.bank())
    return tuple(balance_of(account, mode="test", currency="USD").amount_minor for account in accounts)


def told() -> list[tuple[str, int]]:
    rows = Discrepancy.objects.filter(status__in=["open", "carried", "requested"])
    return sorted(rows.values_list("kind", "difference_minor"))


@pytest.mark.parametrize("text", ["PAYOUT payout-77 ACME", "x/PAYOUT-77/y", ""])
def test_a_payout_is_found_by_its_reference_in_the_text_or_by_amount_and_day(settling, paid, booked, text):
    batch = paid(96_80, "payout-77")
    credit = booked(96_80, text)
    assert look().payouts == 1
    batch.refresh_from_db()
    credit.refresh_from_db()
    assert (batch.status, batch.bank_line) == ("banked", credit)
    assert credit.matched_at is not None
    assert (stands(settling), told()) == ((0, 96_80), [])
    entry = JournalEntry.objects.get(kind="bank_credit")
    assert (entry.reference, entry.occurred_on) == (batch.public_id, day(0))
    assert look().payouts == 0
    assert JournalEntry.objects.filter(kind="bank_credit").count() == 1


def test_a_payout_that_takes_money_is_a_debit_at_the_bank(settling, booked):
    settling.given_back("a", 40_00)
    settling.settle(line("refund", "re_a", "", -40_00, batch="payout-9"))
    booked(-40_00, "payout-9")
    look()
    assert (stands(settling), told()) == ((0, -40_00), [])


def test_several_payouts_may_be_one_credit_by_name_or_by_day(settling, paid, booked):
    for number, net in enumerate((10_00, 20_00, 30_00, 40_00)):
        paid(net, f"payout-{number}", ago=1 + number // 2)
    booked(30_00, "payout-0 payout-1")
    booked(70_00)
    assert look().payouts == 4
    assert (stands(settling), told()) == ((0, 100_00), [])
    assert sorted(BankLine.objects.values_list("batches__reference", flat=True)) == [f"payout-{n}" for n in range(4)]


def test_what_could_be_two_payouts_is_left_to_people(settling, paid, booked):
    first, second = paid(50_00, "payout-1"), paid(50_00, "payout-2")
    credit = booked(50_00)
    assert look().payouts == 0
    match_bank_line(line=credit, batches=[second], reason="the bank told us", actor=ACTOR)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("announced", "banked")
    with pytest.raises(LineCannotBeMatched, match="already"):
        match_bank_line(line=credit, batches=[first], reason="", actor=ACTOR)
    with pytest.raises(LineCannotBeMatched, match="currencies"):
        match_bank_line(line=booked(50_00, currency="EUR"), batches=[first], reason="", actor=ACTOR)


@pytest.mark.parametrize(
    ("text", "is_found"),
    [("invoice 7 of 3", False), ("TX1 batch 7, shop", True), ("Batch: 7", True), ("batch 77", False)],
)
def test_a_running_number_means_a_payout_only_beside_the_word_batch(paid, booked, text, is_found):
    paid(96_80, "7", ago=9)
    booked(95_00, text, ago=0)
    look(until=day(5))
    assert (told() == [("bank_amount_differs", -1_80)]) is is_found


def test_another_amount_is_posted_as_it_came_and_told(settling, paid, booked):
    batch = paid(96_80, "payout-77")
    credit = booked(95_00, "payout-77")
    assert look().differing == 1
    difference = Discrepancy.objects.get()
    assert (difference.kind, difference.batch, difference.bank_line) == ("bank_amount_differs", batch, credit)
    assert (difference.ours_minor, difference.theirs_minor, difference.difference_minor) == (96_80, 95_00, -1_80)
    assert stands(settling) == (1_80, 95_00)
    resolve(discrepancy=difference, resolution="write_off", reason="bank charges", actor=ACTOR)
    assert (stands(settling), told()) == ((0, 95_00), [])
    look()
    assert told() == []


@pytest.mark.parametrize("texts", [["{} PAYOUT-77", "PAYOUT-77 ACME"], ["PAYOUT-77 ACME", "{} PAYOUT-77"]])
@pytest.mark.parametrize(("other", "what"), [(-1_50, "charges for incoming"), (5, "interest"), (0, "advice of")])
def test_the_credit_of_a_payout_is_the_one_of_its_amount_whatever_else_names_it(
    settling, paid, booked, texts, other, what
):
    batch = paid(96_80, "payout-77")
    for text in texts:
        booked(other if "{}" in text else 96_80, text.format(what))
    assert look() == type(look())(1, 0, 0)
    batch.refresh_from_db()
    assert (batch.bank_line.amount_minor, told(), stands(settling)) == (96_80, [], (0, 96_80))


def test_where_no_booking_ties_the_nearest_in_amount_is_the_credit(settling, paid, booked):
    paid(96_80, "payout-77")
    booked(5, "interest PAYOUT-77")
    booked(95_00, "PAYOUT-77 ACME")
    look()
    assert (told(), stands(settling)) == ([("bank_amount_differs", -1_80)], (1_80, 95_00))


@pytest.mark.parametrize(
    ("texts", "amount"),
    [(["payout-77"], -1_50), (["payout-77"], -96_80), (["payout-77"], 0), (["payout-77", "payout-78"], -3_00)],
)
def test_a_booking_of_the_other_sign_is_never_the_credit_of_a_payout(settling, paid, booked, texts, amount):
    for reference in texts:
        paid(96_80, reference)
    booked(amount, f"charges for {' '.join(texts)}")
    assert look() == type(look())(0, 0, 0)
    assert (told(), stands(settling)) == ([], (96_80 * len(texts), 0))


def test_a_credit_may_be_of_payouts_of_either_sign(settling, paid, booked):
    paid(96_80, "payout-77")
    settling.given_back("b", 40_00)
    settling.settle(line("refund", "re_b", "", -40_00, batch="payout-78"))
    booked(56_80, "payout-77 payout-78")
    look()
    assert (stands(settling), told()) == ((0, 56_80), [])


def test_a_booking_that_lost_what_it_ties_with_takes_no_other_from_its_own_credit(settling, paid, booked):
    paid(10_00, "payout-1")
    paid(20_00, "payout-2")
    credits = [booked(10_00, "payout-1"), booked(10_00, "payout-1 payout-2"), booked(20_00, "payout-2")]
    look()
    assert [[batch.reference for batch in credit.batches.all()] for credit in credits] == [
        ["payout-1"],
        [],
        ["payout-2"],
    ]
    assert told() == []


@pytest.fixture
def alike(settling, acme, ana):
    """Two gateways have a payout of one reference, of as much as is said of each."""

    def alike(reference: str, acmes: int, globexes: int, *, globex_ago: int = 1) -> None:
        globex = Gateway.objects.create(
            code="globex", name="Globex Pay", adapter="acme", mode="test", data_format="json",
            base_url="http://127.0.0.1:1", currencies=["USD"],
        )  # fmt: skip
        for count, (owed, net, ago) in enumerate(((settling, acmes, 1), (Settling(globex, ana), globexes, globex_ago))):
            owed.given_up(f"{count}", net, ago=ago)
            owed.settle(line("charge", f"ch_{count}", "", net, ago=ago, batch=reference))

    return alike


def paid_by(credit: BankLine) -> list[str]:
    return [batch.gateway.code for batch in credit.batches.all()]


@pytest.mark.parametrize("reference", ["20261120", "1001"])
@pytest.mark.parametrize(
    ("text", "gateways"),
    [
        ("GLOBEX BATCH {}", ["globex"]),
        ("batch {} of Globex Pay", ["globex"]),
        ("ACME/BATCH {}", ["acme"]),
        ("BATCH {}", []),
        ("ACMES BATCH {}", []),
    ],
)
def test_of_payouts_of_one_reference_that_of_the_gateway_that_is_named_is_meant(
    alike, booked, reference, text, gateways
):
    alike(reference, 50_00, 50_00)
    credit = booked(50_00, text.format(reference))
    look()
    assert (paid_by(credit), told()) == (gateways, [])


def test_the_payout_of_a_gateway_that_is_named_is_meant_whatever_the_amount(alike, booked):
    alike("20261120", 50_00, 70_00)
    credit = booked(50_00, "GLOBEX PAYOUT 20261120")
    look()
    assert (paid_by(credit), told()) == (["globex"], [("bank_amount_differs", -20_00)])


def test_what_is_named_alike_is_told_apart_by_amount(alike, booked):
    alike("20261120", 50_00, 70_00)
    credit = booked(70_00, "PAYOUT 20261120")
    look()
    assert (paid_by(credit), told()) == (["globex"], [])


def test_what_is_named_alike_is_told_apart_by_its_day(alike, booked):
    alike("20261120", 50_00, 50_00, globex_ago=60)
    credit = booked(50_00, "PAYOUT 20261120")
    look()
    assert paid_by(credit) == ["acme"]


def test_what_is_named_alike_is_the_one_that_the_other_booking_leaves(alike, booked):
    alike("20261120", 50_00, 50_00)
    unsaid, said = booked(50_00, "PAYOUT 20261120"), booked(50_00, "ACME PAYOUT 20261120")
    look()
    assert (paid_by(unsaid), paid_by(said), told()) == (["globex"], ["acme"], [])


def test_two_bookings_that_name_one_gateway_do_not_take_the_payout_of_another(alike, booked):
    alike("20261120", 50_00, 50_00)
    credits = [booked(50_00, "GLOBEX PAYOUT 20261120") for _ in range(2)]
    look()
    assert [paid_by(credit) for credit in credits] == [["globex"], []]


def test_a_booking_that_names_a_payout_is_no_other_of_its_amount(paid, booked):
    first, second = paid(50_00, "payout-1"), paid(50_00, "payout-2")
    credits = [booked(50_00, "payout-1") for _ in range(2)]
    look()
    assert [list(credit.batches.all()) for credit in credits] == [[first], []]
    second.refresh_from_db()
    assert second.status == "announced"


def test_a_payout_is_missing_once_it_should_be_there_and_found_when_it_comes(settling, paid, booked):
    paid(96_80, "payout-77", ago=policy.BANK_CREDIT_DAYS)
    assert (look().missing, told()) == (0, [])
    assert look(until=day(-1)).missing == 1
    assert look(until=day(-1)).missing == 0
    assert told() == [("missing_bank_credit", -96_80)]
    booked(96_80, "payout-77")
    look()
    assert (told(), stands(settling)) == ([], (0, 96_80))
    assert Discrepancy.objects.get().end_reason == "the payout reached the bank"


def test_a_payout_that_was_given_up_and_comes_after_all_is_told(settling, paid, booked):
    paid(96_80, "payout-77", ago=9)
    look()
    resolve(discrepancy=Discrepancy.objects.get(), resolution="write_off", reason="", actor=ACTOR)
    assert (look().missing, told(), stands(settling)) == (0, [], (0, 0))
    booked(96_80, "payout-77")
    look()
    assert told() == [("bank_amount_differs", 96_80)]
    assert stands(settling) == (-96_80, 96_80)


def test_a_payout_line_that_was_wrong_is_explained_by_what_the_bank_got(settling, paid, booked):
    paid(96_80, "payout-77", said=90_00)
    assert told() == [("batch_total_differs", -6_80)]
    booked(96_80, "payout-77")
    look()
    assert (told(), stands(settling)) == ([], (0, 96_80))


def test_a_payout_line_that_was_right_leaves_its_difference_to_explain(settling, paid, booked):
    paid(96_80, "payout-77", said=90_00)
    booked(90_00, "payout-77")
    look()
    assert (told(), stands(settling)) == ([("batch_total_differs", -6_80)], (6_80, 90_00))
    resolve(discrepancy=Discrepancy.objects.get(status="open"), resolution="write_off", reason="", actor=ACTOR)
    assert (told(), stands(settling)) == ([], (0, 90_00))


def test_a_third_amount_takes_the_place_of_what_was_told_before(settling, paid, booked):
    paid(96_80, "payout-77", said=90_00)
    booked(80_00, "payout-77")
    look()
    assert (told(), stands(settling)) == ([("bank_amount_differs", -16_80)], (16_80, 80_00))


def test_a_credit_that_names_several_payouts_and_is_not_their_sum_posts_nothing(settling, paid, booked):
    batches = [paid(10_00, "payout-1"), paid(20_00, "payout-2")]
    credit = booked(29_00, "payout-1 payout-2")
    look()
    assert (told(), stands(settling)) == ([("bank_amount_differs", -1_00)], (30_00, 0))
    look()
    assert len(told()) == 1
    match_bank_line(line=credit, batches=batches, reason="less their fee", actor=ACTOR)
    assert (told(), stands(settling)) == ([("bank_amount_differs", -1_00)], (1_00, 29_00))


def test_a_credit_that_somebody_let_stand_is_not_reported_again(settling, paid, booked):
    for net, reference in ((10_00, "payout-1"), (20_00, "payout-2")):
        paid(net, reference)
    booked(29_00, "payout-1 payout-2")
    look()
    resolve(discrepancy=Discrepancy.objects.get(), resolution="no_entry", reason="somebody else's", actor=ACTOR)
    look()
    assert (told(), stands(settling)) == ([], (30_00, 0))


def test_what_is_no_payout_is_nobodys_concern(settling, paid, booked):
    paid(96_80, "payout-77")
    booked(12_34, "rent")
    booked(96_80, "payout-77", currency="EUR")
    assert look() == type(look())(0, 0, 0)
    assert told() == []
