"""Is the second person another one? Not if the first could be behind both: whoever gives access can use it.

The audit says who made somebody, gave them roles, a password or another app, or changed what their roles may do; and
who did that to those in turn. What lies longer back than `CHECKER_INDEPENDENCE_SECONDS` does not count.
"""

from datetime import datetime

from django.contrib.auth.models import Group
from django.db.models import F

from checkout.kit import audit, clock
from checkout.kit.ids import first_id_at
from checkout.kit.models import AuditEntry, User
from checkout.settings import policy

_OPENS_NOTHING = {"first_name", "last_name", "email"}


def let_in_by(person: User) -> dict[str, datetime]:
    """Who gave this person their access or changed it, directly or through others, and when last.

    Known by their names in the audit, `user:ana`. Two queries for each step of the way, usually one step.
    """
    found: dict[str, datetime] = {}
    asked = {f"user:{person.username}"}
    while asked:
        givers = _givers(asked)
        asked = givers.keys() - found.keys()
        found = givers | found
    found.pop(f"user:{person.username}", None)
    return found


def _givers(names: set[str]) -> dict[str, datetime]:
    usernames = [name.removeprefix("user:") for name in names]
    roles = Group.objects.filter(user__username__in=usernames).distinct()
    about = [*(name[:64] for name in names), *(audit.name_of(role) for role in roles)]
    since = first_id_at(clock.seconds_from_now(-policy.CHECKER_INDEPENDENCE_SECONDS))
    entries = AuditEntry.objects.filter(object_id__in=about, id__gte=since, actor__startswith="user:")
    entries = entries.exclude(actor=F("object_id")).exclude(verb="user.unlock").order_by("id")
    return {entry.actor: entry.at for entry in entries if not _opens_nothing(entry)}


def _opens_nothing(entry: AuditEntry) -> bool:
    return entry.verb == "user.change" and set(entry.after.get("changed", ["?"])) <= _OPENS_NOTHING
