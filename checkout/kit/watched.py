"""Of which tables does the audit tell every change? Money, configuration, keys, people and their roles, approvals.

What has seals of its own is not among them: the ledger. Columns in which the platform keeps its own notes, of health,
use and leases, are no changes.
"""

from typing import Any

from checkout.kit.watching import Watched, watch

_MONEY = ("id", "mode", "status", "amount_minor", "currency")

_PERSON = "(SELECT 'user:' || username FROM kit_user WHERE id = it.user_id)"
_WHOSE_CODE = """(
    SELECT 'user:' || username FROM kit_user JOIN access_authenticator AS device ON device.user_id = kit_user.id
    WHERE device.id = it.authenticator_id
)"""
# A refund that was made is told of by the refund's own entry.
_WHAT_WAS_REFUNDED = """CASE WHEN TG_OP = 'UPDATE' AND OLD.refunded_minor <> NEW.refunded_minor THEN (
    SELECT object_id FROM kit_auditentry JOIN payments_refund AS refund ON object_id = public_id('rfd', refund.id)
    WHERE transaction_id = audit_transaction() AND NOT told_by_database AND refund.payment_id = it.id LIMIT 1
) END"""

WATCHED = (
    Watched(
        "payments.Payment",
        also=_WHAT_WAS_REFUNDED,
        only=(*_MONEY, "merchant_id", "authorized_minor", "captured_minor", "refunded_minor", "capture_mode"),
    ),
    Watched("payments.Refund", also="public_id('pay', it.payment_id)", only=(*_MONEY, "payment_id")),
    Watched(
        "ledger.Discrepancy",
        also="public_id('gtw', it.gateway_id)",  # of which it is said how many were explained by what came later
        only=("id", "kind", "status", "difference_minor", "owner_id", "resolution", "entry_id", "alone_minor"),
        events="UPDATE OR DELETE",
    ),
    Watched("ledger.ClosedDay"),
    Watched("ledger.ReportSubscription", ignored=("due_at", "next_at", "last_sent_at", "last_error")),
    Watched(
        "ledger.ReportSubscription_recipients",
        kind="reportsubscription",
        about="public_id('rsb', it.reportsubscription_id)",
        ignored=("id", "reportsubscription_id"),
    ),
    Watched("gateways.Gateway", ignored=("failure_count", "good_check_count", "last_checked_at")),
    Watched("gateways.GatewayMaintenance", also="public_id('gtw', it.gateway_id)"),
    Watched(
        "gateways.PendingCredentials",
        kind="approval",
        about="public_id('apr', it.approval_id)",
        also="(SELECT object_id FROM kit_approval WHERE id = it.approval_id)",
        events="INSERT OR UPDATE",  # they go when somebody has decided
    ),
    Watched("gateways.Region"),
    Watched(
        "gateways.RegionGateway",
        kind="region",
        about="public_id('reg', it.region_id)",
        ignored=("id", "region_id"),
    ),
    Watched("merchants.Merchant"),
    Watched("merchants.ApiKey", ignored=("last_used_at",), hidden=("hash",)),
    Watched("merchants.WebhookEndpoint", ignored=("failure_count", "failing_since", "paused_until")),
    Watched("kit.Approval", also="it.object_id"),
    Watched("kit.User", about="'user:' || it.username", ignored=("last_login",), hidden=("password",)),
    Watched("kit.User_groups", kind="user", about=_PERSON, ignored=("id", "user_id")),
    Watched("kit.User_user_permissions", kind="user", about=_PERSON, ignored=("id", "user_id")),
    Watched(
        "access.Authenticator",
        kind="user",
        about=_PERSON,
        ignored=("id", "user_id", "last_step", "throttling_failure_count", "throttling_failure_timestamp"),
        when="OLD.confirmed OR NEW.confirmed",  # until then it opens nothing
    ),
    Watched(
        "access.RecoveryCode",
        kind="user",
        about=_WHOSE_CODE,
        ignored=("id", "authenticator_id"),
        hidden=("hash",),
    ),
    Watched("auth.Group", about="'role:' || it.name"),
    Watched(
        "auth.Group_permissions",
        kind="group",
        about="(SELECT 'role:' || name FROM auth_group WHERE id = it.group_id)",
        ignored=("id", "group_id"),
    ),
)


def watch_tables(using: str, **kwargs: Any) -> None:
    """Have the database watch what is to be watched. Connected to `post_migrate`."""
    watch(WATCHED, using=using)
