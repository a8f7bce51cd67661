"""The project: the floor (`kit`) that everything stands on, and the roof that wires everything together."""

from checkout.celery import app as celery_app

__all__ = ["celery_app"]
