"""What runs later for the audit? It is sealed every hour, and looked at as a whole every day."""

from celery import shared_task

from checkout.kit import alerts, audit_chain

AUDIT_BROKEN = "audit_broken"  # the kind of the alert


@shared_task(name="kit.seal_audit", time_limit=960)
def seal_audit() -> None:
    """Seal what has been written. Not retried: the next tick goes on where this one stopped."""
    audit_chain.seal_audit()


@shared_task(name="kit.verify_audit", time_limit=3600)
def verify_audit() -> None:
    """Hash everything again, and raise an alert if anything is not as it was."""
    verdict = audit_chain.verify_audit()
    if not verdict.is_green:
        alerts.raise_alert(
            kind=AUDIT_BROKEN,
            severity="critical",
            message=f"The audit is not what it was, in {verdict.violations} places: {verdict.samples[0]}.",
        )
