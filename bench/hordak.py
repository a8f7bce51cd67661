"""How fast does django-hordak post a transfer? One process of `bench.posting`, which brings it here on its path."""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings


def main() -> None:
    """Make the tables, or post transfers for so long and print how many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("how", choices=["install", *_WAYS])
    parser.add_argument("batch", type=int)
    parser.add_argument("--seconds", type=float, default=0)
    options = parser.parse_args()
    settings.configure(
        DATABASES={"default": _database(os.environ["DATABASE_URL"])},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "mptt", "hordak"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        DEFAULT_CURRENCY="EUR",
        CURRENCIES=["EUR"],
    )
    django.setup()
    if options.how == "install":
        _install()
        return
    from django.db import transaction
    from hordak.models import Account

    source, target = Account.objects.get(name="source"), Account.objects.get(name="target")
    post, count = _WAYS[options.how], 0
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        with transaction.atomic():
            post(source, target, options.batch)
        count += options.batch
    print(count)


def _database(url: str) -> dict[str, Any]:
    """Its own database beside ours, on the same server."""
    import dj_database_url

    return {**dj_database_url.parse(url), "NAME": "hordak"}


def _install() -> None:
    import psycopg
    from django.core.management import call_command
    from hordak.models import Account

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE hordak")
    call_command("migrate", verbosity=0)
    for name in ("source", "target"):
        Account.objects.create(name=name, code=str(len(name) + Account.objects.count()), type="AS", currencies=["EUR"])


def _transfer(source: Any, target: Any, batch: int) -> None:
    from moneyed import Money

    for _ in range(batch):
        source.transfer_to(target, Money(10, "EUR"))


def _bulk(source: Any, target: Any, batch: int) -> None:
    from hordak.models import Leg, Transaction
    from moneyed import Money

    amount = Money(10, "EUR")
    rows = Transaction.objects.bulk_create(Transaction() for _ in range(batch))
    Leg.objects.bulk_create(
        leg
        for row in rows
        for leg in (
            Leg(transaction=row, account=source, credit=amount),
            Leg(transaction=row, account=target, debit=amount),
        )
    )


_WAYS: dict[str, Callable[[Any, Any, int], None]] = {"transfer": _transfer, "bulk": _bulk}


if __name__ == "__main__":
    main()
