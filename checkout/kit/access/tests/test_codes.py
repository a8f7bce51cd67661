"""Is a code good exactly once, and only when it should be?"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection

from checkout.kit.access import codes
from checkout.kit.access.models import Authenticator, RecoveryCode, new_secret
from checkout.kit.actors import Actor
from checkout.kit.models import Alert, AuditEntry, User
from checkout.launch.codes import code_at as code_of_the_demo
from checkout.settings import policy
from tests.desk import app_of, code_of

pytestmark = pytest.mark.django_db
ACTOR = Actor.user("ana", "192.0.2.7")
NOON = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def ana() -> User:
    return User.objects.create_user("ana")


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


def give(user: User, code: str) -> Authenticator:
    return codes.check_code(user=user, code=code, actor=ACTOR)


def enrol(user: User) -> list[str]:
    pending = codes.pending_authenticator(user)
    code = codes.code_at(pending.key, codes.current_step())
    return codes.confirm_authenticator(user=user, code=code, actor=ACTOR)[1]


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")],
)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    """RFC 6238, appendix B, of which an app shows the last six digits."""
    assert codes.code_at(b"12345678901234567890", seconds // policy.CODE_STEP_SECONDS) == code
    assert code_of_the_demo("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", seconds) == code


def test_a_code_is_good_once(ana: User, clock: Any) -> None:
    code = code_of(ana)
    give(ana, f" {code[:3]} {code[3:]} ")

    with pytest.raises(codes.CodeRefused):
        give(ana, code)


def test_after_a_code_no_older_one_is_good(ana: User, clock: Any) -> None:
    older = code_of(ana)
    clock.shift(30)
    give(ana, code_of(ana))

    with pytest.raises(codes.CodeRefused):
        give(ana, older)


@pytest.mark.parametrize(("seconds", "is_good"), [(-60, False), (-30, True), (30, True), (60, False)])
def test_a_phones_clock_may_be_half_a_minute_off(ana: User, clock: Any, seconds: int, is_good: bool) -> None:
    code = code_of(ana)
    clock.shift(seconds)

    if is_good:
        give(ana, code)
    else:
        with pytest.raises(codes.CodeRefused):
            give(ana, code)


@pytest.mark.parametrize("code", ["", "000000", "12345", "1234567", "１２３４５６", "+12345", "x" * 10, "\0" * 6])
def test_what_is_no_code_is_refused_like_a_wrong_one(ana: User, clock: Any, code: str) -> None:
    app_of(ana)
    with pytest.raises(codes.CodeRefused, match="wrong, too old or was used"):
        give(ana, code)


def test_who_has_no_app_has_no_code(ana: User) -> None:
    with pytest.raises(codes.CodeRefused):
        give(ana, "123456")


def test_each_wrong_code_doubles_the_wait_and_then_even_the_right_one_waits(ana: User, clock: Any) -> None:
    app_of(ana)
    for waited in (1, 2, 4, 8):
        with pytest.raises(codes.CodeRefused):
            give(ana, "000000")
        with pytest.raises(codes.TooManyCodes):
            give(ana, code_of(ana))
        clock.shift(waited)

    give(ana, code_of(ana))  # and what was counted is forgotten
    assert app_of(ana).throttling_failure_count == 0


def test_of_many_wrong_codes_a_person_is_told(ana: User, clock: Any) -> None:
    app_of(ana)
    for number in range(policy.CODE_FAILURES_TO_ALERT):
        assert not Alert.objects.exists()
        with pytest.raises(codes.CodeRefused):
            give(ana, "000000")
        clock.shift(2**number)

    alert = Alert.objects.get()
    assert (alert.kind, alert.object_id, alert.severity) == ("access.codes_guessed", "user:ana", "critical")


def test_an_app_is_set_up_by_what_it_shows_and_the_secret_is_kept_encrypted(ana: User, clock: Any) -> None:
    pending = codes.pending_authenticator(ana)
    assert codes.authenticator_of(ana) is None
    with pytest.raises(codes.CodeRefused):
        codes.confirm_authenticator(user=ana, code="000000", actor=ACTOR)
    clock.shift(5)

    given = enrol(ana)

    app = codes.authenticator_of(ana)
    assert app == pending
    assert len(set(given)) == policy.RECOVERY_CODES
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret::text FROM access_authenticator")
        assert pending.secret not in str(cursor.fetchall())
        cursor.execute("SELECT hash FROM access_recoverycode")
        kept = str(cursor.fetchall())
    assert not any(code in kept or code.replace("-", "") in kept for code in given)
    told = str(list(AuditEntry.objects.values_list("before", "after", "reason")))
    assert pending.secret not in told
    assert not any(code in told for code in given)


def test_what_is_not_confirmed_in_time_is_another_secret(ana: User, clock: Any) -> None:
    first = codes.pending_authenticator(ana)
    assert codes.pending_authenticator(ana) == first
    clock.shift(policy.ENROLMENT_SECONDS + 1)

    with pytest.raises(codes.NothingToConfirm):
        codes.confirm_authenticator(user=ana, code=codes.code_at(first.key, codes.current_step()), actor=ACTOR)
    assert codes.pending_authenticator(ana).secret != first.secret


def test_an_app_is_named_after_the_platform_and_the_person(ana: User, settings: Any) -> None:
    address = urlsplit(app_of(ana).address)
    asked = parse_qs(address.query)
    assert (address.scheme, address.netloc, address.path) == ("otpauth", "totp", "/Checkout%20test%3Aana")
    assert asked == {"secret": [app_of(ana).secret], "issuer": ["Checkout test"]}
    settings.ENVIRONMENT_NAME = "live"
    assert "issuer=Checkout" in app_of(ana).address
    assert new_secret() != new_secret()


def test_another_app_takes_the_place_of_the_first_with_its_codes(ana: User, clock: Any) -> None:
    [old, *_] = enrol(ana)
    first = app_of(ana)
    enrol(ana)

    assert app_of(ana) != first
    assert RecoveryCode.objects.count() == policy.RECOVERY_CODES
    with pytest.raises(codes.CodeRefused):
        give(ana, old)


def test_a_recovery_code_is_good_once_however_it_is_written(ana: User, clock: Any) -> None:
    first, second, *_ = enrol(ana)

    give(ana, first.upper().replace("-", " "))
    with pytest.raises(codes.CodeRefused):
        give(ana, first)
    clock.shift(1)
    give(ana, second)

    assert codes.recovery_codes_left(app_of(ana)) == policy.RECOVERY_CODES - 2
    used = AuditEntry.objects.filter(verb="user.use_recovery_code").order_by("id")
    assert [entry.after["codes_left"] for entry in used] == [9, 8]


def test_a_recovery_code_is_good_for_nobody_else(ana: User, clock: Any) -> None:
    [code, *_] = enrol(ana)
    ben = User.objects.create_user("ben")
    enrol(ben)

    with pytest.raises(codes.CodeRefused):
        give(ben, code)


def test_new_recovery_codes_end_the_old_ones(ana: User, clock: Any) -> None:
    [old, *_] = enrol(ana)
    [new, *_] = codes.renew_recovery_codes(user=ana, actor=ACTOR)

    with pytest.raises(codes.CodeRefused):
        give(ana, old)
    clock.shift(1)
    give(ana, new)


def test_whoever_has_the_machine_lets_the_last_administrator_in(ana: User) -> None:
    enrol(ana)
    Authenticator.objects.update(throttling_failure_count=30)

    call_command("reset_second_factor", "ana", "--reason", "phone in the lake")

    assert codes.authenticator_of(ana) is None
    assert not RecoveryCode.objects.exists()
    entry = AuditEntry.objects.get(verb="user.remove_second_factor")
    assert (entry.actor, entry.object_id, entry.reason) == (
        "command:reset_second_factor",
        "user:ana",
        "phone in the lake",
    )
    with pytest.raises(CommandError, match="Nobody here"):
        call_command("reset_second_factor", "nobody", "--reason", "x")
