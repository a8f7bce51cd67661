"""How may the ledger refuse?"""

from checkout.kit.errors import Refusal


class InsufficientBalance(Refusal):
    """A request would take more from an account than it holds. The transaction it came in cannot commit."""

    code = "insufficient_balance"
    http_status = 422

    def __init__(self) -> None:
        super().__init__("The available balance does not cover this amount.")


class LedgerConflict(RuntimeError):
    """Two different facts were told under one name: a mistake of ours, never a user's. Nothing can be committed."""

    def __init__(self, *, kind: str, reference: str) -> None:
        super().__init__(f"{kind} {reference} is already in the ledger with other content.")
