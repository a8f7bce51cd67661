"""What happens to who guesses? Names, passwords and addresses are counted; nobody learns anything from it."""

from typing import Any

from django.db import connection
from django.test import Client

from checkout.kit.access.models import Authenticator
from checkout.kit.models import Alert, AuditEntry, User
from checkout.settings import policy
from tests.access.coming_in import LOGIN, PASSWORD, guess, log_in
from tests.desk import app_of, at_desk, fill_in, text_of


def test_guessing_locks_out_name_and_address_and_nobody_else(ana: User, clock: Any) -> None:
    assert guess(times=policy.LOGIN_FAILURES - 1).status_code == 200
    last = guess()
    assert last.status_code == 429
    assert "Too many names or passwords from here were wrong" in text_of(last)

    right = Client(REMOTE_ADDR="192.0.2.9")
    assert log_in(right).status_code == 429
    assert log_in(Client(REMOTE_ADDR="192.0.2.10")).status_code == 302  # she herself, from elsewhere
    alert = Alert.objects.get()
    assert (alert.kind, alert.object_id) == ("access.locked_out", "user:ana")
    assert "192.0.2.9" in alert.message
    clock.shift(policy.LOCK_OUT_SECONDS + 1)
    assert log_in(right).status_code == 302


def test_whoever_keeps_trying_does_not_keep_somebody_out_for_good(ana: User, clock: Any) -> None:
    guess(times=policy.LOGIN_FAILURES)
    for _ in range(3):
        clock.shift(policy.LOCK_OUT_SECONDS // 3)
        guess(times=2)
    clock.shift(1)
    assert log_in(Client(REMOTE_ADDR="192.0.2.9")).status_code == 302


def test_a_name_that_does_not_exist_is_answered_like_one_that_does(ana: User) -> None:
    for _ in range(policy.LOGIN_FAILURES + 1):
        known, unknown = guess("ana"), guess("nobody", address="192.0.2.11")
        assert known.status_code == unknown.status_code
        assert text_of(known) == text_of(unknown)


def test_many_names_from_one_address_lock_it_whoever_gets_in_meanwhile(ana: User, monkeypatch: Any) -> None:
    monkeypatch.setattr(policy, "LOGIN_FAILURES_PER_ADDRESS", 12)
    for number in range(6):
        guess(f"name-{number}")
    assert log_in(Client(REMOTE_ADDR="192.0.2.9")).status_code == 302  # one good login forgives only that name
    for number in range(5):
        assert guess(f"other-{number}").status_code == 200

    assert guess("another").status_code == 429
    assert log_in(Client(REMOTE_ADDR="192.0.2.9")).status_code == 429
    assert {alert.object_id for alert in Alert.objects.all()} == {"192.0.2.9", "user:ana"}


def test_what_is_typed_as_a_name_is_kept_nowhere(ana: User) -> None:

    guess("my-Secret-password-1", times=2)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(a)::text FROM axes_accessattempt AS a")
        kept = str(cursor.fetchall())
    assert "failures_since_start" in kept
    assert "my-Secret-password-1" not in kept
    assert "no-1" not in kept


def test_an_administrator_unlocks_with_a_reason(ana: User) -> None:
    guess(times=policy.LOGIN_FAILURES)
    app_of(ana)
    Authenticator.objects.filter(user=ana).update(throttling_failure_count=20)
    boss = at_desk("Administrator")
    page = f"/admin/kit/user/{ana.pk}/change/"
    assert f"/admin/kit/user/{ana.pk}/unlock/" in boss.get(page).content.decode()

    assert fill_in(boss, f"/admin/kit/user/{ana.pk}/unlock/", reason="she called").status_code == 302

    assert f"/admin/kit/user/{ana.pk}/unlock/" not in boss.get(page).content.decode()
    assert log_in(Client(REMOTE_ADDR="192.0.2.9")).status_code == 302
    assert Authenticator.objects.get(user=ana).throttling_failure_count == 0
    entry = AuditEntry.objects.get(verb="user.unlock")
    assert (entry.actor, entry.object_id, entry.reason) == ("user:a Administrator", "user:ana", "she called")


def test_behind_a_proxy_it_is_the_one_who_asks_who_is_counted(ana: User, settings: Any) -> None:
    def attempt(forwarded: str) -> Any:
        return Client(REMOTE_ADDR="10.0.0.1").post(
            LOGIN, {"username": "ana", "password": "no"}, headers={"X-Forwarded-For": forwarded}
        )

    settings.PROXY_COUNT = 1
    for number in range(policy.LOGIN_FAILURES):
        answer = attempt(f"198.51.100.{number}, 203.0.113.5")  # what stands before the last can be made up
    assert answer.status_code == 429
    assert attempt("203.0.113.6").status_code == 200
    settings.PROXY_COUNT = 0
    assert attempt("203.0.113.5").status_code == 200


# From many addresses.


def guess_from_everywhere(name: str = "ana", times: int = policy.LOGIN_FAILURES_PER_NAME) -> Any:
    """One wrong password from each of many addresses; returns the last answer."""
    for number in range(times):
        answer = guess(name, address=f"198.51.100.{number}")
    return answer


def test_a_name_that_is_guessed_from_many_addresses_is_locked_at_others_and_somebody_is_told(
    ana: User, clock: Any
) -> None:
    office, elsewhere = Client(REMOTE_ADDR="192.0.2.10"), Client(REMOTE_ADDR="192.0.2.11")
    assert log_in(office).status_code == 302
    assert guess_from_everywhere(times=policy.LOGIN_FAILURES_PER_NAME - 1).status_code == 200
    assert not Alert.objects.exists()

    assert guess(address="203.0.113.1").status_code == 429

    assert log_in(elsewhere).status_code == 429  # the right password
    assert log_in(Client(REMOTE_ADDR="192.0.2.10")).status_code == 302  # she herself, from her office
    alert = Alert.objects.get()
    assert (alert.kind, alert.object_id, alert.severity) == ("access.guessed_from_everywhere", "user:ana", "critical")
    assert "203.0.113.1" in alert.message or "192.0.2.11" in alert.message
    clock.shift(policy.LOCK_OUT_SECONDS + 1)
    assert log_in(elsewhere).status_code == 302


def test_from_where_somebody_came_in_before_their_name_is_guessed_no_faster(ana: User) -> None:
    assert log_in(Client(REMOTE_ADDR="192.0.2.10")).status_code == 302
    guess_from_everywhere()

    assert guess(times=policy.LOGIN_FAILURES - 1, address="192.0.2.10").status_code == 200
    assert guess(address="192.0.2.10").status_code == 429


def test_that_others_came_in_from_there_or_somebody_long_ago_opens_nothing(ana: User, clock: Any) -> None:
    User.objects.create_user("ben", password=PASSWORD, is_staff=True)
    assert log_in(Client(REMOTE_ADDR="192.0.2.10"), "ben").status_code == 302
    assert log_in(Client(REMOTE_ADDR="192.0.2.12")).status_code == 302
    clock.shift(policy.KNOWN_ADDRESS_SECONDS + 1)
    guess_from_everywhere()

    for address in ("192.0.2.10", "192.0.2.12"):
        assert log_in(Client(REMOTE_ADDR=address)).status_code == 429


def test_a_name_that_does_not_exist_is_locked_like_one_that_does(ana: User) -> None:
    known, unknown = guess_from_everywhere("ana"), guess_from_everywhere("nobody")

    assert known.status_code == unknown.status_code == 429
    assert text_of(known) == text_of(unknown)
    assert log_in(Client(REMOTE_ADDR="192.0.2.11"), "ben").status_code == 200  # others are asked as ever


def test_unlocking_opens_a_name_that_was_guessed_from_many_addresses(ana: User) -> None:
    guess_from_everywhere()
    boss, address = at_desk("Administrator"), f"/admin/kit/user/{ana.pk}/unlock/"

    assert fill_in(boss, address, reason="she is on a journey").status_code == 302

    assert log_in(Client(REMOTE_ADDR="192.0.2.11")).status_code == 302
    assert address not in boss.get(f"/admin/kit/user/{ana.pk}/change/").content.decode()
