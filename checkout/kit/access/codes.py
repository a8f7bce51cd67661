"""Is this code theirs? Setting up an app, checking what it shows, and the codes for when it is lost."""

import secrets
from hmac import compare_digest

from django.conf import settings
from django.db import transaction
from django_otp.oath import hotp

from checkout.kit import alerts, audit, clock
from checkout.kit.access.models import Authenticator, RecoveryCode
from checkout.kit.actors import Actor
from checkout.kit.errors import Refusal
from checkout.kit.fields import keyed_hash
from checkout.kit.models import User
from checkout.settings import policy

_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that looks like another
_LENGTH = 10
_DIGITS = 6


class CodeRefused(Refusal):
    """The code is not right now, or was used before; which of them is not said."""

    code = "code_refused"
    http_status = 403

    def __init__(self) -> None:
        super().__init__("This code is wrong, too old or was used before. Wait for the next one.")


class TooManyCodes(Refusal):
    """So many were wrong that nothing is looked at for a while, not even the right one."""

    code = "too_many_codes"
    http_status = 429

    def __init__(self) -> None:
        super().__init__("Too many wrong codes. Wait a while before the next one; each wrong one doubles the wait.")


class NothingToConfirm(Refusal):
    """No app is being set up, or it took too long."""

    code = "nothing_to_confirm"

    def __init__(self) -> None:
        super().__init__("This took too long. Scan the new picture.")


def authenticator_of(user: User) -> Authenticator | None:
    """The app that somebody has set up. One query."""
    found: Authenticator | None = Authenticator.objects.filter(user=user, confirmed=True).first()
    return found


def pending_authenticator(user: User) -> Authenticator:
    """The app that somebody is setting up: the same for a while, then another, with another secret."""
    kept = Authenticator.objects.filter(user=user, confirmed=False)
    kept.filter(created_at__lt=clock.seconds_from_now(-policy.ENROLMENT_SECONDS)).delete()
    pending: Authenticator = Authenticator.objects.get_or_create(user=user, confirmed=False)[0]
    return pending


def confirm_authenticator(*, user: User, code: str, actor: Actor) -> tuple[Authenticator, list[str]]:
    """The app shows the right code: it is theirs from now on, in place of any other. Returns it and recovery codes.

    Refuses: NothingToConfirm, CodeRefused, TooManyCodes.
    """
    with transaction.atomic():
        youngest = clock.seconds_from_now(-policy.ENROLMENT_SECONDS)
        pending = _lock(user, confirmed=False, created_at__gte=youngest)
        refusal = _check(pending, code) if pending else NothingToConfirm()
        if pending and not refusal:
            Authenticator.objects.filter(user=user, confirmed=True).delete()
            pending.confirmed = True
            pending.save(update_fields=["confirmed"])
            audit.record(actor=actor, verb="user.enrol_second_factor", obj=user)
            return pending, _new_recovery_codes(pending)
    raise refusal or CodeRefused()


def check_code(*, user: User, code: str, actor: Actor) -> Authenticator:
    """The app's code of now, or a recovery code: each is good once. A wrong one is counted, and that is committed.

    Refuses: CodeRefused, TooManyCodes.
    """
    with transaction.atomic():
        authenticator = _lock(user, confirmed=True)
        refusal = _check(authenticator, code) if authenticator else CodeRefused()
        if authenticator and not refusal:
            if not _is_from_app(code):
                left = {"codes_left": recovery_codes_left(authenticator)}
                audit.record(actor=actor, verb="user.use_recovery_code", obj=user, after=left)
            return authenticator
    raise refusal or CodeRefused()


@transaction.atomic
def renew_recovery_codes(*, user: User, actor: Actor) -> list[str]:
    """New recovery codes; the old ones are good for nothing. To be shown once. Refuses: CodeRefused without an app."""
    authenticator = _lock(user, confirmed=True)
    if authenticator is None:
        raise CodeRefused()
    audit.record(actor=actor, verb="user.renew_recovery_codes", obj=user)
    return _new_recovery_codes(authenticator)


@transaction.atomic
def remove_second_factor(*, user: User, reason: str, actor: Actor) -> None:
    """Forget somebody's app and recovery codes. Whoever was in by means of them is out with the next click."""
    Authenticator.objects.filter(user=user).delete()
    audit.record(actor=actor, verb="user.remove_second_factor", obj=user, reason=reason)


def recovery_codes_left(authenticator: Authenticator) -> int:
    """How many recovery codes are still good."""
    return RecoveryCode.objects.filter(authenticator=authenticator, used_at=None).count()


def code_at(key: bytes, step: int) -> str:
    """What an app with this key shows in a step of 30 seconds since 1970."""
    return f"{hotp(key, step, _DIGITS):0{_DIGITS}}"


def current_step() -> int:
    """The step of now."""
    return int(clock.now().timestamp()) // policy.CODE_STEP_SECONDS


def _lock(user: User, **which: object) -> Authenticator | None:
    found: Authenticator | None = Authenticator.objects.select_for_update().filter(user=user, **which).first()
    return found


def _check(authenticator: Authenticator, code: str) -> Refusal | None:
    """Use up the code, or count that it was wrong; what to refuse with."""
    if not authenticator.verify_is_allowed()[0]:
        return TooManyCodes()
    plain = "".join(code.split()).replace("-", "").lower()
    is_right = _use_step(authenticator, plain) if _is_from_app(code) else _use_recovery_code(authenticator, plain)
    count = authenticator.throttle_reset if is_right else authenticator.throttle_increment
    count(commit=False)
    # All of it would encrypt the secret again, which is a change of it for whoever cannot read it.
    authenticator.save(update_fields=["last_step", "throttling_failure_timestamp", "throttling_failure_count"])
    if is_right:
        return None
    if authenticator.confirmed and authenticator.throttling_failure_count >= policy.CODE_FAILURES_TO_ALERT:
        alerts.raise_alert(
            kind="access.codes_guessed",
            object_id=authenticator.user.public_id,
            severity="critical",
            message=f"Somebody with the password of {authenticator.user} gives wrong codes, again and again.",
        )
    return CodeRefused()


def _is_from_app(code: str) -> bool:
    plain = "".join(code.split())
    return len(plain) == _DIGITS and plain.isascii() and plain.isdigit()


def _use_step(authenticator: Authenticator, code: str) -> bool:
    now, slack = current_step(), policy.CODE_SLACK_STEPS
    for step in range(max(now - slack, authenticator.last_step + 1), now + slack + 1):
        if compare_digest(code_at(authenticator.key, step), code):
            authenticator.last_step = step
            return True
    return False


def _use_recovery_code(authenticator: Authenticator, code: str) -> bool:
    mine = authenticator.recovery_codes.filter(used_at=None, hash=_hash(authenticator, code))
    return bool(mine.update(used_at=clock.now()))


def _new_recovery_codes(authenticator: Authenticator) -> list[str]:
    authenticator.recovery_codes.all().delete()
    codes = ["".join(secrets.choice(_LETTERS) for _ in range(_LENGTH)) for _ in range(policy.RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(authenticator=authenticator, hash=_hash(authenticator, code)) for code in codes
    )
    return [f"{code[: _LENGTH // 2]}-{code[_LENGTH // 2 :]}" for code in codes]


def _hash(authenticator: Authenticator, code: str) -> str:
    return keyed_hash(settings.API_KEY_HASH_KEY, f"recovery code {authenticator.pk} {code}")
