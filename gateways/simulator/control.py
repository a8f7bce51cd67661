"""How is the simulator steered? A small JSON API for tests and drills, and one page for an operator.

    GET   /health
    GET   /gateways                        every gateway with its settings, address and counters
    POST  /gateways                        add one; the fields are those of the configuration file
    PATCH /gateways/{code}                 change how it behaves
    POST  /gateways/{code}/settle_pending  decide everything that is pending now, and tell it; not the challenges
    GET   /challenge/{code}/{charge id}    the page on which the card holder approves or fails
    POST  /challenge/{code}/{charge id}    its form, answered by a way back to the shop; or {approve: true or false}
                                           by a script, answered by the charge. What is decided stays so
    GET   /book                            of every gateway by its code: its operations as they truly happened
    GET   /book/{code}                     those of one, oldest first
    GET   /book/{code}/totals              per currency
    POST  /book/{code}                     {kind, reference, amount_minor}: capture, void or refund a charge in the
                                           gateway's own back office; a notice tells
    GET   /settlements                     the settlement files of all gateways, oldest first
    GET   /settlements/{code}              those of one
    POST  /settlements/{code}              {until, plant, seed}: issue one now, of everything that became final before
                                           `until` (ISO 8601; now, unless told otherwise) and is in none yet; null
                                           if that is nothing
    GET   /settlements/{code}/{name}       the file itself; the platform asks for it at the gateway's own port
    GET   /settlements/{code}/{name}/answers  what was planted in it
    GET   /bank/statements                 the bank statements, oldest first
    POST  /bank/statement                  {on, plant, seed}: issue the one of a day (today, unless told otherwise), of
                                           all payouts that have arrived since the one before; null if it is out
                                           already or nothing has ever arrived
    GET   /bank/statements/{name}          the statement itself, ISO 20022 camt.053
    GET   /bank/statements/{name}/answers  what was planted in it
    GET   /                                the page

`plant` says how many errors of each kind there shall be; `seed`, a whole number, makes them the same ones every time.
In a settlement file: missing_line, late_line, extra_line, dashboard_refund, duplicate_line, wrong_amount, wrong_fee,
wrong_currency, unmapped_type, batch_total. In a bank statement: missing_credit, wrong_credit. The answers are
{errors: [{planted, expected, lines, …}]}: `expected` is what a reconciliation that sees everything reports it as, and
`lines` are those of the file that show it, from 1, which is the header.

Errors are {error}, in words: 400 what is wrong with the request, 404 no such thing.
"""

import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from gateways.simulator import challenges
from gateways.simulator.asked import json_object
from gateways.simulator.bank import CallRefused, NoSuchCharge
from gateways.simulator.book import SHOWN_COLUMNS
from gateways.simulator.calls import CAPTURE, REFUND, VOID, Operation
from gateways.simulator.desk import Desk
from gateways.simulator.house import House, NoSuchGateway, SimulatedGateway
from gateways.simulator.issuer import TEST_CARDS
from gateways.simulator.settings import BEHAVIOURS, NOTICES, PROFILES, GatewaySettings, SettingsRefused

_PAGE = Path(__file__).with_name("page.html")
_SECRET_SETTINGS = ("api_key", "notice_secret")
_CHALLENGE_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address is all the proof that is asked for
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'",
}


class ControlServer:
    """The control port, on a socket that is bound already."""

    def __init__(self, house: House, bound: socket.socket) -> None:
        self._house = house
        self._socket = bound
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen."""
        app = web.Application(middlewares=[_refusals_as_json])
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/health", self._health),
                web.get("/gateways", self._gateways),
                web.post("/gateways", self._add),
                web.patch("/gateways/{code}", self._change),
                web.post("/gateways/{code}/settle_pending", self._settle_pending),
                web.get("/challenge/{code}/{charge_id}", self._challenge),
                web.post("/challenge/{code}/{charge_id}", self._decide_challenge),
                web.get("/book", self._books),
                web.get("/book/{code}", self._book),
                web.post("/book/{code}", self._act),
                web.get("/book/{code}/totals", self._totals),
                *Desk(self._house).routes(),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._socket.close()

    async def _page(self, request: web.Request) -> web.Response:
        facts = {
            "behaviours": BEHAVIOURS,
            "profiles": PROFILES,
            "notices": NOTICES,
            "cards": [{"number": card.number, "meaning": card.meaning} for card in TEST_CARDS],
        }
        page = _PAGE.read_text().replace("{{facts}}", json.dumps(facts).replace("<", "\\u003c"))
        return web.Response(text=page, content_type="text/html", headers={"Cache-Control": "no-store"})

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _gateways(self, request: web.Request) -> web.Response:
        return web.json_response([self._describe(gateway) for gateway in self._house.gateways.values()])

    async def _add(self, request: web.Request) -> web.Response:
        gateway = await self._house.add(GatewaySettings.parse(await json_object(request)))
        return web.json_response(self._describe(gateway), status=201)

    async def _change(self, request: web.Request) -> web.Response:
        gateway = self._gateway(request)
        await gateway.change(gateway.settings.changed(await json_object(request)))
        return web.json_response(self._describe(gateway))

    async def _settle_pending(self, request: web.Request) -> web.Response:
        return web.json_response({"settled": self._gateway(request).settle_pending()})

    async def _challenge(self, request: web.Request) -> web.Response:
        gateway = self._gateway(request)
        charge, challenge = gateway.bank.challenge(request.match_info["charge_id"])
        page = challenges.page(gateway.settings.name, charge, challenge)
        return web.Response(text=page, content_type="text/html", headers=_CHALLENGE_HEADERS)

    async def _decide_challenge(self, request: web.Request) -> web.Response:
        gateway, charge_id = self._gateway(request), request.match_info["charge_id"]
        if request.content_type == "application/x-www-form-urlencoded":
            decision = (await request.post()).get("decision")
            if decision not in ("approve", "fail"):
                raise SettingsRefused("decision: must be one of approve, fail")
            gateway.decide_challenge(charge_id, is_approved=decision == "approve")
            _, challenge = gateway.bank.challenge(charge_id)
            location = challenge.return_url or request.path
            return web.Response(status=303, headers={"Location": location, **_CHALLENGE_HEADERS})
        is_approved = (await json_object(request)).get("approve")
        if not isinstance(is_approved, bool):
            raise SettingsRefused("approve: must be true or false")
        return web.json_response(_row(gateway.decide_challenge(charge_id, is_approved=is_approved)))

    async def _books(self, request: web.Request) -> web.Response:
        book = self._house.book
        codes = dict.fromkeys([*self._house.gateways, *book.gateways()])
        whole = ",".join(f"{json.dumps(code)}:{book.as_json(code)}" for code in codes)
        return web.json_response(text=f"{{{whole}}}")

    async def _book(self, request: web.Request) -> web.Response:
        return web.json_response(text=self._house.book.as_json(self._gateway(request).settings.code))

    async def _totals(self, request: web.Request) -> web.Response:
        return web.json_response(self._house.book.totals(self._gateway(request).settings.code))

    async def _act(self, request: web.Request) -> web.Response:
        gateway = self._gateway(request)
        wanted = await json_object(request)
        kind, amount_minor = wanted.get("kind"), wanted.get("amount_minor")
        if kind not in (CAPTURE, VOID, REFUND):
            raise SettingsRefused("kind: must be one of capture, void, refund")
        if amount_minor is not None and (type(amount_minor) is not int or not 0 < amount_minor <= 10**12):
            raise SettingsRefused("amount_minor: must be a positive whole number, or left out for all of it")
        try:
            operation = gateway.act(kind, str(wanted.get("reference")), amount_minor)
        except CallRefused:
            raise SettingsRefused("reference: no charge has it") from None
        return web.json_response(_row(operation), status=201)

    def _gateway(self, request: web.Request) -> SimulatedGateway:
        return self._house.gateway(request.match_info["code"])

    def _describe(self, gateway: SimulatedGateway) -> dict[str, Any]:
        code = gateway.settings.code
        settings = {name: value for name, value in vars(gateway.settings).items() if name not in _SECRET_SETTINGS}
        kinds = self._house.book.counts(code)
        pending = self._house.book.pending(code)
        challenged_count = sum(operation.needs_action for operation in pending)
        postman = self._house.postman
        return {
            **settings,
            "port": gateway.port,
            "url": gateway.url,
            "counters": {
                "calls": gateway.calls.total(),
                "charges": kinds.get("charge", 0),
                "captures": kinds.get("capture", 0),
                "voids": kinds.get("void", 0),
                "refunds": kinds.get("refund", 0),
                "pending": len(pending) - challenged_count,
                "challenged": challenged_count,
                "notices_delivered": postman.delivered[code],
                "notices_waiting": postman.waiting[code],
                "notices_given_up": postman.given_up[code],
            },
        }


@web.middleware
async def _refusals_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except SettingsRefused as refusal:
        return web.json_response({"error": str(refusal)}, status=400)
    except NoSuchGateway as refusal:
        return web.json_response({"error": f"no gateway {refusal}"}, status=404)
    except NoSuchCharge:
        return web.json_response({"error": "no such challenge"}, status=404)


def _row(operation: Operation) -> dict[str, Any]:
    return {name: getattr(operation, name) for name in SHOWN_COLUMNS}
