"""Who asks for settlement files and bank statements? The part of the control port that issues and shows them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from aiohttp import web

from gateways.simulator.archive import IssuedStatement
from gateways.simulator.asked import json_object
from gateways.simulator.calls import IssuedFile
from gateways.simulator.house import House, stream
from gateways.simulator.settings import SettingsRefused


class Desk:
    """Its routes are described in `control`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._files = house.settlements.archive
        self._statements = house.account.archive

    def routes(self) -> list[web.RouteDef]:
        """What the control port shall answer with this."""
        return [
            web.get("/settlements", self._list_all),
            web.get("/settlements/{code}", self._list_files),
            web.post("/settlements/{code}", self._issue_file),
            web.get("/settlements/{code}/{name}", self._file),
            web.get("/settlements/{code}/{name}/answers", self._file_answers),
            web.get("/bank/statements", self._list_statements),
            web.post("/bank/statement", self._issue_statement),
            web.get("/bank/statements/{name}", self._statement),
            web.get("/bank/statements/{name}/answers", self._statement_answers),
        ]

    async def _list_all(self, request: web.Request) -> web.Response:
        files = [file for code in self._house.gateways for file in self._files.files(code)]
        return web.json_response([_file_row(file) for file in sorted(files, key=lambda file: file.id)])

    async def _list_files(self, request: web.Request) -> web.Response:
        code = self._house.gateway(request.match_info["code"]).settings.code
        return web.json_response([_file_row(file) for file in self._files.files(code)])

    async def _issue_file(self, request: web.Request) -> web.Response:
        gateway = self._house.gateway(request.match_info["code"])
        asked = _known(await json_object(request), "until", "plant", "seed")
        # What became final in this very millisecond is in it.
        until = _until(asked["until"]) if asked.get("until") else datetime.now(UTC) + timedelta(milliseconds=1)
        file = self._house.settlements.issue(gateway.settings, until=until, plant=_plant(asked), seed=_seed(asked))
        return web.json_response(_file_row(file), status=201) if file else web.json_response(None)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        file = self._found(request)
        return _nothing("file") if file is None else await stream(request, file, self._files)

    async def _file_answers(self, request: web.Request) -> web.Response:
        file = self._found(request)
        return _nothing("file") if file is None else web.json_response(self._files.answers(file))

    async def _list_statements(self, request: web.Request) -> web.Response:
        return web.json_response([_statement_row(statement) for statement in self._statements.statements()])

    async def _issue_statement(self, request: web.Request) -> web.Response:
        asked = _known(await json_object(request), "on", "plant", "seed")
        on = _day(asked["on"]) if asked.get("on") else datetime.now(UTC).date()
        statement = self._house.account.issue(on, plant=_plant(asked), seed=_seed(asked))
        return web.json_response(_statement_row(statement), status=201) if statement else web.json_response(None)

    async def _statement(self, request: web.Request) -> web.Response:
        statement = self._told(request)
        if statement is None:
            return _nothing("statement")
        return web.Response(body=self._statements.statement_content(statement), content_type="application/xml")

    async def _statement_answers(self, request: web.Request) -> web.Response:
        statement = self._told(request)
        if statement is None:
            return _nothing("statement")
        return web.json_response(self._statements.statement_answers(statement))

    def _found(self, request: web.Request) -> IssuedFile | None:
        code = self._house.gateway(request.match_info["code"]).settings.code
        return self._files.file(code, request.match_info["name"])

    def _told(self, request: web.Request) -> IssuedStatement | None:
        name = request.match_info["name"]
        return next((one for one in self._statements.statements() if one.name == name), None)


def _file_row(file: IssuedFile) -> dict[str, Any]:
    return {name: value for name, value in vars(file).items() if name != "id"}


def _statement_row(statement: IssuedStatement) -> dict[str, Any]:
    row = {name: value for name, value in vars(statement).items() if name != "id"}
    return {**row, "told_on": statement.told_on.isoformat()}


def _nothing(what: str) -> web.Response:
    return web.json_response({"error": f"no such {what}"}, status=404)


def _known(asked: dict[str, Any], *names: str) -> dict[str, Any]:
    if unknown := sorted(asked.keys() - set(names)):
        raise SettingsRefused(f"{unknown[0]}: not one of {', '.join(names)}")
    return asked


def _until(value: Any) -> datetime:
    try:
        until = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise SettingsRefused("until: must be a moment, as in 2026-03-01T00:00:00Z") from None
    return until if until.tzinfo else until.replace(tzinfo=UTC)


def _day(value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise SettingsRefused("on: must be a day, as in 2026-03-01") from None


def _plant(asked: dict[str, Any]) -> dict[str, Any]:
    plant = asked.get("plant") or {}
    if not isinstance(plant, dict):
        raise SettingsRefused("plant: must be an object")
    return plant


def _seed(asked: dict[str, Any]) -> int:
    seed = asked.get("seed", 0)
    if type(seed) is not int:
        raise SettingsRefused("seed: must be a whole number")
    return seed
