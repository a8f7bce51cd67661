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


class SecondPersonNeeded(Refusal):
    """Real payments would go where they do not go now: nobody decides that alone."""

    code = "second_person_needed"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"{what} concerns live traffic, so a second person has to agree. Ask for it.")


class RegionChanged(Refusal):
    """What was looked at before saving is not what is there any more."""

    code = "region_changed"

    def __init__(self, *, region: str) -> None:
        super().__init__(f"Somebody changed {region} meanwhile, so nothing was saved. Look at it as it is now.")


class NothingToChange(Refusal):
    """All is as it was asked to be."""

    code = "nothing_to_change"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"{what} is like that already.")


class MaintenanceNotPossible(Refusal):
    """A maintenance window that is no time to come was mistyped. The message says how."""

    code = "maintenance_not_possible"
    http_status = 422


class MaintenanceOver(Refusal):
    """A maintenance window that has ended or was called off cannot be called off."""

    code = "maintenance_over"

    def __init__(self) -> None:
        super().__init__("This maintenance is over, or was called off already.")


class ConnectionFailed(Refusal):
    """A gateway was asked whether it is up, and gave no good answer. `said` is in our own words."""

    code = "connection_failed"
    is_final = False

    def __init__(self, *, gateway: str, said: str) -> None:
        super().__init__(f"{gateway} {said}.")


class DownloadFailed(Exception):
    """A settlement file, or the list of them, could not be had. The message is ours and safe to log."""

    def __init__(self, *, gateway: str, what: str, reason: str) -> None:
        self.gateway, self.what, self.reason = gateway, what, reason
        super().__init__(f"{gateway}: {what}: {reason}.")


class CalledInsideTransaction(RuntimeError):
    """A gateway was to be called while a database transaction is open: a mistake of ours, never a user's."""


class NoticeIsDealtWith(Refusal):
    """The notice waits to be applied, or was."""

    code = "notice_is_dealt_with"

    def __init__(self, *, status: str) -> None:
        super().__init__(f"This notice is {status.replace('_', ' ')} by now.")
