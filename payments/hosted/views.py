"""Where does a customer come back to after a challenge? Here first, so that the outcome is asked for at once."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_GET

from payments import selectors, services, waiting

_PATIENCE_SECONDS = 5


@require_GET
def customer_returns(request: HttpRequest, reference: str) -> HttpResponse:
    """GET /pay/return/{attempt}: ask the gateway now, wait a little, and send the customer on to the merchant.

    The address tells nobody anything: what it shows is the payment's id and status, as the merchant's page gets them.
    """
    attempt = selectors.attempt_by_reference(reference)
    if attempt is None:
        raise Http404
    services.ask_now(attempt=attempt)
    waiting.until_final(attempt.payment_id, _PATIENCE_SECONDS)
    payment = selectors.payment_by_key(attempt.payment_id)
    if payment.return_url:
        return HttpResponseRedirect(_with_query(payment.return_url, payment=payment.public_id, status=payment.status))
    return render(request, "hosted/returned.html", {"payment": payment})


def _with_query(url: str, **added: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(
        parts._replace(query=urlencode([*parse_qsl(parts.query, keep_blank_values=True), *added.items()]))
    )
