"""What can be done about merchants, their keys and what they are told?"""

from merchants.services.deliveries import deliver_due
from merchants.services.endpoints import (
    EndpointSecret,
    create_endpoint,
    disable_endpoint,
    enable_endpoint,
    rotate_secret,
    update_endpoint,
)
from merchants.services.events import (
    DELIVER_WEBHOOKS,
    dispatch_events,
    forget_old_events,
    send_test_event,
)
from merchants.services.keys import NewKey, create_api_key, note_key_used, revoke_api_key
from merchants.services.merchants import create_merchant, set_merchant_status
from merchants.services.redelivery import continue_redelivery, redeliver, redeliver_missed

__all__ = [
    "DELIVER_WEBHOOKS",
    "EndpointSecret",
    "NewKey",
    "continue_redelivery",
    "create_api_key",
    "create_endpoint",
    "create_merchant",
    "deliver_due",
    "disable_endpoint",
    "dispatch_events",
    "enable_endpoint",
    "forget_old_events",
    "note_key_used",
    "redeliver",
    "redeliver_missed",
    "revoke_api_key",
    "rotate_secret",
    "send_test_event",
    "set_merchant_status",
    "update_endpoint",
]
