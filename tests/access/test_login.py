"""Who gets in, and who is kept out? A password, a code, and how long both are good for."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client

from checkout.kit.access.codes import renew_recovery_codes
from checkout.kit.access.models import Authenticator
from checkout.kit.access.need import needs_second_factor
from checkout.kit.access.tasks import forget_sessions
from checkout.kit.actors import Actor
from checkout.kit.models import AuditEntry, User
from checkout.kit.roles import ROLES
from checkout.settings import policy
from tests.access.coming_in import CODE, ENROL, HOME, LOGIN, OWN, PASSWORD, code_of_pending, log_in
from tests.desk import app_of, at_desk, browser_of, code_of, fields_of, fill_in, queries_of, text_of


def test_a_password_leads_to_the_code_and_the_code_to_where_one_wanted_to_go(ana: User) -> None:
    app_of(ana)
    browser = Client()
    first = browser.get("/admin/payments/payment/?q=1")
    page = browser.get(first["Location"])
    answer = browser.post(
        first["Location"], {**fields_of(page.content.decode()), "username": "ana", "password": PASSWORD}, follow=True
    )
    assert answer.redirect_chain[-1][0].startswith(f"{CODE}?next=")
    assert "authenticator app" in text_of(answer)
    before = browser.session.session_key

    answer = browser.post(answer.redirect_chain[-1][0], {**fields_first(answer), "code": code_of(ana)})

    assert answer["Location"] == "/admin/payments/payment/?q=1"
    assert browser.get(HOME).status_code == 200
    assert browser.session.session_key != before  # whoever knew the old one has nothing
    assert not Session.objects.filter(session_key=before).exists()
    entries = AuditEntry.objects.filter(object_id="user:ana", actor="user:ana").order_by("id")
    assert [entry.verb for entry in entries] == ["user.log_in", "user.enter"]


def fields_first(answer: Any) -> dict[str, str]:
    """The hidden fields of the page's first form."""
    html = answer.content.decode()
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html.split("</form>")[0]))


def test_the_id_of_a_session_from_before_the_login_is_worth_nothing(ana: User) -> None:
    browser = Client()
    browser.get(LOGIN)
    session = browser.session
    session["planted"] = "x"
    session.save()
    browser.cookies[settings.SESSION_COOKIE_NAME] = planted = session.session_key

    log_in(browser)

    assert browser.session.session_key != planted
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = planted
    assert thief.get(HOME)["Location"].startswith(LOGIN)


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_nobody_is_led_elsewhere(ana: User, elsewhere: str) -> None:
    app_of(ana)
    browser = Client()
    answer = log_in(browser, onward=elsewhere)
    assert "evil" not in answer["Location"]

    answer = browser.post(f"{CODE}?next={quote(elsewhere)}", {"code": code_of(ana), "next": elsewhere})

    assert answer["Location"] == HOME


def test_whoever_may_do_more_than_look_sets_an_app_up_first(ana: User) -> None:
    browser = Client()
    log_in(browser)
    page = browser.get(ENROL)
    secret = Authenticator.objects.get(user=ana, confirmed=False).secret
    html = page.content.decode()
    assert secret in html.replace(" ", "")
    assert "<svg" in html
    assert "no-store" in page["Cache-Control"]
    assert "img-src 'self' data:" in page["Content-Security-Policy"]

    wrong = browser.post(ENROL, {"code": "000000"})
    assert "wrong, too old or was used" in text_of(wrong)
    Authenticator.objects.update(throttling_failure_timestamp=None)
    code = code_of_pending(ana)
    done = browser.post(ENROL, {"code": code, "next": "/admin/payments/payment/"})

    codes = re.findall(r"<span>(\w{5}-\w{5})</span>", done.content.decode())
    assert len(codes) == policy.RECOVERY_CODES
    assert 'href="/admin/payments/payment/"' in done.content.decode()
    assert browser.get(HOME).status_code == 200
    for address in (OWN, CODE, HOME, f"/admin/kit/user/{ana.pk}/change/"):
        said = browser.get(address).content.decode()
        assert secret not in said.replace(" ", "")
        assert not any(each in said for each in codes)
    again = browser.post(ENROL, {"code": code})
    assert again.status_code == 200
    assert "Your recovery codes" not in text_of(again)


def test_a_recovery_code_lets_in_once(ana: User, clock: Any) -> None:

    app_of(ana)
    [code, *_] = renew_recovery_codes(user=ana, actor=Actor.user("ana"))
    first, second = Client(), Client()
    log_in(first)
    log_in(second)

    assert first.post(CODE, {"code": code})["Location"] == HOME
    assert second.post(CODE, {"code": code}).status_code == 200
    assert second.get(HOME)["Location"].startswith(CODE)
    assert "9 left" in text_of(first.get(OWN))


def test_wrong_codes_lock_and_say_the_same_whatever_was_wrong(ana: User, clock: Any) -> None:
    used = code_of(ana)
    browser = Client()
    log_in(browser)
    browser.post(CODE, {"code": used})
    other = Client()
    log_in(other)

    reused = text_of(other.post(CODE, {"code": used}))
    clock.shift(2)
    wrong = text_of(other.post(CODE, {"code": "000000"}))

    assert reused == wrong
    assert "Too many wrong codes" in text_of(other.post(CODE, {"code": code_of(ana)}))


@pytest.mark.parametrize("role", ROLES)
def test_who_needs_an_app_is_who_may_do_more_than_look(db: None, role: str) -> None:
    user = User.objects.create_user("x", is_staff=True)
    assert not needs_second_factor(user)
    user.groups.add(Group.objects.get(name=role))

    assert needs_second_factor(User.objects.get(pk=user.pk)) == (role != "Read-only")
    user.is_active = False
    assert not needs_second_factor(user)


def test_who_only_looks_may_do_with_and_without(db: None) -> None:
    rita = User.objects.create_user("rita", password=PASSWORD, is_staff=True)
    rita.groups.add(Group.objects.get(name="Read-only"))
    browser = Client()
    log_in(browser, "rita")
    assert browser.get(HOME).status_code == 200
    assert "does not ask for a second factor" in text_of(browser.get(OWN))

    browser.get(ENROL)
    browser.post(ENROL, {"code": code_of_pending(rita)})
    other = Client()
    log_in(other, "rita")
    assert other.get(HOME)["Location"].startswith(CODE)  # and is asked from now on

    assert fill_in(browser, f"{OWN}remove/")["Location"] == HOME
    assert browser.get(HOME)["Location"].startswith(LOGIN)
    assert not Authenticator.objects.exists()


def test_who_has_to_have_an_app_does_not_switch_it_off(db: None) -> None:
    browser = at_desk("Operations")
    answer = browser.post(f"{OWN}remove/", follow=True)
    assert "cannot be switched off" in text_of(answer)
    assert Authenticator.objects.count() == 1


@pytest.mark.parametrize("address", [f"{OWN}recovery-codes/", ENROL])
def test_new_codes_and_another_app_ask_for_a_fresh_code(db: None, address: str) -> None:
    browser = at_desk("Operations", is_fresh=False)
    user = User.objects.get(username="a Operations")
    for send in (browser.get, browser.post):
        assert send(address)["Location"] == f"{CODE}?next={quote(address, safe='')}"

    answer = browser.post(CODE, {"code": code_of(user), "next": address})

    assert answer["Location"] == address
    assert browser.get(address).status_code == 200


# How long one is in.


def test_a_session_ends_when_nothing_was_done_and_says_so(ana: User, clock: Any) -> None:
    browser = browser_of(ana)
    clock.shift(policy.SESSION_IDLE_SECONDS - 1)
    assert browser.get(HOME).status_code == 200
    clock.shift(policy.SESSION_IDLE_SECONDS - 1)
    assert browser.get(HOME).status_code == 200
    clock.shift(policy.SESSION_IDLE_SECONDS)

    answer = browser.get("/admin/payments/payment/?q=1", follow=True)

    assert answer.redirect_chain[-1][0] == f"{LOGIN}?next={quote('/admin/payments/payment/?q=1', safe='')}"
    assert "Nothing was done here for 30 minutes" in text_of(answer)
    assert browser.get(HOME).status_code == 302


@pytest.mark.parametrize("mode", ["navigate", "cors", "same-origin"])
def test_a_page_that_looks_again_by_itself_keeps_nobody_in(ana: User, clock: Any, mode: str) -> None:
    browser = browser_of(ana)
    for _ in range(4):
        clock.shift(policy.SESSION_IDLE_SECONDS // 4)
        answer = browser.get(HOME, headers={"Sec-Fetch-Mode": mode})
    assert answer["Location"].startswith(LOGIN)


def test_a_session_ends_however_much_was_done(ana: User, clock: Any) -> None:
    browser = browser_of(ana)
    for _ in range(policy.SESSION_SECONDS // 1_000):
        clock.shift(1_000)
        assert browser.get(HOME).status_code == 200
    clock.shift(1_000)

    assert "A session ends after 12 hours" in text_of(browser.get(HOME, follow=True))


def test_between_password_and_code_there_is_little_time(ana: User, clock: Any) -> None:
    app_of(ana)
    browser = Client()
    log_in(browser)
    clock.shift(policy.SESSION_UNVERIFIED_SECONDS)

    assert "The code took too long" in text_of(browser.post(CODE, {"code": code_of(ana)}, follow=True))


def test_sessions_end_with_what_they_rest_on(ana: User) -> None:
    def end(**changes: Any) -> str:
        browser = browser_of(User.objects.get(pk=ana.pk))
        assert browser.get(HOME).status_code == 200
        User.objects.filter(pk=ana.pk).update(**changes)
        return str(browser.get(HOME)["Location"])

    ana.set_password("another-long-Secret-9")
    assert end(password=ana.password).startswith(LOGIN)
    assert end(is_staff=False).startswith(LOGIN)
    User.objects.update(is_staff=True)
    assert end(is_active=False).startswith(LOGIN)
    User.objects.update(is_active=True)

    browser = browser_of(ana)
    Authenticator.objects.all().delete()
    assert "Your second factor was changed or reset" in text_of(browser.get(HOME, follow=True))


def test_changing_ones_own_password_ends_the_other_sessions(ana: User) -> None:
    here, there = browser_of(ana), browser_of(ana)
    new = "yet-another-long-Secret-9"
    answer = fill_in(here, "/admin/password_change/", old_password=PASSWORD, new_password1=new, new_password2=new)
    assert answer.status_code == 302
    assert here.get(HOME).status_code == 200
    assert there.get(HOME)["Location"].startswith(LOGIN)


def test_sessions_that_are_over_are_forgotten(ana: User, clock: Any) -> None:
    browser_of(ana)
    forget_sessions()
    assert Session.objects.count() == 1
    clock.shift(policy.SESSION_SECONDS + 1)
    forget_sessions()
    assert not Session.objects.exists()


def test_cookies_are_for_us_alone(ana: User) -> None:
    browser = Client()
    browser.get(LOGIN)
    log_in(browser)
    session, csrf = browser.cookies[settings.SESSION_COOKIE_NAME], browser.cookies[settings.CSRF_COOKIE_NAME]
    assert (session["httponly"], session["samesite"], session["path"]) == (True, "Lax", "/")
    assert (csrf["httponly"], csrf["samesite"]) == (True, "Strict")


def test_being_let_in_takes_few_queries_and_as_many_each_time(ana: User) -> None:
    browser = browser_of(ana)
    browser.get(OWN)
    taken = [queries_of(lambda: browser.get(OWN)) for _ in range(3)]
    assert len(set(taken)) == 1
    assert taken[0] <= 9  # the session, the person, the app, what they may do, and what the page itself shows
