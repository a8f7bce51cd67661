"""Where is what under /v1?"""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from checkout.api.problems import problem


@csrf_exempt
def not_found(request: HttpRequest, *args: object) -> HttpResponse:
    """Nothing is here: a problem document, as everywhere under /v1."""
    return problem(request, http_status=404, detail="There is nothing at this address.")


urlpatterns = [
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("", include("payments.api.urls")),
    re_path("", not_found),
]
