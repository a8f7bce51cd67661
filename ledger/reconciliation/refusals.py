"""How may reconciliation refuse?"""

from datetime import date
from typing import Any

from checkout.kit.errors import Refusal
from checkout.kit.money import Money


class FileTooLarge(Refusal):
    """More bytes than we take in one file."""

    code = "file_too_large"
    http_status = 413

    def __init__(self, *, limit_bytes: int) -> None:
        super().__init__(f"The file is larger than {limit_bytes // 1024 // 1024} MB. Ask for it in parts.")


class FileAlreadyReceived(Refusal):
    """The very same bytes are here already, and were not refused."""

    code = "file_already_received"

    def __init__(self, *, file: Any) -> None:
        self.file = file
        super().__init__(f"The same file was received before: {file.name}, {file.public_id}.")


class OtherMode(Refusal):
    """A live gateway's file is no test, and the other way round."""

    code = "other_mode"
    http_status = 400

    def __init__(self, *, gateway: str, mode: str) -> None:
        super().__init__(f"{gateway} is a {mode} gateway: its files are {mode} files.")


class ReconciliationUnderWay(Refusal):
    """Lines and items of this gateway are being matched this very moment."""

    code = "reconciliation_under_way"
    is_final = False

    def __init__(self) -> None:
        super().__init__("This gateway is being reconciled right now. Try again in a minute.")


class DiscrepancyEnded(Refusal):
    """It was resolved, or something that came later explained it."""

    code = "discrepancy_ended"

    def __init__(self, *, status: str) -> None:
        super().__init__(f"This discrepancy is {status}: there is nothing left to do about it.")


class ResolutionNotPossible(Refusal):
    """What was proposed does not explain this kind of difference."""

    code = "resolution_not_possible"
    http_status = 422

    def __init__(self, reason: str) -> None:
        super().__init__(f"This does not resolve it: {reason}.")


class SecondPersonNeeded(Refusal):
    """It would post more than one person alone may."""

    code = "second_person_needed"
    http_status = 403

    def __init__(self, *, amount: Money, limit: Money, when: str) -> None:
        self.amount, self.limit = amount, limit
        super().__init__(
            f"It would make {amount} {when}, more than the {limit} that one person may explain alone: ask a second one."
        )


class TooManyAtOnce(Refusal):
    """More discrepancies than are resolved in one go."""

    code = "too_many_at_once"
    http_status = 422

    def __init__(self, *, count: int, limit: int) -> None:
        super().__init__(f"{count:,} are too many at once; up to {limit:,} can be resolved together.")


class LineCannotBeMatched(Refusal):
    """A line and an item that cannot be one movement, or are consumed already."""

    code = "line_cannot_be_matched"
    http_status = 422

    def __init__(self, reason: str) -> None:
        super().__init__(f"They cannot be matched: {reason}.")


class DayCannotBeClosed(Refusal):
    """Why a day stays open; the classes below say which."""

    code = "day_cannot_be_closed"


class DayAlreadyClosed(DayCannotBeClosed):
    code = "day_already_closed"

    def __init__(self, *, day: date) -> None:
        super().__init__(f"{day} is closed already.")


class EarlierDayOpen(DayCannotBeClosed):
    code = "earlier_day_open"

    def __init__(self, *, day: date) -> None:
        self.day = day
        super().__init__(f"{day} is still open. Days are closed in their order.")


class FileMissing(DayCannotBeClosed):
    code = "file_missing"

    def __init__(self, *, day: date, gateway: str) -> None:
        super().__init__(f"Money moved at {gateway} on {day}, and no file of it that covers the day has been imported.")


class FileNotReconciled(DayCannotBeClosed):
    code = "file_not_reconciled"
    is_final = False

    def __init__(self, *, name: str) -> None:
        super().__init__(f"The file {name} has been received and is not matched yet.")


class NotCompared(DayCannotBeClosed):
    code = "not_compared"
    is_final = False

    def __init__(self, *, count: int) -> None:
        self.count = count
        super().__init__(
            f"{count:,} lines and movements have come since files were last matched, and are not told yet."
        )


class UnmappedLines(DayCannotBeClosed):
    code = "unmapped_lines"

    def __init__(self, *, count: int) -> None:
        self.count = count
        super().__init__(f"{count:,} lines are of a kind that nobody has told us the meaning of.")


class UnresolvedDiscrepancies(DayCannotBeClosed):
    code = "unresolved_discrepancies"

    def __init__(self, *, count: int) -> None:
        self.count = count
        super().__init__(f"{count:,} discrepancies are neither resolved nor carried by anybody.")


class DoesNotTieOut(DayCannotBeClosed):
    code = "does_not_tie_out"

    def __init__(self, *, what: str, difference: Money) -> None:
        self.difference = difference
        super().__init__(f"{what} does not tie out: the difference is {difference}.")


class DayNotClosed(Refusal):
    """Only a closed day can be opened again, and the latest first."""

    code = "day_not_closed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"This day cannot be opened again: {reason}.")
