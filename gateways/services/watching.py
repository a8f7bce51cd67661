"""How is each gateway doing? Calls and checks speak for or against its health."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.db.models import F

from checkout.kit import alerts, audit, clock
from checkout.kit.actors import Actor
from checkout.settings import policy
from gateways import client, selectors
from gateways.client import Account, Answer, Call
from gateways.models import Gateway, GatewayCall, HealthCheck


def call_record(answer: Answer) -> GatewayCall:
    """What is remembered of a call, without anything that was said; the caller writes it."""
    return GatewayCall(
        gateway_id=answer.call.account.id,
        operation=answer.call.verb,
        reference=answer.call.request.reference if answer.call.request else "",
        started_at=answer.started_at,
        duration_ms=answer.duration_ms,
        outcome=answer.result.outcome,
        http_status=answer.http_status,
        error=answer.error[:60],
        detail=answer.result.detail[:200],
    )


def note_call(*, answer: Answer) -> None:
    """Let a payment call speak for or against a gateway's health.

    A failure counts towards unhealthy and starts the count of good checks anew; an answer of any kind ends a row of
    failures. A gateway that is well and answers costs nothing.
    """
    account = answer.call.account
    gateway = Gateway.objects.filter(pk=account.id)
    if answer.is_failure:
        gateway.update(failure_count=F("failure_count") + 1, good_check_count=0)
        _mark_unhealthy(account.id)
    elif account.has_failed:
        gateway.filter(failure_count__gt=0, health_status=Gateway.Health.HEALTHY).update(failure_count=0)


@transaction.atomic
def note_check(*, answer: Answer) -> HealthCheck:
    """Keep the result of one health check and draw the conclusion."""
    gateway = Gateway.objects.select_for_update(no_key=True).get(pk=answer.call.account.id)
    is_good = answer.result.outcome == "succeeded"
    gateway.last_checked_at = answer.started_at
    if is_good:
        gateway.good_check_count += 1
        if gateway.is_healthy:
            gateway.failure_count = 0
        elif gateway.good_check_count >= policy.CHECKS_TO_HEALTHY:
            gateway.health_status = Gateway.Health.HEALTHY
            gateway.health_changed_at = clock.now()
            gateway.failure_count = 0
            _audit_health(gateway, "unhealthy", f"{gateway.good_check_count} good checks in a row")
    else:
        gateway.failure_count += 1
        gateway.good_check_count = 0
    Gateway.objects.filter(pk=gateway.pk).update(
        last_checked_at=gateway.last_checked_at,
        good_check_count=gateway.good_check_count,
        failure_count=gateway.failure_count,
        health_status=gateway.health_status,
        health_changed_at=gateway.health_changed_at,
    )
    if not is_good and _mark_unhealthy(gateway.pk):
        gateway.health_status = Gateway.Health.UNHEALTHY
    return HealthCheck.objects.create(
        gateway=gateway,
        checked_at=answer.started_at,
        is_good=is_good,
        duration_ms=answer.duration_ms,
        http_status=answer.http_status,
        error=answer.error[:60],
        health_status=gateway.health_status,
    )


def check_health(*, gateways: Iterable[Gateway] | None = None) -> list[HealthCheck]:
    """Ask every gateway that is watched (or those given) whether it is up, all at once, and keep the answers."""
    targets = list(selectors.watched_gateways() if gateways is None else gateways)
    calls = [Call(account=Account.of(gateway), verb="health") for gateway in targets]
    return [note_check(answer=answer) for answer in client.call_all(calls)]


def try_connection(*, gateway: Gateway, values: Mapping[str, str] | None = None) -> Answer:
    """Ask a gateway now whether it is up; with other credentials that are given, to try those before they are kept.

    An answer under its own credentials is kept like any check. Refuses: CalledInsideTransaction.
    """
    account = Account.of(gateway)
    if values is not None:
        account = replace(account, secrets=dict(values))
    (answer,) = client.call_all([Call(account=account, verb="health")])
    if values is None:
        note_check(answer=answer)
    return answer


def forget_old_health_checks() -> int:
    """Delete health history beyond what we keep; returns how many rows went."""
    count, _ = selectors.health_checks_to_forget().delete()
    return count


@transaction.atomic
def _mark_unhealthy(gateway_id: Any) -> bool:
    """One conditional UPDATE, so that of several witnesses exactly one raises the alarm."""
    turned = Gateway.objects.filter(
        pk=gateway_id, health_status=Gateway.Health.HEALTHY, failure_count__gte=policy.FAILURES_TO_UNHEALTHY
    ).update(health_status=Gateway.Health.UNHEALTHY, health_changed_at=clock.now(), good_check_count=0)
    if turned:
        gateway = Gateway.objects.get(pk=gateway_id)
        _audit_health(gateway, "healthy", f"{gateway.failure_count} failures in a row")
        alerts.raise_alert(
            kind="gateway_unhealthy",
            object_id=gateway.public_id,
            severity="critical",
            message=f"{gateway.name} failed {gateway.failure_count} times in a row; payments avoid it.",
        )
    return bool(turned)


def _audit_health(gateway: Gateway, before: str, reason: str) -> None:
    after = "healthy" if before == "unhealthy" else "unhealthy"
    audit.record(
        actor=Actor.task("health"),
        verb=f"gateway.become_{after}",
        obj=gateway,
        reason=reason,
        before={"health_status": before},
        after={"health_status": after},
    )
