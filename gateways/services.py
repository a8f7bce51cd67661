"""What can be done about gateways?"""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F

from checkout.kit import alerts, audit, clock
from checkout.kit.actors import Actor
from checkout.settings import policy
from gateways import client, selectors
from gateways.base import Capability
from gateways.client import Account, Answer, Call
from gateways.errors import DownloadFailed
from gateways.models import Gateway, GatewayCall, HealthCheck, ObservedFee, Region, RegionGateway
from gateways.outcomes import Outcome
from gateways.registry import adapter_class


@dataclass(frozen=True)
class Downloaded:
    """A settlement file by the gateway's name for it, complete. It lies at its path until the next one is asked for."""

    name: str
    path: Path


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
    """Ask every enabled gateway (or those given) whether it is up, all at once, and keep the answers."""
    targets = list(selectors.enabled_gateways() if gateways is None else gateways)
    calls = [Call(account=Account.of(gateway), verb="health") for gateway in targets]
    return [note_check(answer=answer) for answer in client.call_all(calls)]


def download_settlements(gateway: Gateway, is_known: Callable[[str], bool]) -> Iterator[Downloaded]:
    """Fetch the settlement files that are not known by name, oldest first; none where a gateway has no such thing.

    Whatever can be had is, and then the first failure is raised: DownloadFailed. Refuses: CalledInsideTransaction.
    """
    if Capability.SETTLEMENT_FILES not in adapter_class(gateway.adapter).capabilities:
        return
    account = Account.of(gateway)
    (listing,) = client.call_all([Call(account=account, verb="list_settlements")])
    failures = [] if _is_had(listing) else [("the list of files", listing)]
    with tempfile.TemporaryDirectory(prefix="settlement-") as folder:
        path = Path(folder, "file")
        for file in listing.files:
            if not is_known(file.name):
                answer = client.download(account=account, file=file, path=path)
                if _is_had(answer):
                    yield Downloaded(file.name, path)
                else:
                    failures.append((file.name, answer))
    if failures:
        what, answer = failures[0]
        raise DownloadFailed(gateway=gateway.code, what=what, reason=answer.result.detail)


def _is_had(answer: Answer) -> bool:
    call_record(answer).save()
    return answer.result.outcome is Outcome.SUCCEEDED


def note_observed_fees(*, gateway: Gateway, on: date, charged: Iterable[tuple[str, int, int, int]]) -> None:
    """Add what a gateway charged for payments whose settlement has just been matched, in the caller's transaction.

    `charged` says by currency how many they were, and what they and their fees sum to in minor units.
    """
    for currency, count, gross_minor, fee_minor in charged:
        ObservedFee.objects.get_or_create(gateway=gateway, currency=currency, on=on)
        ObservedFee.objects.filter(gateway=gateway, currency=currency, on=on).update(
            charge_count=F("charge_count") + count,
            gross_minor=F("gross_minor") + gross_minor,
            fee_minor=F("fee_minor") + fee_minor,
        )


def forget_old_health_checks() -> int:
    """Delete health history beyond what we keep; returns how many rows went."""
    count, _ = selectors.health_checks_to_forget().delete()
    return count


@transaction.atomic
def create_gateway(*, actor: Actor, credentials: Mapping[str, str], **fields: Any) -> Gateway:
    """Configure a gateway. Refuses: django ValidationError."""
    gateway = Gateway(credentials=json.dumps(dict(credentials)), **fields)
    gateway.full_clean()
    gateway.save(force_insert=True)
    audit.record(
        actor=actor,
        verb="gateway.create",
        obj=gateway,
        after={"code": gateway.code, "adapter": gateway.adapter, "mode": gateway.mode},
    )
    return gateway


@transaction.atomic
def set_gateway_status(*, gateway: Gateway, status: str, reason: str, actor: Actor) -> Gateway:
    """Enable or disable a gateway for new attempts; inquiries, captures, voids and refunds at it go on."""
    gateway = Gateway.objects.select_for_update(no_key=True).get(pk=gateway.pk)
    before = gateway.status
    gateway.status = Gateway.Status(status)
    gateway.save(update_fields=["status"])
    audit.record(
        actor=actor,
        verb="gateway.set_status",
        obj=gateway,
        reason=reason,
        before={"status": before},
        after={"status": gateway.status},
    )
    return gateway


@transaction.atomic
def stop_gateway(*, gateway: Gateway, reason: str, actor: Actor) -> Gateway:
    """Begin nothing new at a gateway until it is resumed: no charge, capture or refund. Inquiries and voids go on.

    `reason` is a sentence. A gateway that is stopped already keeps its first reason.
    """
    gateway = Gateway.objects.select_for_update(no_key=True).get(pk=gateway.pk)
    if gateway.stopped_at is None:
        gateway.stopped_at, gateway.stopped_reason = clock.now(), reason[:200]
        Gateway.objects.filter(pk=gateway.pk).update(
            stopped_at=gateway.stopped_at, stopped_reason=gateway.stopped_reason
        )
        audit.record(
            actor=actor,
            verb="gateway.stop",
            obj=gateway,
            reason=gateway.stopped_reason,
            before={"is_stopped": False},
            after={"is_stopped": True},
        )
        alerts.raise_alert(
            kind="gateway_stopped",
            object_id=gateway.public_id,
            severity="critical",
            message=f"{gateway.name} takes no new payments: {gateway.stopped_reason}",
        )
    return gateway


@transaction.atomic
def resume_gateway(*, gateway: Gateway, reason: str, actor: Actor) -> Gateway:
    """Route to a stopped gateway again: a person has looked. Resuming twice changes nothing."""
    gateway = Gateway.objects.select_for_update(no_key=True).get(pk=gateway.pk)
    if gateway.stopped_at is not None:
        before = {"is_stopped": True, "stopped_reason": gateway.stopped_reason}
        gateway.stopped_at, gateway.stopped_reason = None, ""
        Gateway.objects.filter(pk=gateway.pk).update(stopped_at=None, stopped_reason="")
        audit.record(
            actor=actor,
            verb="gateway.resume",
            obj=gateway,
            reason=reason,
            before=before,
            after={"is_stopped": False},
        )
    return gateway


@transaction.atomic
def set_region(
    *,
    code: str,
    name: str,
    actor: Actor,
    countries: Iterable[str] = (),
    is_everywhere_else: bool = False,
    priorities: Mapping[str, int] | None = None,
) -> Region:
    """Create or change a region: its countries (ISO 3166-1 alpha-2) and the priority of each gateway, by code.

    Refuses: django ValidationError for a country that is no country or belongs to another region.
    """
    region = Region.objects.filter(code=code).first() or Region(code=code)
    region.name, region.countries, region.is_everywhere_else = name, sorted(countries), is_everywhere_else
    region.full_clean()
    region.save()
    if priorities is not None:
        RegionGateway.objects.filter(region=region).delete()
        for gateway in Gateway.objects.filter(code__in=priorities):
            RegionGateway.objects.create(region=region, gateway=gateway, priority=priorities[gateway.code])
    audit.record(
        actor=actor, verb="region.set", obj=region, after={"countries": region.countries, "priorities": priorities}
    )
    return region


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
