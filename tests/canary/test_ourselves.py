"""Is a secret kept that we ourselves handle? In our mistakes, at the desk and on the command line."""

import json
import re
import threading
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError
from django.test import Client

from checkout.kit import defer
from checkout.kit.actors import Actor
from checkout.kit.errors import Refusal
from checkout.kit.models import AuditEntry, User
from gateways.models import Gateway, Region
from merchants.models import Merchant
from merchants.services import NewKey, create_api_key
from payments import selectors, sweeper, tasks
from payments.models import Payment
from tests.canary import ways_in
from tests.canary.conftest import Written, pages
from tests.canary.marks import Search, drawn, forms, next_card
from tests.desk import at_desk, browser_of, fill_in
from tests.simulation import their_credentials

Nothing = Callable[..., None]


def test_errors_of_ours_tell_nothing(
    api: Any,
    stranger: Client,
    written: Written,
    carry_out: Callable[[], int],
    api_key: NewKey,
    nothing_is_to_be_read: Nothing,
) -> None:
    def fail(error: type[Exception]) -> Callable[..., Any]:
        def stumble(*arguments: Any, **named: Any) -> Any:
            card = next_card()
            try:
                raise ValueError(f"{card.number} cvv={card.cvv} {api_key.secret}\nDETAIL: Failing row ({card.number})")
            except ValueError as cause:
                raise error(f"could not work with {card.number}, cvc: {card.cvv}") from cause

        return stumble

    somebody = User.objects.create_user("canary", is_staff=True, is_superuser=True)
    stranger.cookies = browser_of(somebody).cookies
    payment = Payment.objects.get(pk=selectors.payment_of(api_key.key.merchant_id, "test", api.pay().json()["id"]).pk)
    for error in (RuntimeError, OperationalError, IntegrityError, Refused):
        for place, send in {
            "payments.services.create_payment": lambda: ways_in.create(api),
            "payments.services.refund_payment": lambda: api.post(f"/v1/payments/{payment.public_id}/refunds", {}),
            "payments.vault.new_card": lambda: ways_in.create(api),
            "payments.api.outputs.payment_json": lambda: api.get(f"/v1/payments/{payment.public_id}"),
            "payments.admin.story_of": lambda: stranger.get(f"/admin/payments/payment/{payment.public_id}/change/"),
            "gateways.admin.gateways.figures_today": lambda: stranger.get("/admin/gateways/gateway/"),
            "payments.services.receive_notice": lambda: stranger.post("/v1/notices/north", "{}", "application/json"),
        }.items():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(place, fail(error))
                assert written.answer(send()).status_code >= 400, place
        if error is OperationalError:
            continue  # it would close the connection, and the test's transaction with it
        for place, work in {
            "payments.services.run.record_answer": carry_out,
            "gateways.adapters.simulator_json.SimulatorJson._result": carry_out,
            "payments.services.run_due": lambda: tasks.run_due.apply(),
            "payments.services.apply_notices": lambda: tasks.apply_notices.apply(),
            "payments.sweeper.sweep_once": sweep_once_and_stop,
            "checkout.kit.defer._redis": lambda: defer.ring("payments.run_due"),
        }.items():
            ways_in.create(api)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(place, fail(error))
                work()
    assert "Traceback" in "".join(written.texts["log"])
    nothing_is_to_be_read()


class Refused(Refusal):
    """A refusal that says more than it should."""

    code = "refused"


def sweep_once_and_stop() -> None:
    """A sweeper that looks once."""
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeper, "close_old_connections", lambda: None)  # the test's transaction is on this one
        sweeper._keep_on(lambda: sweeper.sweep_once(), stop)


def test_what_people_type_at_the_desk(
    api: Any, written: Written, gateways: dict[str, Gateway], search: Search, nothing_is_to_be_read: Nothing
) -> None:
    browser = at_desk("administrator")
    captured = api.pay().json()["id"]
    new = {name: f"Canary-{name}-wZ3kP9vT2Xq7" for name in ("api_key", "notice_secret")}
    search.secrets = {**search.secrets, **new}
    north = f"/admin/gateways/gateway/{gateways['north'].public_id}/change/"

    def typed(address: str, **fields: Any) -> Any:
        return written.answer(fill_in(browser, address, **fields))

    credentials = {**{f"credential_{name}": value for name, value in new.items()}, "try_first": ""}
    page, old = north.replace("change", "credentials"), Gateway.objects.get(code="north").secrets["notice_secret"]
    assert typed(page, **credentials, reason="").status_code == 200  # refused, and nothing typed is shown again
    assert typed(page, **credentials, reason="rotated").status_code == 302
    assert Gateway.objects.get(code="north").secrets == {**new, "notice_secret_previous": old}
    made = fill_in(
        browser,
        f"/admin/merchants/merchant/{Merchant.objects.get().public_id}/new-key/",
        name="new",
        mode="test",
        scopes=["payments:read"],
    )
    secret = re.search(r"sk_test_[0-9A-Za-z]{46}", made.content.decode())
    assert secret, "the secret of a new key is shown once"
    search.secrets["the new key"] = secret[0][24:]
    Gateway.objects.filter(code="north").update(
        credentials=json.dumps({name: their_credentials("north")[name] for name in ("api_key", "notice_secret")})
    )

    for form in ("plain", "spaced", "fullwidth"):
        word = forms(next_card().number)[form]
        for address, fields in {
            north: {"reason": word},
            f"{north} ": {"name": word, "reason": "x"},
            f"{north.replace('change', 'disable')}": {"reason": word},
            f"/admin/gateways/region/{Region.objects.first().public_id}/routing/": {"reason": word, "name": word},
            f"/admin/merchants/merchant/{Merchant.objects.get().public_id}/change/": {"reason": word, "name": word},
            f"/admin/merchants/merchant/{Merchant.objects.get().public_id}/suspend/": {"reason": word},
            f"/admin/merchants/merchant/{Merchant.objects.get().public_id}/new-key/": {
                "name": word,
                "mode": "test",
                "scopes": ["payments:read"],
            },
            "/admin/merchants/merchant/add/": {"name": word, "country": "DE", "default_currency": "EUR"},
            "/admin/gateways/gateway/add/": {"name": word, "code": "x", "adapter": "simulator_json", "mode": "test"},
            f"/admin/payments/payment/{captured}/refund/": {"reason": word, "amount": "1.00"},
            f"/admin/payments/payment/{captured}/refund/ ": {"reason": "x", "amount": word},
            "/admin/kit/user/add/": {"username": word, "password1": word, "password2": word, "usable_password": "true"},
        }.items():
            answer = typed(address.strip(), **fields)
            assert answer.status_code == 200, f"{form} at {address}: {answer.status_code}"
        for address in pages() if form == "plain" else ("/admin/payments/payment/",):
            assert written.answer(browser.get(address.partition("?")[0], {"q": word})).status_code == 400
        assert written.answer(browser.get("/admin/search/", {"s": word, "extended": 1})).status_code == 400
        assert written.answer(Client().post("/admin/login/", {"username": word, "password": word})).status_code == 200
    nothing_is_to_be_read(on_pages=True)


def test_what_is_typed_on_the_command_line(
    api: Any, written: Written, api_key: NewKey, actor: Actor, merchant: Merchant, nothing_is_to_be_read: Nothing
) -> None:
    def run(*words: str) -> None:
        said = StringIO()
        try:
            call_command(*words, stdout=said, stderr=said, no_color=True)
        except (CommandError, SystemExit) as refusal:
            said.write(str(refusal))
        written.texts["terminal"].append(said.getvalue())

    api.pay(number=next_card().number)
    for words in (
        ("list_merchants",),
        ("trial_balance",),
        ("audit",),
        ("audit", "--json"),
        ("revoke_api_key", api_key.secret, "--reason", "the whole key"),
        ("revoke_api_key", next_card().number, "--reason", "a card"),
        ("revoke_api_key", create_api_key(merchant=merchant, mode="test", actor=actor).key.public_id, "--reason")
        + (f"leaked beside {next_card().number}, cvv {drawn[-1].cvv}",),
        ("create_api_key", next_card().number),
        ("create_merchant", "Zed", next_card().number, "EUR"),
        ("audit", "--gateway", next_card().number),
    ):
        run(*words)
    assert AuditEntry.objects.get(verb="api_key.revoke").reason.startswith("leaked beside …")
    nothing_is_to_be_read()
