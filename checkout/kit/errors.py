"""How may something be refused? A refusal states a fact and carries a stable code; the API turns it into a problem."""


class Refusal(Exception):
    """Our own rule says no. Nothing was changed.

    `code` is stable and part of the API; `http_status` is what HTTP would call this kind of no: 409 the status of the
    object forbids it, 422 the figures do not fit, 400 wrong by itself, 404 not there. `params` names the fields at
    fault, when there are some.
    """

    code = "refused"
    is_final = True  # whether the same request would be refused again; if not, its answer is not kept under its key
    http_status = 409
    param: str | None = None

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class InvalidTransition(Refusal):
    """The status table has no such step."""

    code = "invalid_status"

    def __init__(self, *, machine: str, status: str, event: str) -> None:
        self.status, self.event = status, event
        super().__init__(f"This {machine} is {status} and cannot {event.replace('_', ' ')}.")
