"""Who guesses? Failed logins are counted per name and address, per address, and per name over all addresses; beyond a
limit nothing is looked at. A name that is guessed from everywhere comes in from where it came in before, so nobody can
keep somebody out of their own office.

The counting is django-axes'. Of the name that was typed it keeps a keyed hash: people type passwords there, too.
"""

from datetime import timedelta
from typing import Any

from axes.backends import AxesBackend
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.backends import ModelBackend
from django.db import transaction
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from checkout.kit import alerts, audit, clock
from checkout.kit.access.models import Authenticator
from checkout.kit.actors import Actor
from checkout.kit.fields import keyed_hash
from checkout.kit.ids import first_id_at
from checkout.kit.models import AuditEntry, User
from checkout.settings import policy


class Passwords(AxesBackend):
    """Looks at a password, unless there were too many wrong ones."""

    def authenticate(self, request: Any, username: str | None = None, password: str | None = None, **more: Any) -> Any:
        """The person, or None. Refuses (PermissionDenied) whoever is locked out, before the password is looked at."""
        super().authenticate(request, username, password, **more)
        return ModelBackend.authenticate(self, request, username, password, **more)


class LockOut(AxesDatabaseHandler):
    """Counts in the database, with a limit of its own for each way of counting."""

    def get_failures(self, request: Any, credentials: dict[str, Any] | None = None) -> int:
        """The failures of name and address, or as many as are too many where the address has too many of any names, or
        the name too many from any addresses.
        """
        of_both, of_address, of_name = (_sum(attempts) for attempts in self.get_user_attempts(request, credentials))
        is_guessed = of_name >= policy.LOGIN_FAILURES_PER_NAME and not _is_known(request, credentials)
        if of_address >= policy.LOGIN_FAILURES_PER_ADDRESS or is_guessed:
            return max(of_both, policy.LOGIN_FAILURES)
        return of_both

    def user_login_failed(self, sender: Any, credentials: Any, request: Any = None, **signal: Any) -> None:
        """Count it, whatever the browser calls itself: only name and address matter."""
        if request is not None:
            request.axes_user_agent = request.axes_http_accept = ""
        super().user_login_failed(sender, credentials, request, **signal)

    def reset_user_attempts(self, request: Any, credentials: dict[str, Any] | None = None) -> int:
        """Who got in is forgiven their own mistakes, not those of others from the same address."""
        deleted, _ = self.filter_user_attempts(request, credentials)[0].delete()
        return int(deleted)


def cool_off(request: Any) -> timedelta:
    """How long nothing is looked at, after the last failure that counted."""
    return timedelta(seconds=policy.LOCK_OUT_SECONDS)


def name_of(request: Any, credentials: dict[str, Any] | None = None) -> str:
    """What the name that was typed is kept as."""
    return _hash(str((credentials or {}).get("username") or ""))


def tell(request: HttpRequest, **signal: Any) -> None:
    """Somebody was locked out: a person should look, once for all that follows."""
    typed = (getattr(request, "axes_credentials", None) or {}).get("username")
    user = User.objects.filter(username=typed).first()
    address = request.META.get("REMOTE_ADDR", "")
    if user and _sum(_recent_attempts_at(user)) >= policy.LOGIN_FAILURES_PER_NAME:
        message = (
            f"Somebody guesses the password of {user} from many addresses, {address} the last of them. For now {user} "
            "comes in only from where they came in before."
        )
        kind = "access.guessed_from_everywhere"
        alerts.raise_alert(kind=kind, object_id=user.public_id, message=message, severity="critical")
        return
    if user:
        message = f"Somebody at {address} guesses the password of {user} and is locked out for now."
    else:
        message = f"Somebody at {address} guesses names and passwords and is locked out for now."
    alerts.raise_alert(
        kind="access.locked_out", object_id=user.public_id if user else address, message=message, severity="warning"
    )


def page(request: HttpRequest, *words: Any, **named: Any) -> HttpResponse:
    """What who is locked out gets to see: the same for every name, whether it exists or not."""
    context = {
        **admin.site.each_context(request),
        "title": "Locked out",
        "minutes": policy.LOCK_OUT_SECONDS // 60,
    }
    return render(request, "admin/access/locked.html", context, status=429)


def is_locked_out(user: User) -> bool:
    """Whether somebody guessed at this person's password or codes so often that they may be locked out somewhere."""
    counted = _recent_attempts_at(user)
    authenticator = Authenticator.objects.filter(user=user, confirmed=True).first()
    return (
        counted.filter(failures_since_start__gte=policy.LOGIN_FAILURES).exists()
        or _sum(counted) >= policy.LOGIN_FAILURES_PER_NAME
        or bool(authenticator and not authenticator.verify_is_allowed()[0])
    )


@transaction.atomic
def unlock(*, user: User, reason: str, actor: Actor) -> None:
    """Let somebody try again, their password and their codes, wherever they are."""
    _attempts_at(user).delete()
    Authenticator.objects.filter(user=user).update(throttling_failure_count=0, throttling_failure_timestamp=None)
    audit.record(actor=actor, verb="user.unlock", obj=user, reason=reason)


def _attempts_at(user: User) -> Any:
    return AccessAttempt.objects.filter(username=_hash(user.username))


def _recent_attempts_at(user: User) -> Any:
    return _attempts_at(user).filter(attempt_time__gte=clock.seconds_from_now(-policy.LOCK_OUT_SECONDS))


def _sum(attempts: Any) -> int:
    return int(attempts.aggregate(sum=Sum("failures_since_start", default=0))["sum"])


def _is_known(request: Any, credentials: dict[str, Any] | None) -> bool:
    """Whether who is named came in from this address before."""
    user = User(username=str((credentials or {}).get("username") or ""))
    since = first_id_at(clock.seconds_from_now(-policy.KNOWN_ADDRESS_SECONDS))
    came_in = AuditEntry.objects.filter(object_id=user.public_id, id__gte=since, verb="user.log_in")
    return came_in.filter(actor=f"user:{user.username}", address=request.META.get("REMOTE_ADDR", "")).exists()


def _hash(username: str) -> str:
    return keyed_hash(settings.API_KEY_HASH_KEY, f"login {username.strip().casefold()}")
