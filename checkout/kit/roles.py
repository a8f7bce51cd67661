"""Who may do what in the admin? Roles are groups, made again after every migration."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.contrib.auth.models import Permission
    from django.db.models import QuerySet

_APPS = ("kit", "merchants", "gateways", "ledger", "payments")
EVERYTHING = "everything"

# role: `view` is to see everything, `payments.view` that app, and all others are permissions by codename.
ROLES: dict[str, tuple[str, ...]] = {
    "Operations": ("view", "change_gateway", "change_region", "change_regiongateway", "add_regiongateway")
    + ("delete_regiongateway", "capture_payment", "cancel_payment", "refund_payment", "change_alert")
    + ("change_attempt", "change_approval", "change_webhookendpoint", "change_notice"),
    "Risk": ("payments.view", "merchants.view", "gateways.view", "kit.view", "cancel_payment", "change_alert"),
    "Finance": ("view", "refund_payment", "change_approval", "add_reportsubscription", "change_reportsubscription")
    + ("add_settlementfile", "change_discrepancy", "change_closedday", "add_journalentry"),
    "Developer support": ("payments.view", "merchants.view", "gateways.view", "view_alert", "change_webhookendpoint"),
    "Read-only": ("view",),
    "Administrator": (EVERYTHING,),
}


def seed_roles(sender: Any, **kwargs: Any) -> None:
    """Give each role's group exactly its permissions. Connected to the last app's `post_migrate`, when all are made."""
    from django.contrib.auth.models import Group
    from django.db import transaction

    from checkout.kit import audit
    from checkout.kit.actors import Actor

    for role, words in ROLES.items():
        with transaction.atomic():
            group, _ = Group.objects.get_or_create(name=role)
            before = names_of(group)
            group.permissions.set(_meant(words))
            if before != (after := names_of(group)):
                told: dict[str, Any] = {"before": {"permissions": before}, "after": {"permissions": after}}
                audit.record(actor=Actor.task("migrate"), verb="role.set", obj=group, **told)


def grantable() -> "QuerySet[Permission]":
    """What people can be given: what the desk is about, and to make roles."""
    from django.contrib.auth.models import Permission
    from django.db.models import Q

    return Permission.objects.filter(
        Q(content_type__app_label__in=_APPS) | Q(content_type__app_label="auth", content_type__model="group")
    )


def names_of(role: Any) -> list[str]:
    """What a role may do, by codename."""
    return list(role.permissions.order_by("codename").values_list("codename", flat=True))


def _meant(words: tuple[str, ...]) -> "QuerySet[Permission]":
    from django.db.models import Q

    if EVERYTHING in words:
        return grantable()
    wanted = Q(codename__in=words)
    for word in words:
        if word == "view":
            wanted |= Q(codename__startswith="view_")
        elif word.endswith(".view"):
            wanted |= Q(codename__startswith="view_", content_type__app_label=word.removesuffix(".view"))
    return grantable().filter(wanted, content_type__app_label__in=_APPS)
