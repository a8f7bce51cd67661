"""How may the use of a gateway be refused?"""

from checkout.kit.errors import Refusal


class NoRoute(Refusal):
    """No gateway of the payment's region can take it."""

    code = "no_route"
    is_final = False
    http_status = 400

    def __init__(self, *, country: str, currency: str) -> None:
        super().__init__(f"No gateway takes a payment in {currency} from {country}.")


class CalledInsideTransaction(RuntimeError):
    """A gateway was to be called while a database transaction is open: a mistake of ours, never a user's."""
