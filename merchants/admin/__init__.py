"""The pages of merchants, their keys, and what they are told."""

from merchants.admin.merchants import ApiKeyAdmin, MerchantAdmin
from merchants.admin.webhooks import WebhookDeliveryAdmin, WebhookEndpointAdmin, WebhookEventAdmin

__all__ = ["ApiKeyAdmin", "MerchantAdmin", "WebhookDeliveryAdmin", "WebhookEndpointAdmin", "WebhookEventAdmin"]
