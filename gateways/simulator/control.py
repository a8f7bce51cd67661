"""How is the simulator steered? A small JSON API for tests and drills, and one page for an operator.

    GET   /health
    GET   /gateways                        every gateway with its settings, address and counters
    POST  /gateways                        add one; the fields are those of the configuration file
    PATCH /gateways/{code}                 change how it behaves
    POST  /gateways/{code}/settle_pending  decide everything that is pending now, and tell it
    GET   /book/{code}                     its operations as they truly happened
    GET   /book/{code}/totals              per currency
    POST  /book/{code}                     {kind, reference, amount_minor}: capture, void or refund a charge in the
                                           gateway's own back office; a notice tells
    GET   /                                the page

Errors are {error}, in words: 400 what is wrong with the request, 404 no such thing.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from gateways.simulator.bank import CallRefused
from gateways.simulator.calls import CAPTURE, REFUND, VOID, Operation
from gateways.simulator.house import House, NoSuchGateway, SimulatedGateway
from gateways.simulator.issuer import TEST_CARDS
from gateways.simulator.settings import BEHAVIOURS, NOTICES, PROFILES, GatewaySettings, SettingsRefused

_PAGE = Path(__file__).with_name("page.html")
_SECRET_SETTINGS = ("api_key", "notice_secret")
_HIDDEN_COLUMNS = ("gateway", "parent_id", "capture", "fingerprint", "verdict", "decide_at")


class ControlServer:
    """The control port."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> str:
        """Listen; returns the address."""
        app = web.Application(middlewares=[_refusals_as_json])
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/health", self._health),
                web.get("/gateways", self._gateways),
                web.post("/gateways", self._add),
                web.patch("/gateways/{code}", self._change),
                web.post("/gateways/{code}/settle_pending", self._settle_pending),
                web.get("/book/{code}", self._book),
                web.post("/book/{code}", self._act),
                web.get("/book/{code}/totals", self._totals),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound_host, bound_port = self._runner.addresses[0][:2]
        return f"http://{bound_host}:{bound_port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

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
        gateway = await self._house.add(GatewaySettings.parse(await _body(request)))
        return web.json_response(self._describe(gateway), status=201)

    async def _change(self, request: web.Request) -> web.Response:
        gateway = self._gateway(request)
        await gateway.change(gateway.settings.changed(await _body(request)))
        return web.json_response(self._describe(gateway))

    async def _settle_pending(self, request: web.Request) -> web.Response:
        return web.json_response({"settled": self._gateway(request).settle_pending()})

    async def _book(self, request: web.Request) -> web.Response:
        operations = self._house.book.operations(self._gateway(request).settings.code)
        return web.json_response([_row(operation) for operation in operations])

    async def _totals(self, request: web.Request) -> web.Response:
        return web.json_response(self._house.book.totals(self._gateway(request).settings.code))

    async def _act(self, request: web.Request) -> web.Response:
        gateway = self._gateway(request)
        wanted = await _body(request)
        kind, amount_minor = wanted.get("kind"), wanted.get("amount_minor")
        if kind not in (CAPTURE, VOID, REFUND):
            raise SettingsRefused("kind: must be one of capture, void, refund")
        if amount_minor is not None and (type(amount_minor) is not int or not 0 < amount_minor <= 10**12):
            raise SettingsRefused("amount_minor: must be a positive whole number, or left out for all of it")
        try:
            operation = gateway.bank.act(kind, str(wanted.get("reference")), amount_minor)
        except CallRefused:
            raise SettingsRefused("reference: no charge has it") from None
        gateway.tell(operation, is_late=True)
        return web.json_response(_row(operation), status=201)

    def _gateway(self, request: web.Request) -> SimulatedGateway:
        return self._house.gateway(request.match_info["code"])

    def _describe(self, gateway: SimulatedGateway) -> dict[str, Any]:
        code = gateway.settings.code
        settings = {name: value for name, value in vars(gateway.settings).items() if name not in _SECRET_SETTINGS}
        kinds = self._house.book.counts(code)
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
                "pending": len(self._house.book.pending(code)),
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


async def _body(request: web.Request) -> dict[str, Any]:
    # Only JSON by name: a form on a foreign page can post text, but not this without asking first.
    if request.content_type != "application/json":
        raise SettingsRefused("the body must be application/json")
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        raise SettingsRefused("the body is not JSON") from None
    if not isinstance(body, dict):
        raise SettingsRefused("the body must be an object")
    return body


def _row(operation: Operation) -> dict[str, Any]:
    return {name: value for name, value in vars(operation).items() if name not in _HIDDEN_COLUMNS}
