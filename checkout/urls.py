"""Where is what?"""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from checkout import health, metrics

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("v1/", include("checkout.api.urls")),
    path("pay/", include("payments.hosted.urls")),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("metrics", metrics.metrics),
]
