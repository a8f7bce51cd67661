"""How may a merchant, its key or its webhook endpoint be refused?"""

from checkout.kit.errors import Refusal


class MerchantSuspended(Refusal):
    """The merchant takes no new payments."""

    code = "merchant_suspended"
    is_final = False
    http_status = 403

    def __init__(self) -> None:
        super().__init__("This merchant is suspended and takes no new payments.")


class KeyRefused(Refusal):
    """The key does not open anything: malformed, unknown, expired or revoked."""

    code = "invalid_api_key"
    http_status = 401

    def __init__(self, message: str = "The API key is not valid.", code: str = "invalid_api_key") -> None:
        self.code = code
        super().__init__(message)


class LiveRefundsNotAtDesk(Refusal):
    """A live key that refunds lets its holder give back without limit, so nobody at the desk makes one alone."""

    code = "live_refunds_not_at_desk"
    http_status = 403
    param = "scopes"

    def __init__(self) -> None:
        super().__init__(
            "A live key made here cannot have refunds:write: it would give back any amount without a second person. "
            "Whoever has the machine makes such a key, with manage.py create_api_key."
        )


class WebhookUrlRefused(Refusal):
    """We do not call such an address: not https, not public, or not plainly written."""

    code = "invalid_webhook_url"
    http_status = 400
    param = "url"


class WebhookEndpointDisabled(Refusal):
    """The endpoint is told nothing until it is enabled."""

    code = "webhook_endpoint_disabled"

    def __init__(self) -> None:
        super().__init__("This webhook endpoint is disabled; enable it first.")


class TooManyWebhookEndpoints(Refusal):
    """The merchant has as many endpoints in this mode as it may."""

    code = "too_many_webhook_endpoints"

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"There are {limit} webhook endpoints in this mode already, and more are not possible.")


class WebhookEventNotFound(Refusal):
    """The endpoint's merchant has no such event in the endpoint's mode."""

    code = "not_found"
    http_status = 404

    def __init__(self) -> None:
        super().__init__("There is no such object.")
