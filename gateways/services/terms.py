"""What exactly does a second person agree to about a gateway? Its settings, and unseen its credentials."""

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from checkout.kit.fields import keyed_hash
from gateways.models import Gateway

# Where cards go, what takes them there, and when "not found" is believed.
_SETTINGS = ("base_url", "adapter", "currencies", "settle_window_seconds", "supports_cancel_by_reference")


def terms_of(gateway: Gateway) -> dict[str, Any]:
    """The settings on which a gateway is enabled, and the fingerprint of its credentials."""
    told = {name: getattr(gateway, name) for name in _SETTINGS}
    return {**told, "credentials_fingerprint": fingerprint(gateway, gateway.secrets)}


def fingerprint(gateway: Gateway, values: Mapping[str, Any]) -> str:
    """What makes one set of values recognizable, and nothing of it readable."""
    text = json.dumps([gateway.public_id, values], sort_keys=True)
    return keyed_hash(settings.FINGERPRINT_KEY, text)[:24]
