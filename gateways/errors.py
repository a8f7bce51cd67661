"""How may the use of a gateway be refused?"""

from checkout.kit.errors import Refusal


class NoRoute(Refusal):
    """No gateway of the payment's region can take it."""

    code = "no_route"
    is_final = False
    http_status = 400

    def __init__(self, *, country: str, currency: str) -> None:
        super().__init__(f"No gateway takes a payment in {currency} from {country}.")


class GatewayStopped(Refusal):
    """The self-audit found something wrong with this gateway: until a person has looked, it gets no new money work."""

    code = "gateway_stopped"
    is_final = False

    def __init__(self, *, gateway: str) -> None:
        super().__init__(f"{gateway} is stopped until somebody has looked into its books. Try again later.")


class DownloadFailed(Exception):
    """A settlement file, or the list of them, could not be had. The message is ours and safe to log."""

    def __init__(self, *, gateway: str, what: str, reason: str) -> None:
        self.gateway, self.what, self.reason = gateway, what, reason
        super().__init__(f"{gateway}: {what}: {reason}.")


class CalledInsideTransaction(RuntimeError):
    """A gateway was to be called while a database transaction is open: a mistake of ours, never a user's."""
