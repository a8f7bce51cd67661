"""What came of a call or a check, in plain words? The one place that knows what an error's name means to a person."""

from checkout.kit.display import duration, words
from gateways.client import Answer
from gateways.models import GatewayCall, HealthCheck
from gateways.outcomes import NOT_HEALTHY, Outcome

# The names of aiohttp's errors, and ours for a deadline.
_ERRORS = {
    "Timeout": "timed out after {took}",
    "ConnectionTimeoutError": "could not be connected to within {took}",
    "ClientConnectorError": "refused the connection",
    "ClientConnectorDNSError": "has a name that cannot be found",
    "ClientConnectorSSLError": "could not agree on encryption with us",
    "ClientConnectorCertificateError": "shows a certificate that cannot be trusted",
    "ServerDisconnectedError": "closed the connection before an answer",
    "ClientOSError": "broke the connection before an answer",
    "ClientPayloadError": "broke off in the middle of its answer",
    "InvalidURL": "has an address that is none",
    "InvalidUrlClientError": "has an address that is none",
}
_STATUSES = {
    401: "refused the credentials (401)",
    403: "refused the credentials (403)",
    404: "does not know the address we asked (404)",
    429: "asked us to slow down (429)",
}


def said_at(call: GatewayCall) -> str:
    """What a gateway did when it was called."""
    return said(
        outcome=call.outcome,
        http_status=call.http_status,
        error=call.error,
        duration_ms=call.duration_ms,
        detail=call.detail,
    )


def said_when_checked(check: HealthCheck) -> str:
    """What a gateway did when it was asked whether it is up."""
    return said(
        outcome=Outcome.SUCCEEDED if check.is_good else Outcome.UNKNOWN,
        http_status=check.http_status,
        error=check.error,
        duration_ms=check.duration_ms,
        detail=NOT_HEALTHY,
    )


def said_in(answer: Answer) -> str:
    """What a gateway did, from its answer."""
    return said(
        outcome=answer.result.outcome,
        http_status=answer.http_status,
        error=answer.error,
        duration_ms=answer.duration_ms,
        detail=answer.result.detail,
    )


def said(*, outcome: str, http_status: int | None, error: str, duration_ms: int, detail: str = "") -> str:
    """What a gateway did when it was asked, to follow its name: “timed out after 9.0 s”, “answered in 34 ms”.

    `error` is the class of transport error, if there was one.
    """
    took = duration(duration_ms)
    if error:
        return _ERRORS.get(error, "could not be reached ({error})").format(took=took, error=error)
    if outcome == Outcome.SUCCEEDED:
        return f"answered in {took}"
    if outcome in (Outcome.DECLINED, Outcome.PENDING):
        return f"{'declined' if outcome == Outcome.DECLINED else 'has it and will tell us later'}, in {took}"
    if http_status in _STATUSES:
        return _STATUSES[http_status]
    if (http_status or 0) >= 500:
        return f"failed with an error of its own ({http_status})"
    if detail == NOT_HEALTHY:
        return "says that it is not well"
    if http_status:
        return (
            f"gave no answer that can be believed ({http_status}): {words(detail)}" if detail else "was not understood"
        )
    return words(detail) if detail else "was not asked"
