"""What can an operator ask of a gateway? Whether it gets payments, how we are let in, and whether it answers."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget
from unfold.widgets import UnfoldBooleanSwitchWidget as SwitchWidget

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.admin import MomentField, PlainForm, Verb, VerbForm, fresh, person_of
from checkout.kit.display import words
from checkout.kit.ids import parse_public_id
from gateways import selectors, services
from gateways.errors import ConnectionFailed
from gateways.models import Gateway, GatewayMaintenance
from gateways.outcomes import Outcome
from gateways.plain import said_in
from gateways.reach import compare, count_countries
from gateways.registry import adapter_class
from gateways.services.credentials import PREVIOUS, after_rotation, needs_second_person

PERMISSION = "gateways.change_gateway"
ASKED = "Asked for. Nothing changes until somebody else agrees."

_COUNTRIES_NAMED = 8
_TWO_PEOPLE = "It is live, so a second person has to agree first."


class MaintenanceForm(VerbForm):
    """When, and why."""

    starts_at = MomentField(label="From, UTC", initial=lambda: clock.seconds_from_now(3600).replace(minute=0))
    ends_at = MomentField(label="Until, UTC", initial=lambda: clock.seconds_from_now(7200).replace(minute=0))
    field_order = ["starts_at", "ends_at", "reason"]


class WindowForm(VerbForm):
    """Which of the gateway's windows."""

    window = forms.ChoiceField(label="Maintenance", widget=UnfoldAdminSelectWidget)
    field_order = ["window", "reason"]

    def __init__(self, data: Any = None, *, obj: Gateway) -> None:
        super().__init__(data, obj=obj)
        windows = [(window.public_id, str(window)) for window in _windows_of(obj)]
        self.fields["window"].choices = windows  # type: ignore[attr-defined]


class RotationForm(VerbForm):
    """New credentials, field by field as the gateway's adapter names them. What is left empty stays as it is."""

    try_first = forms.BooleanField(
        label="Try them first",
        required=False,
        initial=True,
        widget=SwitchWidget(),
        help_text="The gateway is asked whether it is up, with these. If it gives no good answer, nothing is saved.",
    )

    def __init__(self, data: Any = None, *, obj: Gateway) -> None:
        super().__init__(data, obj=obj)
        kept = obj.secrets
        self.names = [f.name for f in adapter_class(obj.adapter).credentials if not f.name.endswith(PREVIOUS)]
        for name in self.names:
            self.fields[f"credential_{name}"] = forms.CharField(
                label=words(name).capitalize().replace("Api", "API"),
                required=False,
                max_length=500,
                help_text="Set. Leave empty to keep it." if kept.get(name) else "Not set yet.",
                widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
            )
        self.order_fields([*(f"credential_{name}" for name in self.names), "try_first", "reason"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        values = {name: cleaned.get(f"credential_{name}", "") for name in self.names}
        cleaned["values"] = {name: value for name, value in values.items() if value}
        if not cleaned["values"]:
            raise ValidationError("Write at least one of them.")
        return cleaned


def _set_status(gateway: Gateway, status: Gateway.Status, actor: Actor, data: dict[str, Any]) -> None:
    services.set_gateway_status(gateway=gateway, status=status, reason=data["reason"], actor=actor)


def _drain(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    _set_status(gateway, Gateway.Status.DRAINING, actor, data)
    return f"{gateway} is draining: no new payment is sent there."


def _disable(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    _set_status(gateway, Gateway.Status.DISABLED, actor, data)
    return f"{gateway} is disabled: no new payment is sent there, and nobody asks whether it is up."


def _enable(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    if gateway.is_live:
        services.request_enable(gateway=gateway, reason=data["reason"], maker=person_of(actor), actor=actor)
        return ASKED
    _set_status(gateway, Gateway.Status.ENABLED, actor, data)
    return f"{gateway} is enabled."


def _resume(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    if gateway.is_live:
        services.request_resume(gateway=gateway, reason=data["reason"], maker=person_of(actor), actor=actor)
        return ASKED
    services.resume_gateway(gateway=gateway, reason=data["reason"], actor=actor)
    return f"{gateway} takes new payments again."


def _plan(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    times = {"starts_at": data["starts_at"], "ends_at": data["ends_at"]}
    window = services.plan_maintenance(gateway=gateway, **times, reason=data["reason"], actor=actor)
    return f"Planned: {window}"


def _cancel(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    key = parse_public_id(GatewayMaintenance.PUBLIC_PREFIX, data["window"])
    assert key is not None
    window = GatewayMaintenance.objects.select_related("gateway").get(pk=key)
    if gateway.is_live and window.starts_at <= clock.now():
        asked = {"reason": data["reason"], "maker": person_of(actor), "actor": actor}
        services.request_end_of_maintenance(window=window, **asked)
        return ASKED
    services.cancel_maintenance(window=window, reason=data["reason"], actor=actor)
    return "Called off."


def _try(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    answer = services.try_connection(gateway=gateway)
    if answer.result.outcome != Outcome.SUCCEEDED:
        raise ConnectionFailed(gateway=gateway.name, said=said_in(answer))
    return f"{gateway} {said_in(answer)}."


def _rotate(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    if data["try_first"]:
        answer = services.try_connection(gateway=gateway, values=after_rotation(gateway, data["values"]))
        if answer.result.outcome != Outcome.SUCCEEDED:
            raise ConnectionFailed(gateway=gateway.name, said=f"{said_in(answer)}, so nothing was saved")
    asked = {"gateway": gateway, "values": data["values"], "reason": data["reason"], "actor": actor}
    if needs_second_person(gateway):
        services.request_rotation(**asked, maker=person_of(actor))
        return ASKED
    services.rotate_credentials(**asked)
    return "The new credentials are used from now on."


def _end_overlap(gateway: Gateway, actor: Actor, data: dict[str, Any]) -> str:
    services.end_overlap(gateway=gateway, reason=data["reason"], actor=actor)
    return "Only the new credentials are believed from now on."


def _windows_of(gateway: Gateway) -> Any:
    return selectors.maintenances_to_come().filter(gateway=gateway)


def _if_taken_out(gateway: Gateway) -> str:
    """What it would do to countries if the gateway got no payments now."""
    network = selectors.network()
    seen = compare(network, network.with_site(gateway.code, status=Gateway.Status.DRAINING))
    parts = []
    if moved := count_countries(seen.moved):
        parts.append(f"{_countries(moved)} would first go to another gateway.")
    if lost := sorted({country for effect in seen.lost for country in effect.countries}):
        more = f" and {len(lost) - _COUNTRIES_NAMED} more" if len(lost) > _COUNTRIES_NAMED else ""
        named = ", ".join(lost[:_COUNTRIES_NAMED])
        parts.append(f"{_countries(len(lost))} would be left without any gateway: {named}{more}.")
    return " ".join(parts) or "No country's first gateway changes by that."


def _countries(count: int) -> str:
    return f"{count} {'country' if count == 1 else 'countries'}"


VERBS = (
    Verb(
        name="connection",
        label="Test connection",
        icon="network_check",
        permission=PERMISSION,
        consequence=lambda gateway: (
            "It is asked now whether it is up, with the credentials that it has. No money moves. The answer is kept "
            "among its health checks, and counts like any of them."
        ),
        act=_try,
        form_class=PlainForm,
    ),
    Verb(
        name="enable",
        label="Enable",
        icon="check_circle",
        permission=PERMISSION,
        consequence=lambda gateway: (
            "Payments are sent there again, in the order of their region, and it is asked whether it is up."
            + (f" {_TWO_PEOPLE}" if gateway.is_live else "")
        ),
        act=_enable,
        is_offered=lambda gateway: gateway.status != Gateway.Status.ENABLED,
    ),
    Verb(
        name="resume",
        label="Resume",
        icon="play_arrow",
        permission=PERMISSION,
        consequence=lambda gateway: (
            f"New payments go there again. It was stopped because: {gateway.stopped_reason}"
            + (f" {_TWO_PEOPLE}" if gateway.is_live else "")
        ),
        act=_resume,
        is_offered=lambda gateway: gateway.is_stopped,
    ),
    Verb(
        name="maintenance",
        label="Plan maintenance",
        icon="event",
        permission=PERMISSION,
        consequence=lambda gateway: (
            "No new payment is sent there in this time; it begins and ends by itself. Captures, voids and refunds of "
            f"payments that it has still go there, and it is asked whether it is up. If it were now: "
            f"{_if_taken_out(gateway)}"
        ),
        act=_plan,
        form_class=MaintenanceForm,
    ),
    Verb(
        name="cancel-maintenance",
        label="Call off maintenance",
        icon="event_busy",
        permission=PERMISSION,
        consequence=lambda gateway: (
            "Payments are sent there as if it had not been planned."
            + (" If it has begun, a second person has to agree first: it is live." if gateway.is_live else "")
        ),
        act=_cancel,
        is_offered=lambda gateway: _windows_of(gateway).exists(),
        form_class=WindowForm,
    ),
    Verb(
        name="drain",
        label="Drain",
        icon="water_drop",
        permission=PERMISSION,
        consequence=lambda gateway: (
            "No new payment is sent there, at once. Everything about payments that it has goes on: captures, voids, "
            f"refunds, questions about outcomes. It is still asked whether it is up. {_if_taken_out(gateway)}"
        ),
        act=_drain,
        is_offered=lambda gateway: gateway.status == Gateway.Status.ENABLED,
        is_grave=True,
    ),
    Verb(
        name="disable",
        label="Disable",
        icon="block",
        permission=PERMISSION,
        consequence=lambda gateway: (
            "No new payment is sent there, at once, and nobody asks whether it is up any more: nothing warns when it "
            "is not. What it still owes goes on: captures, voids and refunds of its payments, and questions about "
            f"outcomes. To bring it back soon, drain it instead. {_if_taken_out(gateway)}"
        ),
        act=_disable,
        is_offered=lambda gateway: gateway.status != Gateway.Status.DISABLED,
        is_grave=True,
    ),
    Verb(
        name="credentials",
        label="Rotate credentials",
        icon="key",
        permission=PERMISSION,
        consequence=lambda gateway: (
            "What you write replaces what is there, and nobody can read it again. Notices under the secret that is "
            "replaced are still believed, until you end that. "
            + (_TWO_PEOPLE if needs_second_person(gateway) else "It is done at once.")
        ),
        act=_rotate,
        form_class=RotationForm,
        needs_fresh_code=fresh.always,
    ),
    Verb(
        name="end-overlap",
        label="Forget previous secrets",
        icon="key_off",
        permission=PERMISSION,
        consequence=lambda gateway: "Notices under the previous secret are refused from now on.",
        act=_end_overlap,
        is_offered=lambda gateway: any(name.endswith(PREVIOUS) and value for name, value in gateway.secrets.items()),
        is_grave=True,
    ),
)
