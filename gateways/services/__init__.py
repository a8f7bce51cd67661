"""What can be done about gateways? One file per kind of verb."""

from collections.abc import Callable, Mapping
from typing import Any

from gateways.services import credentials, maintenance, regions, standing
from gateways.services.credentials import (
    approve_rotation,
    end_overlap,
    forget_credentials,
    forget_decided_credentials,
    reject_rotation,
    request_rotation,
    rotate_credentials,
)
from gateways.services.downloading import Downloaded, download_settlements, note_observed_fees
from gateways.services.maintenance import (
    approve_end_of_maintenance,
    cancel_maintenance,
    plan_maintenance,
    request_end_of_maintenance,
)
from gateways.services.notices import look_again, set_aside
from gateways.services.regions import (
    approve_region_change,
    change_region,
    create_region,
    request_region_change,
    require_changeable,
    set_region,
)
from gateways.services.setting_up import create_gateway
from gateways.services.standing import (
    approve_enable,
    approve_resume,
    request_enable,
    request_resume,
    resume_gateway,
    set_gateway_status,
    stop_gateway,
)
from gateways.services.watching import (
    call_record,
    check_health,
    forget_old_health_checks,
    note_call,
    note_check,
    try_connection,
)

__all__ = [
    "APPROVED",
    "REJECTED",
    "Downloaded",
    "approve_enable",
    "approve_end_of_maintenance",
    "approve_region_change",
    "approve_resume",
    "approve_rotation",
    "call_record",
    "cancel_maintenance",
    "change_region",
    "check_health",
    "create_gateway",
    "create_region",
    "credentials",
    "download_settlements",
    "end_overlap",
    "forget_credentials",
    "forget_decided_credentials",
    "forget_old_health_checks",
    "look_again",
    "maintenance",
    "note_call",
    "note_check",
    "note_observed_fees",
    "plan_maintenance",
    "regions",
    "reject_rotation",
    "request_enable",
    "request_end_of_maintenance",
    "request_region_change",
    "request_resume",
    "request_rotation",
    "require_changeable",
    "resume_gateway",
    "rotate_credentials",
    "set_aside",
    "set_gateway_status",
    "set_region",
    "standing",
    "stop_gateway",
    "try_connection",
]

# What is carried out when a second person agrees, by kind of request; told `approval`, `checker` and `actor`.
APPROVED: Mapping[str, Callable[..., Any]] = {
    standing.ENABLE: approve_enable,
    standing.RESUME: approve_resume,
    maintenance.END: approve_end_of_maintenance,
    regions.CHANGE: approve_region_change,
    credentials.ROTATE: approve_rotation,
}

# What is carried out when somebody says no, where that is more than the request's end; told `reason` as well.
REJECTED: Mapping[str, Callable[..., Any]] = {credentials.ROTATE: reject_rotation}
