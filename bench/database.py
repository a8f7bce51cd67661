"""Where do measurements of the books alone take place? In a private PostgreSQL, durable, with our tables."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from checkout.launch.services import Services


@contextmanager
def database() -> Iterator[Any]:
    """A private, durable PostgreSQL with our tables, until the end of the block; gives its connection."""
    with tempfile.TemporaryDirectory() as folder, Services(Path(folder)) as services:
        os.environ["DATABASE_URL"] = services.start_postgres()
        os.environ["REDIS_URL"] = services.start_redis()
        os.environ["PROCESS_ROLE"] = "report"
        os.environ["DJANGO_SETTINGS_MODULE"] = "checkout.settings.test"
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        yield connection


def make_gateway(*, code: str = "north", mode: str = "test", currencies: Sequence[str] = ("EUR", "USD")) -> Any:
    """A gateway that rows can belong to; nobody answers at its address."""
    from gateways.models import Gateway

    return Gateway.objects.create(
        code=code,
        name=code.title(),
        adapter="simulator_json",
        mode=mode,
        data_format="json",
        base_url="http://127.0.0.1:1",
        currencies=list(currencies),
    )
