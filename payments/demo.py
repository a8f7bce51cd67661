"""What does a first look need? A merchant, a key, regions, simulated gateways and people, all made by the verbs."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group

from checkout.kit.access.models import Authenticator
from checkout.kit.actors import Actor
from checkout.kit.models import User
from checkout.kit.modes import Mode
from checkout.kit.money import CURRENCY_DECIMALS
from gateways import services as gateway_services
from gateways.models import Gateway, Region
from gateways.registry import adapter_class
from merchants import services as merchant_services
from merchants.models import ApiKey, Merchant
from payments import selectors, services

ACTOR = Actor.command("seed_demo")
MERCHANT = "Demo Shop"

# code, name, adapter, priority by region
GATEWAYS = (
    ("north", "Northgate", "simulator_json", {"europe": 1, "north-america": 2, "everywhere-else": 2}),
    ("south", "Southbank Pay", "simulator_xml", {"europe": 2, "asia-pacific": 2}),
    ("east", "Eastern Acquiring", "simulator_json", {"asia-pacific": 1, "everywhere-else": 1}),
    ("west", "Westcoast Cards", "simulator_xml", {"north-america": 1}),
    ("spare", "Spare", "simulator_json", {"europe": 3, "north-america": 3, "asia-pacific": 3, "everywhere-else": 3}),
)
SETTLEMENT_FORMATS = {
    "north": "checkout-1",
    "south": "adyen-settlement-details",
    "east": "stripe-itemized",
    "west": "adyen-settlement-details",
    "spare": "checkout-1",
}
REGIONS = (
    (
        "europe",
        "Europe",
        "AD AL AT BA BE BG BY CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IS IT LI LT LU LV MC MD ME MK MT NL NO PL PT "
        "RO RS SE SI SK SM TR UA VA",
    ),
    ("north-america", "North America", "CA MX US"),
    ("asia-pacific", "Asia and Pacific", "AU BD CN FJ HK ID IN JP KH KR LA LK MO MY NP NZ PH PK SG TH TW VN"),
    ("everywhere-else", "Everywhere else", ""),
)
PEOPLE = (
    ("admin", "administrator", None),
    ("olivia", "operations", "Operations"),
    ("rosa", "risk", "Risk"),
    ("frank", "finance", "Finance"),
    ("dora", "developer support", "Developer support"),
    ("rita", "read-only", "Read-only"),
)


def seed() -> dict[str, Any]:
    """Make what is missing, leave what is there, and write the simulator's configuration.

    Returns the logins and, when it was made just now, the API key's secret.
    """
    ports = json.loads(os.environ.get("SIMULATOR_PORTS", "{}"))
    public_url = settings.PUBLIC_URL.rstrip("/")
    simulated = [_gateway(code, name, adapter, int(ports.get(code, 0))) for code, name, adapter, _ in GATEWAYS]
    for code, name, countries in REGIONS:
        if not Region.objects.filter(code=code).exists():
            gateway_services.set_region(
                code=code,
                name=name,
                countries=countries.split(),
                is_everywhere_else=not countries,
                priorities={row[0]: row[3][code] for row in GATEWAYS if code in row[3]},
                actor=ACTOR,
            )
    path = Path(os.environ.get("SIMULATOR_CONFIG", settings.VAR_DIR / "simulator.json"))
    path.parent.mkdir(parents=True, exist_ok=True)
    configuration = {
        "control": {
            "host": "127.0.0.1" if _host() == "127.0.0.1" else "0.0.0.0",
            "port": int(ports.get("control", 0)),
        },
        "book": str(path.with_suffix(".sqlite3")),
        "gateways": [_simulation(gateway, public_url) for gateway in simulated],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(configuration, indent=2))
    if selectors.last_audit_run() is None:
        services.self_audit(actor=ACTOR)
    return {"logins": [_person(*person) for person in PEOPLE], **_merchant()}


def _host() -> str:
    """Where the simulator is reached; in a container of its own it must listen on every address."""
    return os.environ.get("SIMULATOR_HOST", "127.0.0.1")


def _gateway(code: str, name: str, adapter: str, port: int) -> Gateway:
    base_url = f"http://{_host()}:{port}"
    gateway = Gateway.objects.filter(code=code).first()
    if gateway is not None:
        if gateway.base_url != base_url:
            Gateway.objects.filter(pk=gateway.pk).update(base_url=base_url)
        return gateway
    kind = adapter_class(adapter)
    return gateway_services.create_gateway(
        code=code,
        name=name,
        adapter=adapter,
        mode=Mode.TEST,
        data_format=kind.data_format,
        base_url=base_url,
        credentials={
            field.name: secrets.token_urlsafe(24) if field.is_secret else f"merchant-{code}"
            for field in kind.credentials
            if field.is_required
        },
        currencies=sorted(kind.currencies & set(CURRENCY_DECIMALS)),
        payment_method_types=sorted(kind.payment_method_types),
        supports_cancel_by_reference=True,
        settle_window_seconds=30,
        fee_bps=290,
        fee_fixed_minor=30,
        actor=ACTOR,
    )


def _simulation(gateway: Gateway, public_url: str) -> dict[str, Any]:
    kept = gateway.secrets
    kept.pop("notice_secret_previous", None)  # ours alone, while the secret is being changed
    kept["api_key"] = kept.pop("signing_key", "") or kept["api_key"]
    return {
        "code": gateway.code,
        "name": gateway.name,
        "dialect": gateway.data_format,
        "port": int(gateway.base_url.rsplit(":", 1)[1]),
        "notice_url": f"{public_url}/v1/notices/{gateway.code}",
        "settlement_format": SETTLEMENT_FORMATS[gateway.code],
        "fee_bps": gateway.fee_bps,
        "fee_fixed_minor": gateway.fee_fixed_minor,
        **kept,
    }


def _person(username: str, role: str, group: str | None) -> dict[str, str]:
    password = os.environ.get("DEMO_ADMIN_PASSWORD") or "checkout-demo"
    if not User.objects.filter(username=username).exists():
        user = User.objects.create_user(
            username, password=password, is_staff=True, is_superuser=group is None, first_name=username.title()
        )
        if group:
            user.groups.add(Group.objects.get(name=group))
        Authenticator.objects.create(user=user)
    app = Authenticator.objects.filter(user__username=username, confirmed=True).first()
    return {"username": username, "password": password, "role": role, "secret": app.secret if app else ""}


def _merchant() -> dict[str, str]:
    merchant = Merchant.objects.filter(name=MERCHANT).first() or merchant_services.create_merchant(
        name=MERCHANT,
        country="DE",
        default_currency="EUR",
        fee_bps=320,
        fee_fixed_minor=30,
        tax_bps=2000,
        actor=ACTOR,
    )
    if ApiKey.objects.filter(merchant=merchant, revoked_at=None).exists():
        return {}
    new = merchant_services.create_api_key(merchant=merchant, mode=Mode.TEST, name="demo", actor=ACTOR)
    return {"api_key": new.secret}
