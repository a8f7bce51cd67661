"""How does a gateway come to be?"""

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from checkout.kit import audit
from checkout.kit.actors import Actor
from gateways.models import Gateway


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
