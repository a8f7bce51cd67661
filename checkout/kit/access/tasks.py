"""What is forgotten by itself? Sessions that are over."""

from importlib import import_module

from celery import shared_task
from django.conf import settings


@shared_task(name="access.forget_sessions")
def forget_sessions() -> None:
    """Delete the sessions that nobody can use any more."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
