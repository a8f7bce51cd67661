"""The web server's door."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "checkout.settings.local")
os.environ.setdefault("PROCESS_ROLE", "web")

application = get_wsgi_application()

from checkout.kit import heartbeats  # noqa: E402 only now are there models

heartbeats.keep_beating("web")
