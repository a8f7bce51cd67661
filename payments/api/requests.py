"""What do all calls of a merchant have in common? A merchant, a mode, strict parameters, one answer per key."""

import re
from collections.abc import Callable
from typing import Any, cast

from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from checkout.kit.actors import Actor
from checkout.kit.card_numbers import holds_card_number, holds_secret
from checkout.kit.errors import Refusal
from checkout.kit.ids import parse_public_id
from checkout.kit.inputs import StrictSerializer
from checkout.settings import policy
from merchants.models import ApiKey
from payments import idempotency, selectors, waiting
from payments.api.outputs import dumps
from payments.idempotency import Claim, KeyTaken
from payments.models import Payment

_KEY = re.compile(r"[A-Za-z0-9_\-:.]{1,255}\Z", re.ASCII)
_DEFAULT_LIMIT, _MAX_LIMIT = 10, 100


class MerchantView(APIView):
    """A resource of one merchant in one mode. `scopes` names what a key needs per method, `parameters` what may be
    asked in the query of a GET."""

    scopes: dict[str, str] = {}
    parameters: tuple[str, ...] = ()
    http_method_names = ["get", "head", "post"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        allowed = self.parameters if request.method in ("GET", "HEAD") else ()
        errors: dict[str, Any] = {}
        for name, values in request.query_params.lists():
            if name not in allowed:
                errors[name] = ValidationError("There is no such parameter.", "unknown_parameter").detail
            elif len(values) > 1:
                errors[name] = ValidationError("Is given twice.", "duplicate_parameter").detail
        if errors:
            raise ValidationError(errors)

    @property
    def merchant(self) -> Any:
        """The merchant who asks."""
        return self.request.user

    @property
    def key(self) -> ApiKey:
        """The key it showed."""
        return cast(ApiKey, self.request.auth)

    @property
    def mode(self) -> str:
        """The mode of its key."""
        return self.key.mode

    @property
    def actor(self) -> Actor:
        """Its software, for the audit."""
        return Actor.key(self.key.prefix, self.request.META.get("REMOTE_ADDR", ""))

    def payment(self, public_id: str) -> Payment:
        """The merchant's payment. Raises Http404 for what is not there or somebody else's."""
        payment = selectors.payment_of(self.merchant.pk, self.mode, public_id)
        if payment is None:
            raise Http404
        payment.merchant = self.merchant
        return payment

    def load_payment(self, key: Any) -> Payment:
        """A payment by its key, with what is shown of it."""
        return selectors.payments_of(self.merchant.pk, self.mode).get(pk=key)

    @property
    def body(self) -> Any:
        """The body as parsed JSON; nothing at all is as good as an empty object."""
        return self.request.data if self.request.META.get("CONTENT_LENGTH") not in ("", "0", None) else {}

    def parse(self, serializer: type[StrictSerializer]) -> StrictSerializer:
        """The body, validated. Raises ValidationError naming every wrong field."""
        parsed = serializer(data=self.body)
        parsed.is_valid(raise_exception=True)
        return parsed

    def once(
        self,
        *,
        verb: Callable[[Claim], Any],
        load: Callable[[Any], Any],
        document: Callable[[Any], dict[str, Any]],
        http_status: int,
    ) -> HttpResponse:
        """Do something exactly once per Idempotency-Key, wait for its outcome as long as preferred, and answer.

        `verb` commits the intention and returns its object, `load` finds that object again by its key, `document` is
        what is said of it.
        """
        claim = Claim.of(
            merchant_id=self.merchant.pk,
            mode=self.mode,
            key=idempotency_key(self.request),
            method=str(self.request.method),
            path=self.request.path,
            body=self.body,
        )
        is_replay = False
        try:
            found = verb(claim)
        except (KeyTaken, Refusal) as obstacle:
            # A refusal, too, may only mean that the first request with this key has done its work.
            row = idempotency.earlier(claim)
            if row is None:
                response: HttpResponse = self.handle_exception(obstacle)
                if not getattr(obstacle, "is_final", True):
                    return response
                body = response.content.decode()
                row = idempotency.freeze_refusal(claim, http_status=response.status_code, body=body)
                if row is None:
                    return response
            if row.http_status:
                return _answer(row.http_status, row.body, is_replay=True)
            is_replay, found = True, load(row.object_id)
        payment_id = getattr(found, "payment_id", found.pk)
        seconds = preferred_wait_seconds(self.request)
        is_final = selectors.is_settled(payment_id)
        if seconds and not is_final:
            waiting.until_settled(payment_id, seconds)
            is_final = selectors.is_settled(payment_id)
        if seconds or is_final:
            found = load(found.pk)  # after asking whether it is final: what is frozen is never older than that
        body = dumps(document(found))
        kept = idempotency.freeze(claim, http_status=http_status if is_final else 202, body=body)
        return _answer(*kept, is_replay=is_replay)


def _answer(http_status: int, body: str, *, is_replay: bool = False) -> HttpResponse:
    content_type = "application/problem+json" if http_status >= 400 else "application/json"
    headers = {"Idempotent-Replayed": "true"} if is_replay else {}
    return HttpResponse(body.encode(), status=http_status, content_type=content_type, headers=headers)


def idempotency_key(request: Request) -> str:
    """The key in the header, as a bare word or a quoted string. Raises ValidationError."""
    header = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if header is None:
        raise ValidationError({"Idempotency-Key": ["This header is needed."]}, "idempotency_key_required")
    word = header[1:-1] if len(header) >= 2 and header[0] == header[-1] == '"' else header
    if not _KEY.match(word) or holds_card_number(word) or holds_secret(word):
        message = "1 to 255 ASCII letters, digits and - _ : . are allowed, and no card number or API key."
        raise ValidationError({"Idempotency-Key": [message]}, "idempotency_key_invalid")
    return str(word)


def preferred_wait_seconds(request: Request) -> float:
    """How long to wait for the outcome (RFC 7240): `respond-async` is not at all, `wait=N` at most 20 s."""
    preferences = [part.strip().lower() for part in request.META.get("HTTP_PREFER", "").split(",")]
    if "respond-async" in preferences:
        return 0
    for preference in preferences:
        name, _, value = preference.partition("=")
        if name.strip() == "wait" and re.fullmatch(r"[0-9]{1,4}", value.strip(), re.ASCII):
            return min(int(value), policy.MAX_WAIT_SECONDS)
    return policy.DEFAULT_WAIT_SECONDS


def page(rows: QuerySet[Any], prefix: str, request: Request) -> tuple[list[Any], bool]:
    """One page by key, newest first, and whether there is more in the direction asked for. Two queries at the most.

    Raises ValidationError for a limit out of range and for a cursor that is not one of these rows.
    """
    limit_text = request.query_params.get("limit", str(_DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,3}", limit_text, re.ASCII) or not 1 <= int(limit_text) <= _MAX_LIMIT:
        raise ValidationError({"limit": [f"Must be 1 to {_MAX_LIMIT}."]}, "invalid_limit")
    limit = int(limit_text)
    after, before = (request.query_params.get(name) for name in ("starting_after", "ending_before"))
    if after is not None and before is not None:
        raise ValidationError({"ending_before": ["Not together with starting_after."]}, "invalid_cursor")
    cursor = after if after is not None else before
    if cursor is not None:
        key = parse_public_id(prefix, cursor)
        if key is None or not rows.filter(pk=key).exists():
            name = "starting_after" if after is not None else "ending_before"
            raise ValidationError({name: ["Is not the id of such an object."]}, "invalid_cursor")
        rows = rows.filter(pk__lt=key) if after is not None else rows.filter(pk__gt=key)
    found = list(rows.order_by("-pk" if before is None else "pk")[: limit + 1])
    chunk = found[:limit]
    return (chunk if before is None else chunk[::-1]), len(found) > limit
