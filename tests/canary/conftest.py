"""Where does the platform write? Everything that it writes during a test is collected here, and searched."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse

from checkout.kit.actors import Actor
from checkout.kit.models import User
from gateways.models import Gateway
from ledger.reports import REPORTS
from merchants.services import EndpointSecret, NewKey, create_endpoint, deliver_due
from merchants.tests.loop import discard_loop
from merchants.tests.receiver import Receiver, receivers
from tests.canary.marks import Search
from tests.desk import browser_of
from tests.simulation import their_credentials

ROWS_SHOWN = 1  # of each kind, each on a page of its own


class Written:
    """All that was written, by the place where it stands."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = defaultdict(list)

    def answer(self, answer: Any) -> Any:
        """Keep an answer of the platform's, with its headers; returns it."""
        is_json = answer.get("Content-Type", "").partition(";")[0].endswith("json")
        content = answer.getvalue() if answer.streaming else answer.content
        self.texts["answer" if is_json else "page"].append(content.decode())
        self.texts["header"] += [f"{name}: {value}" for name, value in answer.items()]
        return answer

    def leaks(self, search: Search) -> list[str]:
        """Every place where a secret can be read, and which."""
        return [
            f"{place}: {leak}"
            for place, texts in self.texts.items()
            for leak in search.leaks("\n".join(texts), is_page=place == "page")
        ]


class _Log(logging.Handler):
    """Keeps every line as it is written to stderr in production."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        [self.formatter] = {
            handler.formatter for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler
        }
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


@pytest.fixture
def written() -> Iterator[Written]:
    """What is written from now on: the log, from DEBUG upwards, and whatever a test keeps."""
    written = Written()
    log, root = _Log(written.texts["log"]), logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(log)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """The merchant's server, which hears its webhooks."""
    with receivers() as open_receiver:
        yield open_receiver()
    discard_loop()


@pytest.fixture
def endpoint(merchant: Any, receiver: Receiver, actor: Actor) -> EndpointSecret:
    """Its address with us, and the secret that signs what it hears."""
    return create_endpoint(merchant=merchant, mode="test", url=receiver.url, actor=actor)


@pytest.fixture
def search(api_key: NewKey, endpoint: EndpointSecret, gateways: dict[str, Gateway]) -> Search:
    """A look for every secret there is: cards, the merchant's key and signing secret, gateways' credentials, our own
    keys, and the passwords of our services."""
    secrets = {
        "the API key": api_key.secret[24:],  # beyond the part that may be shown
        "the webhook secret": endpoint.secret.removeprefix("whsec_"),
        **{f"the {name} of {code}": their_credentials(code)[name] for code in gateways for name in _THEIR_SECRETS},
        **{f"our {name}": _setting(name) for name in _OUR_SECRETS},
        "the database's password": str(settings.DATABASES["default"]["PASSWORD"]),
        "the broker's password": urlsplit(settings.REDIS_URL).password or "",
    }
    return Search({name: secret for name, secret in secrets.items() if secret})


_THEIR_SECRETS = ("api_key", "notice_secret")
_OUR_SECRETS = ("SECRET_KEY", "FERNET_KEYS", "FINGERPRINT_KEY", "API_KEY_HASH_KEY", "IDEMPOTENCY_FINGERPRINT_KEY")


def _setting(name: str) -> str:
    value = getattr(settings, name)
    return str(value[0] if isinstance(value, list) else value)


@pytest.fixture
def nothing_is_to_be_read(written: Written, search: Search, receiver: Receiver, db: None) -> Callable[..., None]:
    """`nothing_is_to_be_read()`: webhooks are delivered, then everything is searched that was written, every table and
    the metrics; with `on_pages`, so is the whole desk."""

    def nothing_is_to_be_read(*, on_pages: bool = False) -> None:
        deliver_due()
        for message in receiver.received:
            written.texts["webhook"].append(message.body.decode())
            written.texts["header"] += [f"{name}: {value}" for name, value in message.headers.items()]
        browser = browser_of(User.objects.create_user("a reader", is_staff=True, is_superuser=True))
        for address in ["/metrics", "/health/ready", "/v1/schema", *(pages() if on_pages else ())]:
            assert written.answer(browser.get(address)).status_code < 500, address
        for table, text in tables().items():
            written.texts[table].append(text)
        leaks = written.leaks(search)
        assert not leaks, f"{len(leaks)} leaks:\n" + "\n".join(leaks)

    return nothing_is_to_be_read


def pages() -> Iterator[str]:
    """The address of the desk's home, of every list, of some pages of each kind, and of every report as a file."""
    yield "/admin/"
    yield from (reverse("admin:ledger_report_export", args=[name, "csv"]) + "?mode=test" for name in REPORTS)
    for model in admin.site._registry:
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        yield address
        rows: Any = model._default_manager.order_by("-pk")[:ROWS_SHOWN]
        for row in rows:
            key = row.public_id if hasattr(model, "PUBLIC_PREFIX") else row.pk
            yield f"{address}{key}/change/"
            yield f"{address}{key}/history/"


def tables() -> dict[str, str]:
    """Every table of the database as text, whoever made it; what is encrypted is there as it is stored."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" AS t')  # noqa: S608
            found[f"table {table}"] = "\n".join(text for (text,) in cursor.fetchall())
    return found


@pytest.fixture
def stranger() -> Client:
    """Somebody's browser; errors of ours are answered, not raised."""
    return Client(raise_request_exception=False)
