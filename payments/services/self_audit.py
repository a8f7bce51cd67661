"""What follows when the books do not hold? An alert for each broken invariant, and no new payment for the gateways
whose books are in doubt, until a person has looked.

Inquiries and voids at a stopped gateway go on: they are how one learns, and how one gives back.
"""

import time
from datetime import timedelta

from django.db import connection, transaction

from checkout.kit import alerts, clock
from checkout.kit.actors import Actor
from gateways import services as gateway_services
from gateways.models import Gateway
from payments import selectors
from payments.models import AuditRun
from payments.selfaudit import Finding, Scope, audit_books

_LOCK = 0x5E1FA0D1  # any number that nobody else locks
_CARD_DATA = "I14"
_OVERLAP = timedelta(minutes=5)  # a row may be committed somewhat later than it says


def self_audit(*, actor: Actor) -> AuditRun | None:
    """Examine every invariant, keep the result, and act upon what is red. None if another process is at it already.

    A gateway that a person has resumed is stopped again only for more than was known by then.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return None
        try:
            return _self_audit(actor)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _self_audit(actor: Actor) -> AuditRun:
    started_at, began = clock.now(), time.monotonic()
    clean = selectors.last_audit_run(green_in=_CARD_DATA)
    findings = audit_books(Scope(texts_since=clean.started_at - _OVERLAP if clean else None))
    red = [finding for finding in findings if not finding.is_green]
    with transaction.atomic():
        known = _known(selectors.last_audit_run())
        run = AuditRun.objects.create(
            started_at=started_at,
            duration_ms=round((time.monotonic() - began) * 1000),
            result=AuditRun.Result.RED if red else AuditRun.Result.GREEN,
            findings=[finding.as_json() for finding in red],
            counts={finding.code: finding.checked for finding in findings},
        )
        for finding in red:
            _raise_alert(finding)
            for code, count in finding.gateways.items():
                if count > known.get((finding.code, code), 0):
                    gateway_services.stop_gateway(
                        gateway=Gateway.objects.get(code=code), reason=_sentence(finding, count), actor=actor
                    )
    return run


def _known(run: AuditRun | None) -> dict[tuple[str, str], int]:
    """How many violations of each invariant at each gateway the run before had found."""
    findings = run.findings if run else []
    return {(finding["code"], code): n for finding in findings for code, n in finding["gateways"].items()}


def _raise_alert(finding: Finding) -> None:
    name, problem = finding.samples[0]
    alerts.raise_alert(
        kind="self_audit_red",
        object_id=finding.code,
        severity="critical",
        message=f"{_sentence(finding, finding.violations)} For instance: {name} {problem}.",
    )


def _sentence(finding: Finding, count: int) -> str:
    return f"“{finding.name}” ({finding.code}) does not hold for {count}."
