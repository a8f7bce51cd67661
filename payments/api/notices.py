"""Where do gateways call us? Signed messages are kept and answered at once; a worker acts upon them."""

from django.core.exceptions import RequestDataTooBig
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from checkout.settings import policy
from gateways.base import NoticeRefused
from gateways.models import Gateway
from payments import services
from payments.api import outputs
from payments.errors import NoticeNotBelieved


class ReceivedOutput(serializers.Serializer):
    """How many notices of a message were new."""

    received = serializers.IntegerField()


class NoticesView(APIView):
    """/v1/notices/{gateway}"""

    http_method_names = ["post"]
    authentication_classes = ()  # no API key: the signature is the proof
    permission_classes = ()

    @extend_schema(
        operation_id="receive_notice",
        summary="Receive a signed message of a gateway, in the gateway's own format",
        request=dict.fromkeys(("application/json", "application/xml"), OpenApiTypes.STR),
        responses={200: ReceivedOutput, **outputs.problems(401, 404, 411, 413, 503)},
    )
    def post(self, request: Request, code: str) -> Response:
        if int(request.META.get("CONTENT_LENGTH") or 0) > policy.MAX_REPLY_BYTES:
            raise RequestDataTooBig
        gateway = Gateway.objects.filter(code=code).first()
        if gateway is None:
            raise Http404
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            new = services.receive_notice(gateway=gateway, headers=headers, body=request.body)
        except NoticeRefused as refusal:
            raise NoticeNotBelieved from refusal
        return Response({"received": new})
