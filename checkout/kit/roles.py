"""Who may do what in the admin? Roles are groups, made again after every migration."""

from typing import Any

# role: (actions on everything that is shown, further permissions by codename)
ROLES: dict[str, tuple[str, ...]] = {
    "Operations": ("view", "change_gateway", "change_region", "change_regiongateway", "add_regiongateway")
    + ("delete_regiongateway", "capture_payment", "cancel_payment", "refund_payment", "change_alert")
    + ("change_attempt", "change_approval", "change_webhookendpoint"),
    "Finance": ("view", "refund_payment", "change_approval", "add_reportsubscription", "change_reportsubscription")
    + ("add_settlementfile", "change_discrepancy", "change_closedday", "add_journalentry"),
    "Read-only": ("view",),
}


def seed_roles(sender: Any, **kwargs: Any) -> None:
    """Give each role's group exactly its permissions. Connected to `post_migrate`."""
    from django.apps import apps
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission
    from django.db.models import Q

    for app in apps.get_app_configs():
        if app.models_module:
            create_permissions(app, verbosity=0)
    shown = Permission.objects.filter(
        content_type__app_label__in=["kit", "merchants", "gateways", "ledger", "payments"]
    )
    for role, words in ROLES.items():
        group, _ = Group.objects.get_or_create(name=role)
        wanted = Q(codename__in=[word for word in words if word != "view"])
        if "view" in words:
            wanted |= Q(codename__startswith="view_")
        group.permissions.set(shown.filter(wanted))
