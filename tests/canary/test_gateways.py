"""Is a secret kept that a gateway repeats? Some stumble, some echo what they were told, some write it into notices."""

import json
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.ids import parse_public_id
from checkout.kit.models import Alert
from gateways.models import Gateway, Notice
from gateways.services import check_health
from gateways.tests.scripted import Server, raw, says
from payments import services
from payments.models import Attempt, Payment
from payments.selfaudit import Scope, audit_books
from payments.services import apply_notices
from payments.statuses import IN_FLIGHT
from tests.bad_inputs.notices import SOUTH, document, signed, tell, tell_of, text_of
from tests.canary import ways_in
from tests.canary.conftest import Written
from tests.canary.marks import forms, next_card
from tests.simulation import Simulation

Nothing = Callable[..., None]
TROUBLES = ("down", "error_before_charging", "charge_then_500", "charge_then_garbage", "bad_gateway", "asynchronous")


def test_gateways_in_trouble(
    api: Any, written: Written, simulation: Simulation, carry_out: Any, nothing_is_to_be_read: Nothing
) -> None:
    for behaviour in TROUBLES:
        for code in ("north", "south", "spare"):
            simulation.change(code, behaviour=behaviour)
        check_health()
        for _ in range(3):
            assert written.answer(ways_in.create(api)).status_code == 202
        carry_out()
        simulation.calm()
        Attempt.objects.filter(next_action_at__isnull=False).update(next_action_at=clock.now())
        carry_out()
    with time_machine.travel(clock.now() + timedelta(hours=1)):
        services.expire_due(actor=Actor.task("expire"))
    assert [finding.code for finding in audit_books(Scope()) if not finding.is_green] == []
    nothing_is_to_be_read()


ECHOES: dict[str, Callable[[str], dict[str, Any]]] = {
    "as its id": lambda word: {"id": word},
    "in its id": lambda word: {"id": f"ch_{word}"},
    "within its id": lambda word: {"id": f"ch{word}x"},
    "as the status": lambda word: {"status": word},
    "as the reference": lambda word: {"reference": word},
    "as the currency": lambda word: {"currency": word},
    "as the kind": lambda word: {"object": word},
    "as the reason of a decline": lambda word: {"status": "declined", "decline": word},
    "as the amount": lambda word: {"amount": word},
    "in the address of a challenge": lambda word: {
        "status": "requires_action", "action_url": f"https://bank.example/acs?pan={word}"
    },
    "in a field that nobody reads": lambda word: {"message": word},
    "as an error": lambda word: {"error": word, "param": word},
}  # fmt: skip


@pytest.mark.parametrize("what", ["a card number", "a credential"])
def test_gateways_that_repeat_what_they_were_told(
    what: str,
    api: Any,
    written: Written,
    carry_out: Callable[[], int],
    nothing_is_to_be_read: Nothing,
) -> None:
    parrots = [Parrot(what, echo, 201) for echo in ECHOES.values()]
    parrots += [Parrot(what, ECHOES["as an error"], http_status) for http_status in (400, 404, 500)]
    Gateway.objects.exclude(code="north").update(status="disabled")
    try:
        for parrot in parrots:
            Gateway.objects.filter(code="north").update(base_url=parrot.url, health_status="healthy", failure_count=0)
            made = written.answer(ways_in.create(api))
            assert made.status_code == 202
            carry_out()
            payment_id = parse_public_id(Payment.PUBLIC_PREFIX, made.json()["id"])
            in_flight = Attempt.objects.filter(payment_id=payment_id, status__in=IN_FLIGHT)
            in_flight.update(next_action_at=clock.now())
            carry_out()  # it is asked, and answers the same
            in_flight.update(next_action_at="2099-01-01T00:00Z")
            for path in ("", "/attempts"):
                written.answer(api.get(f"/v1/payments/{made.json()['id']}{path}"))
        assert all(parrot.has_repeated for parrot in parrots)
        assert Alert.objects.filter(kind="answer_repeats_secret", severity="critical").exists()
    finally:
        for parrot in parrots:
            parrot.close()
    Gateway.objects.filter(code="north").update(base_url="http://127.0.0.1:9")
    nothing_is_to_be_read(on_pages=what == "a card number")


def test_bytes_of_a_gateway_that_are_no_answer(
    api: Any, written: Written, carry_out: Callable[[], int], nothing_is_to_be_read: Nothing
) -> None:
    for template in (
        "HTTP/1.1 {} No\r\n\r\n",
        "HTTP/1.1 200 {}\r\nContent-Length: 2\r\n\r\n{{}}",
        "HTTP/1.1 201 OK\r\n{}: x\r\nContent-Length: 2\r\n\r\n{{}}",
        "HTTP/1.1 201 OK\r\nX Card: {}\r\nContent-Length: 2\r\n\r\n{{}}",
        "HTTP/1.1 302 Found\r\nLocation: https://gateway.example/{}\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 201 OK\r\nContent-Length: 9999\r\n\r\n{{{}",
        "{}",
    ):
        server = Server(raw(template.format(next_card().number).encode()))
        Gateway.objects.filter(code="north").update(base_url=server.url)
        assert written.answer(ways_in.create(api)).status_code == 202
        carry_out()
        check_health(gateways=Gateway.objects.filter(code="north"))
        server.close()
        assert server.requests
    nothing_is_to_be_read()


class Parrot(Server):
    """A JSON gateway that puts the card's number, or the credential it was shown, into each of its answers."""

    def __init__(self, what: str, echo: Callable[[str], dict[str, Any]], http_status: int) -> None:
        self.what = what
        self.echo = echo
        self.http_status = http_status
        self.charge: dict[str, Any] = {}
        self.has_repeated = False
        super().__init__(self.answer)

    def answer(self, connection: socket.socket) -> bool | None:
        """The charge as it was asked for, but for one field."""
        head, _, body = self.requests[-1].partition(b"\r\n\r\n")
        if head.startswith(b"POST /v1/charges "):
            self.charge = json.loads(body)
        key = head.decode().partition("Bearer ")[2].partition("\r\n")[0]
        word = self.charge["card"]["number"] if self.what == "a card number" else key
        charge = {name: self.charge[name] for name in ("reference", "amount", "currency")}
        document = {"id": f"ch_{id(self)}", "object": "charge", "status": "approved", "decline": None, **charge}
        document |= {"captured": True, "action_url": None, **self.echo(word)}
        self.has_repeated |= word in json.dumps(document)
        is_inquiry = head.startswith(b"GET")
        status = 200 if is_inquiry and self.http_status == 201 else self.http_status
        return says(status, json.dumps(document).encode(), f"X-Echo: {word}\r\n")(connection)


def test_notices_about_cards(
    api: Any, written: Written, gateways: dict[str, Gateway], nothing_is_to_be_read: Nothing
) -> None:
    def keep(answer: Any) -> int:
        return int(written.answer(answer).status_code)

    for number, form in enumerate(forms("4" * 16)):
        for place in range(4):
            card = next_card()
            word, id = forms(card.number)[form], f"ntc_{number}_{place}"
            body = [
                text_of(message_id=id, card={"number": word, "cvv": card.cvv}),
                text_of(message_id=id, text=f"{word}\ncvv2 {card.cvv}\n{word}"),
                text_of(message_id=id, **{word: word}),
                text_of(message_id=id, status=word, decline=word, currency="XTS", captured=word),
            ][place]
            assert keep(tell(body, signed(body))) == 200
            assert keep(tell(body, signed(body, key="another"))) == 401
            more = f"<card number='{word}'>{word}<cvv>{card.cvv}</cvv></card><!-- {word} -->"
            assert keep(tell(document(notification_id=id, more=more), path=SOUTH)) == 200
            assert keep(tell(document(notification_id=id, subject=word, result_code=word), path=SOUTH)) == 200
            assert keep(tell(document(mac=word), path=SOUTH)) == 401
    for code, gateway in gateways.items():
        echo = " ".join(value for name, value in gateway.secrets.items() if name != "merchant_id")
        body = text_of(message_id=f"ntc_{code}", echo=echo)
        if code == "south":
            assert keep(tell(document(more=f"<echo>{echo}</echo>"), path=SOUTH)) == 200
        else:
            key = gateway.secrets["notice_secret"]
            assert keep(tell(body, signed(body, key=key), path=f"/v1/notices/{code}")) == 200
    assert keep(tell_of("north", reference=next_card().number, id=next_card().number, charge=next_card().number)) == 200
    apply_notices()
    assert Notice.objects.filter(status="unmatched").count() > 50
    nothing_is_to_be_read(on_pages=True)
