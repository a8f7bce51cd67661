"""How may the ledger refuse?"""

from datetime import date

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


class ChargebackNotOpened(Refusal):
    """A dispute was decided that was never opened here."""

    code = "chargeback_not_opened"

    def __init__(self, *, reference: str) -> None:
        super().__init__(f"No chargeback was opened under {reference}.")


class DayNotOver(Refusal):
    """A day cannot be closed while something that began on it may still be written."""

    code = "day_not_over"
    is_final = False

    def __init__(self, *, day: date) -> None:
        super().__init__(f"{day} is not over, or something that began on it is still being written.")


class EntryDoesNotBalance(Refusal):
    """The legs of a journal entry are too few, or their debits and credits differ in some currency."""

    code = "entry_does_not_balance"
    http_status = 422

    def __init__(self, *, problem: str) -> None:
        super().__init__(f"This entry does not balance: {problem}.")


class AccountNotInChart(Refusal):
    """An account was named with an owner that such accounts do not have."""

    code = "account_not_in_chart"
    http_status = 422

    def __init__(self, *, kind: str, owner: str) -> None:
        super().__init__(f"{kind} is an account of a {owner}: name it, and nobody else.")


class OneGatewayOnly(Refusal):
    """An entry touches accounts of more than one gateway, so that no day of theirs could hold it."""

    code = "one_gateway_only"
    http_status = 422

    def __init__(self) -> None:
        super().__init__("An entry can touch the accounts of one gateway only. Make one entry for each.")


class DayInFuture(Refusal):
    """An entry cannot be of a day that has not come yet."""

    code = "day_in_future"
    http_status = 422

    def __init__(self, *, day: date) -> None:
        super().__init__(f"{day} has not come yet.")


class AlreadyReversed(Refusal):
    """An entry is reversed once."""

    code = "already_reversed"

    def __init__(self, *, entry: str) -> None:
        super().__init__(f"{entry} has been reversed already.")
