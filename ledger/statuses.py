"""What may follow what, on the way from a file to books that tie out?"""

from django.db.models import TextChoices

from checkout.kit.statuses import StatusMachine


class FileStatus(TextChoices):
    """How far a settlement or bank file got. A refused one leaves no line behind."""

    RECEIVED = "received"
    IMPORTING = "importing"
    IMPORTED = "imported"
    REFUSED = "refused"


class FileEvent(TextChoices):
    START = "start"
    FINISH = "finish"
    REFUSE = "refuse"


FILE = StatusMachine(
    "file",
    FileStatus.RECEIVED,
    {
        (FileStatus.RECEIVED, FileEvent.START): FileStatus.IMPORTING,
        (FileStatus.IMPORTING, FileEvent.FINISH): FileStatus.IMPORTED,
        (FileStatus.RECEIVED, FileEvent.REFUSE): FileStatus.REFUSED,
        (FileStatus.IMPORTING, FileEvent.REFUSE): FileStatus.REFUSED,
    },
)


class BatchStatus(TextChoices):
    """A payout of a gateway: it said so; it reached the bank."""

    ANNOUNCED = "announced"
    BANKED = "banked"


class BatchEvent(TextChoices):
    BANK = "bank"


BATCH = StatusMachine("batch", BatchStatus.ANNOUNCED, {(BatchStatus.ANNOUNCED, BatchEvent.BANK): BatchStatus.BANKED})


class DiscrepancyStatus(TextChoices):
    """A carried one is still open, but has an owner and no longer keeps its day from being closed.

    Resolved is what a person decided; cleared is what a later line or entry explained.
    """

    OPEN = "open"
    CARRIED = "carried"
    REQUESTED = "requested"
    RESOLVED = "resolved"
    CLEARED = "cleared"


class DiscrepancyEvent(TextChoices):
    CARRY = "carry"
    REQUEST = "request"
    REJECT = "reject"
    RESOLVE = "resolve"
    CLEAR = "clear"


_S, _E = DiscrepancyStatus, DiscrepancyEvent
UNRESOLVED = (_S.OPEN, _S.CARRIED, _S.REQUESTED)

DISCREPANCY = StatusMachine(
    "discrepancy",
    _S.OPEN,
    {
        (_S.OPEN, _E.CARRY): _S.CARRIED,
        (_S.OPEN, _E.REQUEST): _S.REQUESTED,
        (_S.CARRIED, _E.REQUEST): _S.REQUESTED,
        (_S.REQUESTED, _E.REJECT): _S.OPEN,
        (_S.OPEN, _E.RESOLVE): _S.RESOLVED,
        (_S.CARRIED, _E.RESOLVE): _S.RESOLVED,
        (_S.REQUESTED, _E.RESOLVE): _S.RESOLVED,
        (_S.OPEN, _E.CLEAR): _S.CLEARED,
        (_S.CARRIED, _E.CLEAR): _S.CLEARED,
        (_S.REQUESTED, _E.CLEAR): _S.CLEARED,
    },
)
