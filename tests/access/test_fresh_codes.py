"""What asks for a fresh code, and who may give what to whom?"""

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import NoReverseMatch, reverse

from checkout.kit.access.models import Authenticator
from checkout.kit.models import AuditEntry, User
from checkout.kit.roles import ROLES
from checkout.settings import policy
from merchants.models import ApiKey, Merchant
from tests.access.coming_in import CODE, ENROL, HOME, LOGIN, OWN, PASSWORD, guess, log_in
from tests.desk import app_of, at_desk, browser_of, code_of, fields_of, fill_in, text_of


def test_a_key_is_made_only_with_a_fresh_code(merchant: Merchant) -> None:
    browser = at_desk("Administrator", is_fresh=False)
    user = User.objects.get(username="a Administrator")
    address = f"/admin/merchants/merchant/{merchant.public_id}/new-key/"
    filled = {"name": "till 7", "mode": "test", "scopes": ["payments:read"]}
    assert 'name="fresh_code"' in browser.get(address).content.decode()

    asked = fill_in(browser, address, **filled)
    assert "This needs a fresh code. Nothing was done yet" in text_of(asked)
    assert "till 7" in asked.content.decode()
    wrong = fill_in(browser, address, **filled, fresh_code="000000")
    assert "wrong, too old or was used" in text_of(wrong)
    assert 'value="000000"' not in wrong.content.decode()
    assert app_of(user).throttling_failure_count == 1
    assert not ApiKey.objects.exists()
    Authenticator.objects.update(throttling_failure_timestamp=None)

    done = browser.post(address, {**fields_of(wrong.content.decode()), **filled, "fresh_code": code_of(user)})

    assert "sk_test_" in text_of(done)
    assert 'name="fresh_code"' not in browser.get(address).content.decode()  # not again for a while


def test_roles_are_given_only_with_a_fresh_code_and_the_audit_says_which(ana: User) -> None:
    browser = at_desk("Administrator", is_fresh=False)
    user = User.objects.get(username="a Administrator")
    page = f"/admin/kit/user/{ana.pk}/change/"
    finance = Group.objects.get(name="Finance")
    kept = {"is_active": "on", "is_staff": "on", "groups": [finance.pk]}

    assert (
        fill_in(
            browser, page, first_name="Ana", is_active="on", is_staff="on", groups=[g.pk for g in ana.groups.all()]
        ).status_code
        == 302
    )
    asked = fill_in(browser, page, **kept)
    assert "This needs a fresh code" in text_of(asked)
    assert [group.name for group in ana.groups.all()] == ["Operations"]

    assert fill_in(browser, page, **kept, fresh_code=code_of(user)).status_code == 302

    assert [group.name for group in ana.groups.all()] == ["Finance"]
    entry = AuditEntry.objects.filter(verb="user.change", object_id="user:ana").latest("id")
    assert (entry.before["roles"], entry.after["roles"]) == (["Operations"], ["Finance"])
    assert "fresh_code" not in str(entry.after)


def test_a_role_is_made_only_with_a_fresh_code(db: None) -> None:
    browser = at_desk("Administrator", is_fresh=False)
    user = User.objects.get(username="a Administrator")
    permission = Group.objects.get(name="Read-only").permissions.first()
    assert permission is not None
    role = {"name": "Auditors", "permissions": [permission.pk]}

    assert "This needs a fresh code" in text_of(fill_in(browser, "/admin/auth/group/add/", **role))
    assert fill_in(browser, "/admin/auth/group/add/", **role, fresh_code=code_of(user)).status_code == 302

    entry = AuditEntry.objects.get(verb="role.create")
    assert (entry.object_id, entry.after) == ("role:Auditors", {"permissions": [permission.codename]})


def test_roles_of_the_platform_are_as_they_are(db: None) -> None:
    browser, group = at_desk(), Group.objects.get(name="Read-only")
    assert browser.get(f"/admin/auth/group/{group.pk}/change/").status_code == 200
    assert browser.post(f"/admin/auth/group/{group.pk}/change/", {"name": "x"}).status_code == 403
    assert browser.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_password_of_somebody_else_asks_for_a_fresh_code(ana: User) -> None:
    address = f"/admin/kit/user/{ana.pk}/password/"
    browser = at_desk("Administrator", is_fresh=False)
    for send in (browser.get, browser.post):
        assert send(address)["Location"].startswith(CODE)
    assert at_desk().get(address).status_code == 200


def test_a_lost_phone_is_reset_by_an_administrator_with_a_reason_and_a_fresh_code(ana: User) -> None:
    hers, boss = browser_of(ana), at_desk("Administrator", is_fresh=False)
    user = User.objects.get(username="a Administrator")
    address = f"/admin/kit/user/{ana.pk}/reset-second-factor/"

    assert "This needs a fresh code" in text_of(fill_in(boss, address, reason="lost on the train"))
    assert fill_in(boss, address, reason="lost on the train", fresh_code=code_of(user)).status_code == 302

    assert hers.get(HOME)["Location"].startswith(LOGIN)
    log_in(hers)
    assert hers.get(HOME)["Location"].startswith(ENROL)
    entry = AuditEntry.objects.get(verb="user.remove_second_factor")
    assert (entry.actor, entry.object_id, entry.reason) == ("user:a Administrator", "user:ana", "lost on the train")


# Reaching for more.


def test_an_administrator_makes_nobody_almighty_and_touches_nobody_who_is(db: None) -> None:
    root = User.objects.create_superuser("root", password=PASSWORD)
    browser = at_desk("Administrator")
    boss = User.objects.get(username="a Administrator")
    somebody = User.objects.create_user("somebody")

    fill_in(browser, f"/admin/kit/user/{somebody.pk}/change/", is_superuser="on", is_staff="on")
    fill_in(browser, f"/admin/kit/user/{boss.pk}/change/", is_superuser="on", groups="")
    somebody.refresh_from_db()
    assert somebody.is_staff
    assert not User.objects.filter(is_superuser=True).exclude(pk=root.pk).exists()
    assert boss.groups.count() == 1  # nor their own roles
    for page in ("change", "password", "reset-second-factor", "unlock"):
        for name in (root.pk, f"{root.pk}_0A", f"+{root.pk}"):  # which are read as the same number
            assert browser.post(f"/admin/kit/user/{name}/{page}/", {"reason": "x"}).status_code in (302, 403), page
    app_of(root)
    browser.post(f"/admin/kit/user/{root.pk}_0A/reset-second-factor/", {"reason": "x", "token": str(uuid4())})
    assert Authenticator.objects.filter(user=root).exists()


@pytest.mark.parametrize("role", [role for role in ROLES if role != "Administrator"])
def test_only_administrators_change_people_and_roles(ana: User, role: str) -> None:
    browser, group = at_desk(role), Group.objects.get(name="Finance")
    for address in (
        *("/admin/kit/user/add/", f"/admin/kit/user/{ana.pk}/password/", f"/admin/kit/user/{ana.pk}/change/"),
        *(f"/admin/kit/user/{ana.pk}/unlock/", f"/admin/kit/user/{ana.pk}/reset-second-factor/"),
        *("/admin/auth/group/add/", f"/admin/auth/group/{group.pk}/change/"),
    ):
        assert browser.post(address, {"reason": "x", "is_superuser": "on"}).status_code == 403, (role, address)


@pytest.mark.parametrize(
    "probe",
    ["password__startswith=md5", "authenticator__secret__startswith=A", "groups__name=x", "logentry__action_flag=1"],
)
def test_no_relation_of_a_person_is_probed_by_a_filter(ana: User, probe: str) -> None:
    answer = at_desk().get(f"/admin/kit/user/?{probe}", follow=True)
    assert "This list has no such filter" in text_of(answer)


def test_what_people_call_themselves_is_never_markup(merchant: Merchant) -> None:
    bad = "<img src=x onerror=alert(1)>"
    user = User.objects.create_user("x<script>y", first_name=bad, last_name="<b>")
    Group.objects.create(name=f"role {bad}")
    Merchant.objects.update(name=f"shop {bad}")
    browser = at_desk()
    for address in (
        *("/admin/kit/user/", f"/admin/kit/user/{user.pk}/change/", f"/admin/kit/user/{user.pk}/history/"),
        *(
            "/admin/auth/group/",
            "/admin/merchants/merchant/",
            f"/admin/merchants/merchant/{merchant.public_id}/change/",
        ),
        f"/admin/merchants/merchant/{merchant.public_id}/suspend/",
    ):
        html = browser.get(address).content.decode()
        assert "<img src=x" not in html, address
        assert "x<script>y" not in html, address
    mine = browser_of(User.objects.create_superuser("me<script>z"))
    assert "me<script>z" not in mine.get(HOME).content.decode() + mine.get(OWN).content.decode()


def test_no_mail_leads_back_to_another_host_because_none_is_sent(ana: User, settings: Any) -> None:
    with pytest.raises(NoReverseMatch):
        reverse("admin_password_reset")
    settings.ALLOWED_HOSTS = ["checkout.example"]
    answer = Client().get(LOGIN, headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert b"evil.example" not in answer.content


def test_the_pages_before_one_is_in_have_the_policy_too(ana: User) -> None:
    browser = Client()
    pages = [browser.get(LOGIN)]
    log_in(browser)
    pages += [browser.get(ENROL), guess(times=policy.LOGIN_FAILURES)]
    for page in pages:
        policy_of = page["Content-Security-Policy"]
        assert "default-src 'self'" in policy_of
        assert "frame-ancestors 'none'" in policy_of
        assert page["X-Frame-Options"] == "DENY"
        for found in re.findall(r"""<(?:script|link|img)[^>]+(?:src|href)=["']([^"']+)""", page.content.decode()):
            assert re.match("/[^/]", found), found


def test_production_binds_cookies_to_this_host_over_tls() -> None:

    text = (Path(settings.BASE_DIR) / "checkout" / "settings" / "production.py").read_text()
    for line in (
        'SESSION_COOKIE_NAME = "__Host-sessionid"',
        "SESSION_COOKIE_SECURE = True",
        "CSRF_COOKIE_SECURE = True",
    ):
        assert line in text
