"""Where do gateways call us? Signed messages are kept and answered at once; a worker acts upon them."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from checkout.settings import policy
from gateways.base import NoticeRefused
from gateways.models import Gateway
from payments import services


@method_decorator(csrf_exempt, name="dispatch")
class NoticesView(View):
    """POST /v1/notices/{gateway}: no API key, the signature is the proof."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, code: str) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > policy.MAX_REPLY_BYTES:
            return _refused(413, "body_too_large")
        gateway = Gateway.objects.filter(code=code).first()
        if gateway is None:
            return _refused(404, "not_found")
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            new = services.receive_notice(gateway=gateway, headers=headers, body=request.body)
        except NoticeRefused:
            return _refused(401, "notice_refused")
        return JsonResponse({"received": new})

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = _refused(405, "method_not_allowed")
        response["Allow"] = "POST"
        return response


def _refused(http_status: int, code: str) -> HttpResponse:
    return JsonResponse(
        {"type": "about:blank", "title": "Notice refused", "status": http_status, "code": code},
        status=http_status,
        content_type="application/problem+json",
    )
