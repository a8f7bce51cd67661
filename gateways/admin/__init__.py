"""The pages of gateways, regions, and what was said between them and us."""

from gateways.admin.gateways import GatewayAdmin
from gateways.admin.regions import RegionAdmin
from gateways.admin.traffic import GatewayCallAdmin, HealthCheckAdmin, NoticeAdmin

__all__ = ["GatewayAdmin", "GatewayCallAdmin", "HealthCheckAdmin", "NoticeAdmin", "RegionAdmin"]
