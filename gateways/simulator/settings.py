"""How is a simulated gateway set up? The fields of the configuration file, their limits, and what each behaviour does.

    {"control": {"host": "127.0.0.1", "port": 8100}, "book": "book.sqlite3", "seed": 7,
     "gateways": [{"code": "north", "name": "Northgate", "dialect": "json", "port": 8101, "api_key": "…",
                   "notice_secret": "…", "notice_url": "http://127.0.0.1:8000/v1/notices/north"}]}

Port 0 picks a free one. An `xml` gateway calls its `api_key` the signing key, and has a `merchant_id` (its code, unless
told otherwise).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

HEALTHY = "healthy"
DOWN = "down"
SLOW = "slow"
ERROR_BEFORE_CHARGING = "error_before_charging"
CHARGE_THEN_500 = "charge_then_500"
CHARGE_THEN_TIMEOUT = "charge_then_timeout"
RESET_BEFORE_CHARGING = "reset_before_charging"
RESET = "reset"
CHARGE_THEN_GARBAGE = "charge_then_garbage"
BAD_GATEWAY = "bad_gateway"
DUPLICATE_AND_LATE_NOTICES = "duplicate_and_late_notices"
ASYNCHRONOUS = "asynchronous"

BEHAVIOURS: Mapping[str, str] = {
    HEALTHY: "Answers every call at once and truthfully.",
    DOWN: "Refuses every connection; nothing reaches the gateway and nothing is charged.",
    SLOW: "Does what it is asked, but answers only after some seconds.",
    ERROR_BEFORE_CHARGING: "Answers “500” to money calls and does nothing: no money moves.",
    CHARGE_THEN_500: "Moves the money, then answers “500” as if it had failed.",
    CHARGE_THEN_TIMEOUT: "Moves the money, then never answers: the caller waits until it gives up.",
    RESET_BEFORE_CHARGING: "Cuts the connection without an answer and does nothing: no money moves.",
    RESET: "Moves the money, then cuts the connection without an answer.",
    CHARGE_THEN_GARBAGE: "Moves the money, then sends an answer that is cut short, empty or unreadable.",
    BAD_GATEWAY: "Answers “502” like a proxy in front of it: half of the money calls moved the money, half did not.",
    DUPLICATE_AND_LATE_NOTICES: "Answers well, but sends each notice three times, seconds late and out of order.",
    ASYNCHRONOUS: "Answers “pending”; decides some seconds later and tells the outcome by a notice.",
}
PROFILES: Mapping[str, str] = {
    "by_card": "The card number decides; see the test cards.",
    "by_amount": "The amount decides: 1 is declined, 2 has insufficient funds, 24 stays pending until asked again.",
    "always_yes": "Every charge is approved.",
}
NOTICES: Mapping[str, str] = {
    "all": "Every final outcome is told by a notice.",
    "asynchronous": "Only outcomes that no answer told are told by a notice.",
    "none": "No notices.",
}
DIALECTS = ("json", "xml")
SETTLEMENT_FORMATS: Mapping[str, str] = {
    "checkout-1": "A plain table in minor units, one line per movement.",
    "stripe-itemized": "Stripe's itemised payout reconciliation, in major units.",
    "adyen-settlement-details": "Adyen's settlement details: debit and credit columns, fees in one part or in three.",
}

CHANGEABLE = frozenset(
    [
        "name",
        "notice_url",
        "notices",
        "behaviour",
        "profile",
        "latency_ms",
        "share",
        "slow_seconds",
        "async_seconds",
        "mix",
        "settlement_format",
        "fee_bps",
        "fee_fixed_minor",
    ]
)


class SettingsRefused(ValueError):
    """A setting is missing, unknown or out of range; the message names it."""


@dataclass(frozen=True)
class GatewaySettings:
    """One simulated gateway.

    `latency_ms` delays every request before it is looked at, `slow_seconds` the answer of a slow one, `async_seconds`
    the decision on a pending one. `share` (0 to 1) of the calls get the behaviour, the others are healthy. `mix`
    gives shares of faulty behaviours to a gateway that is otherwise healthy. A capture costs `fee_bps` of its amount
    and `fee_fixed_minor` of its currency, a refund nothing; `settlement_format` is how the settlement files look.
    """

    code: str
    name: str
    dialect: str
    api_key: str = field(repr=False)
    notice_secret: str = field(repr=False)
    merchant_id: str
    port: int = 0
    notice_url: str = ""
    notices: str = "all"
    behaviour: str = HEALTHY
    profile: str = "by_card"
    latency_ms: int = 0
    share: float = 1.0
    slow_seconds: float = 3.0
    async_seconds: float = 2.0
    mix: Mapping[str, float] = field(default_factory=dict)
    settlement_format: str = "checkout-1"
    fee_bps: int = 0
    fee_fixed_minor: int = 0

    def __post_init__(self) -> None:
        for name, (is_valid, expected) in _RULES.items():
            if not is_valid(getattr(self, name)):
                raise SettingsRefused(f"{name}: must be {expected}")

    @classmethod
    def parse(cls, value: Any) -> "GatewaySettings":
        """Settings from decoded JSON. Refuses (SettingsRefused) what is missing, unknown or out of range."""
        values = _known(value, {f.name for f in fields(cls)}, needed=_REQUIRED)
        return cls(**{"merchant_id": values["code"], **values})

    def changed(self, value: Any) -> "GatewaySettings":
        """A copy with the changes in decoded JSON. Refuses (SettingsRefused) what cannot be changed or is not valid."""
        return replace(self, **_known(value, CHANGEABLE))


@dataclass(frozen=True)
class Config:
    """The whole configuration file."""

    control_host: str
    control_port: int
    book: str
    seed: int | None
    gateways: tuple[GatewaySettings, ...]

    @classmethod
    def parse(cls, value: Any) -> "Config":
        """The configuration from decoded JSON. Refuses (SettingsRefused) what is missing, unknown or out of range."""
        top = _known(value, {"control", "book", "seed", "gateways"}, needed={"control", "book", "gateways"})
        control = _known(top["control"], {"host", "port"}, needed={"port"})
        if not isinstance(top["gateways"], list):
            raise SettingsRefused("gateways: must be a list")
        return cls(
            control_host=control.get("host", "127.0.0.1"),
            control_port=control["port"],
            book=top["book"],
            seed=top.get("seed"),
            gateways=tuple(GatewaySettings.parse(gateway) for gateway in top["gateways"]),
        )


def _known(value: Any, names: set[str] | frozenset[str], needed: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsRefused("must be an object")
    if unknown := sorted(set(value) - names):
        raise SettingsRefused(f"{unknown[0]}: not one of {', '.join(sorted(names))}")
    if missing := sorted((needed or set()) - set(value)):
        raise SettingsRefused(f"{missing[0]}: missing")
    return value


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def _number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _mix(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(name in BEHAVIOURS and name not in (HEALTHY, DOWN) for name in value)
        and all(_number(share, 0, 1) for share in value.values())
        and sum(value.values()) <= 1
    )


def _one_of(names: Any) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in names, f"one of {', '.join(names)}"


_REQUIRED = {"code", "name", "dialect", "api_key", "notice_secret"}
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "code": (
        lambda value: isinstance(value, str) and bool(re.fullmatch("[a-z][a-z0-9_-]{0,39}", value)),
        "1 to 40 characters of a-z, 0-9, _ and -, a letter first",
    ),
    "name": (_text, "a text of 1 to 200 characters"),
    "dialect": _one_of(DIALECTS),
    "api_key": (_text, "a text of 1 to 200 characters"),
    "notice_secret": (_text, "a text of 1 to 200 characters"),
    "merchant_id": (_text, "a text of 1 to 200 characters"),
    "port": (lambda value: _whole(value, 0, 65535), "a port number, or 0 for a free one"),
    "notice_url": (
        lambda value: isinstance(value, str) and (value == "" or value.startswith(("http://", "https://"))),
        "an http:// or https:// address, or empty for no notices",
    ),
    "notices": _one_of(NOTICES),
    "behaviour": _one_of(BEHAVIOURS),
    "profile": _one_of(PROFILES),
    "latency_ms": (lambda value: _whole(value, 0, 60_000), "a whole number from 0 to 60000"),
    "share": (lambda value: _number(value, 0, 1), "a number from 0 to 1"),
    "slow_seconds": (lambda value: _number(value, 0, 300), "a number from 0 to 300"),
    "async_seconds": (lambda value: _number(value, 0, 86_400), "a number from 0 to 86400"),
    "mix": (_mix, "an object of behaviours other than healthy and down, with shares that sum to at most 1"),
    "settlement_format": _one_of(SETTLEMENT_FORMATS),
    "fee_bps": (lambda value: _whole(value, 0, 10_000), "a whole number from 0 to 10000"),
    "fee_fixed_minor": (lambda value: _whole(value, 0, 1_000_000), "a whole number from 0 to 1000000"),
}
