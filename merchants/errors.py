"""How may a merchant or its key be refused?"""

from checkout.kit.errors import Refusal


class MerchantSuspended(Refusal):
    """The merchant takes no new payments."""

    code = "merchant_suspended"
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
