"""Can one administrator be both of the two people that something needs?"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client

from checkout.kit import approvals
from checkout.kit import clock as our_clock
from checkout.kit.acting import acting
from checkout.kit.actors import Actor
from checkout.kit.approvals import CheckerNotIndependent
from checkout.kit.models import Alert, Approval, User
from checkout.kit.money import Money
from checkout.settings import policy
from payments import services
from payments.models import Payment
from tests.desk import app_of, at_desk, browser_of, fill_in, text_of

NEW = "another-long-Secret-9"
SECONDS = policy.CHECKER_INDEPENDENCE_SECONDS


@pytest.fixture
def boss(db: None) -> Client:
    """An administrator's browser."""
    return at_desk("Administrator")


@pytest.fixture
def her(boss: Client) -> User:
    """That administrator."""
    return User.objects.get(username="a Administrator")


def ask(maker: User) -> Approval:
    return approvals.request(
        kind="door.open", obj=maker, payload={}, reason="x", maker=maker, actor=Actor.user(maker.username)
    )


def agree(maker: User, checker: User) -> str:
    return approvals.approve(approval=ask(maker), checker=checker).status


def make(browser: Client, name: str, role: str = "Administrator") -> User:
    """Make somebody at the desk, and give them a role there."""
    passwords = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    assert fill_in(browser, "/admin/kit/user/add/", username=name, **passwords).status_code == 302
    made = User.objects.get(username=name)
    give(browser, made, role)
    return made


def give(browser: Client, user: User, role: str) -> None:
    page, group = f"/admin/kit/user/{user.pk}/change/", Group.objects.get(name=role)
    assert fill_in(browser, page, is_active="on", is_staff="on", groups=[group.pk]).status_code == 302


def set_password(browser: Client, user: User) -> None:
    page = f"/admin/kit/user/{user.pk}/password/"
    assert fill_in(browser, page, password1=NEW, password2=NEW, usable_password="true").status_code == 302


def reset_app(browser: Client, user: User) -> None:
    app_of(user)
    page = f"/admin/kit/user/{user.pk}/reset-second-factor/"
    assert fill_in(browser, page, reason="they called").status_code == 302


def stop_and_start(browser: Client, user: User) -> None:
    page = f"/admin/kit/user/{user.pk}/change/"
    for is_active in ({"is_active": ""}, {"is_active": "on"}):
        groups = list(user.groups.values_list("pk", flat=True))
        assert fill_in(browser, page, **is_active, is_staff="on", groups=groups).status_code == 302


def widen_role(browser: Client, user: User) -> None:
    role = Group.objects.create(name="Night shift")
    user.groups.add(role)
    may = Permission.objects.get(codename="change_approval")
    page = f"/admin/auth/group/{role.pk}/change/"
    assert fill_in(browser, page, permissions=[may.pk]).status_code == 302


def change_behind_the_desk(browser: Client, user: User) -> None:
    """What nobody accounts for, the database tells of."""
    with acting(Actor.user("a Administrator")):
        user.set_password(NEW)
        user.save()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_nobody_agrees_to_a_refund_that_was_asked_for_by_who_made_them(
    boss: Client, her: User, ana: User, captured_payment: Callable[[Money], Payment]
) -> None:
    puppet = make(boss, "puppet")
    services.refund_at_desk(
        payment=captured_payment(Money(9_000_00, "EUR")),
        amount=Money(9_000_00, "EUR"),
        **{"person": her, "actor": Actor.user(her.username), "reason": "the parcel was empty"},
    )
    approval = Approval.objects.get()

    answer = fill_in(browser_of(puppet), f"/admin/kit/approval/{approval.public_id}/approve/")

    on = f"{our_clock.now():%-d %B %Y}"
    assert f"Your access was given or changed by the person who asked for this, on {on}: somebody else" in text_of(
        answer
    )
    approval.refresh_from_db()
    assert (approval.status, approval.checker) == ("requested", None)
    assert services.approve_refund(approval=approval, checker=ana, actor=Actor.user("ana")).status == "processing"


@pytest.mark.parametrize("deed", [set_password, reset_app, stop_and_start, widen_role, change_behind_the_desk])
def test_nor_do_those_whose_access_the_asker_changed(
    boss: Client, her: User, ana: User, deed: Callable[[Client, User], None]
) -> None:
    deed(boss, ana)

    with pytest.raises(CheckerNotIndependent):
        agree(her, ana)


def test_nor_those_who_were_made_by_somebody_whom_the_asker_made(boss: Client, her: User) -> None:
    second = make(browser_of(make(boss, "first")), "second")

    with pytest.raises(CheckerNotIndependent):
        agree(her, second)


def test_nobody_takes_another_name_so_that_the_audit_forgets_them(boss: Client, her: User, ana: User) -> None:
    for user in (ana, her):
        page = f"/admin/kit/user/{user.pk}/change/"
        assert fill_in(boss, page, username="somebody else").status_code == 302

    assert not User.objects.filter(username="somebody else").exists()


def test_a_telephone_book_gives_no_access_and_neither_does_unlocking(boss: Client, her: User, ana: User) -> None:
    page = f"/admin/kit/user/{ana.pk}/change/"
    groups = list(ana.groups.values_list("pk", flat=True))
    fill_in(boss, page, first_name="Ana", email="ana@example.com", is_active="on", is_staff="on", groups=groups)
    ana.refresh_from_db()

    assert (ana.first_name, agree(her, ana)) == ("Ana", "approved")


def test_after_a_while_they_are_two(boss: Client, her: User) -> None:
    colleague = make(boss, "colleague")

    with time_machine.travel(our_clock.now() + timedelta(seconds=SECONDS - 60)), pytest.raises(CheckerNotIndependent):
        agree(her, colleague)
    Approval.objects.all().delete()
    with time_machine.travel(our_clock.now() + timedelta(seconds=SECONDS + 60)):
        assert agree(her, colleague) == "approved"


def test_two_whom_a_third_made_decide_for_each_other_and_for_him_but_he_hears_of_it(boss: Client, her: User) -> None:
    one, other = make(boss, "one"), make(boss, "other")

    assert agree(one, other) == agree(other, one) == "approved"

    alert = Alert.objects.get(kind="approval.both_let_in_by_one")
    assert (alert.object_id, alert.seen_count) == ("user:a Administrator", 2)
    assert "one agreed to what other asked for" in alert.message
    assert agree(one, her) == "approved"  # whoever let somebody in may decide about what they ask for
    assert Alert.objects.get().seen_count == 2


def test_who_was_made_on_the_command_line_is_independent(her: User, actor: Any) -> None:
    assert agree(her, User.objects.create_superuser("root")) == "approved"
    assert not Alert.objects.exists()
