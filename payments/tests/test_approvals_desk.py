"""Does the approvals page say whose turn it is, what is asked and how it stands? May only the right people decide?"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group

from checkout.kit import approvals
from checkout.kit.actors import Actor
from checkout.kit.models import Approval, User
from checkout.settings import policy
from gateways import services as gateways
from ledger import services as ledger
from payments import services
from payments.admin.asked import KINDS
from payments.models import Payment, Refund
from tests.desk import at_desk, badge_of, browser_of, code_of, fill_in, queries_of, text_of

Pay = Callable[..., Payment]
LIST = "/admin/kit/approval/"


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "REFUND_LIMITS", {"Operations": (20, 50)})


@pytest.fixture
def maker(db: None) -> User:
    return User.objects.create_user("olivia", is_staff=True)


def ask_refund(payment: Payment, maker: User, amount: Any) -> Approval:
    refund = services.refund_at_desk(
        payment=payment, person=maker, amount=amount, actor=Actor.user(maker.username), reason="the parcel was empty"
    )
    return Approval.objects.get(object_id=refund.public_id)


def ask(kind: str, maker: User, payment: Payment, **payload: Any) -> Approval:
    return approvals.request(
        kind=kind, obj=payment, payload=payload, reason="x", maker=maker, actor=Actor.user(maker.username)
    )


def page(approval: Approval, verb: str = "change") -> str:
    return f"{LIST}{approval.public_id}/{verb}/"


def names(answer: Any) -> set[str]:
    return {row.public_id for row in answer.context["cl"].result_list}


def test_every_kind_of_request_is_known_at_the_desk() -> None:
    deeds = {*gateways.APPROVED, *ledger.APPROVED, *services.APPROVED}

    assert set(KINDS) == deeds


def test_what_waits_for_me_is_shown_first_and_is_what_i_may_decide(
    captured_payment: Pay, eur: Any, maker: User
) -> None:
    payment, operations, finance = captured_payment(eur(50_00)), at_desk("Operations"), at_desk("Finance")
    refund = ask_refund(payment, maker, eur(30_00))
    settle = ask(services.SETTLE_BY_HAND, maker, payment, outcome="declined")
    explained = ask("discrepancy.resolve", maker, payment, resolution="write_off", discrepancies=[])
    other = ask("door.open", maker, payment)
    ask("door.close", User.objects.get(username="a Operations"), payment)
    late = ask("door.lock", maker, payment)
    Approval.objects.filter(pk=late.pk).update(expires_at=late.created_at)

    mine = names(operations.get(LIST, follow=True))

    assert mine == {refund.public_id, settle.public_id, other.public_id}
    assert names(finance.get(LIST, follow=True)) >= {refund.public_id, explained.public_id, other.public_id}
    assert settle.public_id not in names(finance.get(LIST, follow=True))
    assert names(at_desk("Read-only").get(LIST, follow=True)) == set()


def test_the_sidebar_counts_what_its_list_shows_and_nothing_for_who_decides_nothing(
    captured_payment: Pay, eur: Any, maker: User
) -> None:
    payment = captured_payment(eur(50_00))
    ask(services.SETTLE_BY_HAND, maker, payment, outcome="declined")
    ask("door.open", maker, payment)

    badges = {
        role: badge_of(at_desk(role).get(LIST).content.decode(), LIST)
        for role in ("Operations", "Finance", "Read-only")
    }

    assert badges == {"Operations": "2", "Finance": "1", "Read-only": ""}


def test_the_other_lists_are_what_i_asked_for_what_is_decided_and_all(
    captured_payment: Pay, eur: Any, maker: User
) -> None:
    payment, browser = captured_payment(eur(50_00)), at_desk("Operations")
    me = User.objects.get(username="a Operations")
    mine, theirs = ask("door.open", me, payment), ask("door.close", maker, payment)
    late = ask("door.lock", maker, payment)
    Approval.objects.filter(pk=late.pk).update(expires_at=late.created_at)

    shown = {turn: names(browser.get(f"{LIST}?turn={turn}")) for turn in ("open", "asked", "decided", "all")}

    everything = {mine.public_id, theirs.public_id, late.public_id}
    assert shown == {
        "open": everything - {late.public_id},
        "asked": {mine.public_id},
        "decided": {late.public_id},
        "all": everything,
    }
    assert "expired" in text_of(browser.get(f"{LIST}?turn=decided"))


def test_the_list_takes_as_many_queries_for_many_requests_as_for_one(
    captured_payment: Pay, eur: Any, maker: User
) -> None:
    payment, browser = captured_payment(eur(50_00)), at_desk("Operations")
    ask_refund(payment, maker, eur(25_00))
    browser.get(LIST)
    one = queries_of(lambda: browser.get(LIST))
    for number in range(5):
        ask(f"door.{number}", maker, payment)

    assert queries_of(lambda: browser.get(LIST)) == one


def test_a_requests_page_says_what_is_asked_by_whom_and_how_it_stands(
    captured_payment: Pay, eur: Any, maker: User
) -> None:
    payment, browser = captured_payment(eur(50_00)), at_desk("Operations")
    approval = ask_refund(payment, maker, eur(30_00))

    said = text_of(browser.get(page(approval)))

    for expected in (
        *("Refund", "30.00 EUR", payment.public_id, "is given back to the customer", "the parcel was empty", "olivia"),
        *("Captured 50.00 EUR 50.00 EUR", "Left besides 20.00 EUR 20.00 EUR", "Expires"),
    ):
        assert expected.lower() in said.lower(), expected
    assert "Something has changed" not in said
    assert queries_of(lambda: browser.get(page(approval))) <= 25


def test_a_kind_that_nobody_knows_any_more_is_refused_in_words(captured_payment: Pay, eur: Any, maker: User) -> None:
    approval = ask("door.open", maker, captured_payment(eur(50_00)))

    said = text_of(fill_in(at_desk(), page(approval, "approve"), reason="why not"))

    assert "no longer what was asked for" in said
    approval.refresh_from_db()
    assert approval.status == "requested"


def test_what_has_changed_meanwhile_is_pointed_out(captured_payment: Pay, eur: Any, maker: User) -> None:
    payment, browser = captured_payment(eur(50_00)), at_desk("Operations")
    approval = ask_refund(payment, maker, eur(30_00))
    services.refund_payment(payment=payment, amount=eur(5_00), actor=Actor.key("sk_test_x"))

    for place in ("change", "approve"):
        said = text_of(browser.get(page(approval, place)))
        assert "Something has changed since this was asked for. Look twice." in said
        assert "20.00 EUR 15.00 EUR" in said


def test_somebody_else_approves_and_says_what_they_looked_at(
    captured_payment: Pay, carry_out: Callable[[], int], eur: Any, maker: User
) -> None:
    approval, browser = ask_refund(captured_payment(eur(50_00)), maker, eur(30_00)), at_desk("Operations")

    answer = fill_in(browser, page(approval, "approve"), reason="the shop confirmed")
    carry_out()

    approval.refresh_from_db()
    assert (answer.status_code, approval.status, approval.answer) == (302, "approved", "the shop confirmed")
    assert Refund.objects.get().status == "succeeded"
    assert "the shop confirmed" in text_of(browser.get(page(approval)))


@pytest.mark.parametrize("is_superuser", [False, True])
def test_the_maker_is_offered_to_withdraw_and_never_to_approve(
    captured_payment: Pay, eur: Any, is_superuser: bool
) -> None:
    maker = User.objects.create_user("olivia", is_staff=True, is_superuser=is_superuser)
    maker.groups.add(Group.objects.get(name="Operations"))
    approval, own = ask_refund(captured_payment(eur(50_00)), maker, eur(30_00)), browser_of(maker)

    html = own.get(page(approval)).content.decode()
    tried = fill_in(own, page(approval, "approve"))

    assert [page(approval, verb) in html for verb in ("approve", "reject", "withdraw")] == [False, False, True]
    assert "you asked for it" in text_of(tried)
    fill_in(own, page(approval, "withdraw"), reason="my mistake")
    approval.refresh_from_db()
    assert (approval.status, Refund.objects.get().status) == ("withdrawn", "rejected")


def test_nobody_withdraws_what_somebody_else_asked_for(captured_payment: Pay, eur: Any, maker: User) -> None:
    approval = ask_refund(captured_payment(eur(50_00)), maker, eur(30_00))

    assert at_desk("administrator").get(page(approval, "withdraw")).status_code == 403


def test_a_no_needs_a_reason(captured_payment: Pay, eur: Any, maker: User) -> None:
    approval, browser = ask_refund(captured_payment(eur(50_00)), maker, eur(30_00)), at_desk("Operations")

    fill_in(browser, page(approval, "reject"))
    assert Approval.objects.get().status == "requested"
    fill_in(browser, page(approval, "reject"), reason="not this one")

    approval.refresh_from_db()
    assert (approval.status, approval.answer) == ("rejected", "not this one")


@pytest.mark.parametrize(("role", "kind"), [("Finance", services.SETTLE_BY_HAND), ("Operations", "entry.write")])
@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_who_may_not_do_a_thing_alone_does_not_decide_it_for_others(
    captured_payment: Pay, eur: Any, maker: User, role: str, kind: str, verb: str
) -> None:
    approval = ask(kind, maker, captured_payment(eur(50_00)), legs=[], outcome="declined")
    browser = at_desk(role)

    assert page(approval, verb) not in browser.get(page(approval)).content.decode()
    assert browser.post(page(approval, verb), {"reason": "x"}).status_code == 403


def test_what_was_edited_meanwhile_is_refused_in_words(captured_payment: Pay, eur: Any, maker: User) -> None:
    approval, browser = ask_refund(captured_payment(eur(50_00)), maker, eur(30_00)), at_desk("Operations")
    Approval.objects.update(payload={**approval.payload, "amount": 50_00})

    answer = fill_in(browser, page(approval, "approve"))

    assert "This request is no longer what was asked for. Reject it and ask again." in text_of(answer)
    assert Refund.objects.get().status == "awaiting_approval"


def test_what_is_over_is_not_offered(captured_payment: Pay, eur: Any, maker: User) -> None:
    approval, browser = ask_refund(captured_payment(eur(50_00)), maker, eur(30_00)), at_desk("Operations")

    Approval.objects.update(expires_at=approval.created_at)

    html = browser.get(page(approval)).content.decode()
    answer = browser.get(page(approval, "approve"), follow=True)

    assert page(approval, "approve") not in html
    assert "Approve is not possible now." in text_of(answer)


def test_a_checker_is_asked_for_a_fresh_code_where_money_leaves(captured_payment: Pay, eur: Any, maker: User) -> None:
    approval = ask_refund(captured_payment(eur(50_00)), maker, eur(30_00))
    browser = at_desk("Operations", is_fresh=False)

    asked = fill_in(browser, page(approval, "approve"))
    assert "This needs a fresh code. Nothing was done yet" in text_of(asked)
    assert Approval.objects.get().status == "requested"
    fill_in(browser, page(approval, "approve"), fresh_code=code_of(User.objects.get(username="a Operations")))

    assert Approval.objects.get().status == "approved"


@pytest.mark.parametrize("verb", ["approve", "reject", "withdraw"])
def test_a_request_is_kept_from_who_may_not_decide_it_however_its_name_is_written(
    captured_payment: Pay, eur: Any, maker: User, verb: str
) -> None:
    approval = ask("gateway.rotate_credentials", maker, captured_payment(eur(50_00)))
    written = [approval.public_id, str(approval.pk), f"urn_3A{approval.pk}", approval.public_id.replace("_", "_5F")]

    for role in ("Read-only", "Developer support", "Finance"):
        browser = at_desk(role)
        for name in written:
            answer = browser.post(f"/admin/kit/approval/{name}/{verb}/", {"reason": "no", "token": str(uuid4())})
            assert answer.status_code in (302, 403), (role, name)
    approval.refresh_from_db()
    assert approval.status == "requested"
