"""Are settlement files and bank statements issued, shown and handed out over HTTP, and only to whom they belong?

The process, its ports and its book are real, as in `test_simulator`.
"""

import csv
import hashlib
import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateways.adapters.simulator_json import SimulatorJson
from gateways.adapters.simulator_xml import SimulatorXml
from gateways.base import HttpReply, HttpRequest, ListedFile
from gateways.simulator.book import Book
from gateways.simulator.calls import CAPTURE, CHARGE
from gateways.tests.test_simulator import Account, Simulator, exchange, open_account

HEADER = "kind,gateway_reference,reference,currency,gross_minor,fee_minor,net_minor,occurred_on,batch"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator"))
    yield simulator
    assert simulator.stop() == 0


@pytest.fixture(params=["json", "xml"])
def account(simulator: Simulator, request: pytest.FixtureRequest) -> Account:
    """A gateway that has taken twice 10.00 EUR, at 2.9 % and 0.30."""
    account = open_account(simulator, request.param, fee_bps=290, fee_fixed_minor=30)
    for _ in range(2):
        capture(account)
    return account


def capture(account: Account) -> None:
    request, done = account.charged()
    account.do("capture", account.follow("capture", request, done))


def issue(account: Account, **wanted: Any) -> dict[str, Any]:
    file: dict[str, Any] = account.simulator.ask("POST", f"/settlements/{account.code}", wanted, http_status=201)
    return file


def listed(account: Account) -> list[ListedFile]:
    files: Any = account.do("list_settlements")
    assert isinstance(files, list)
    return files


def download(account: Account, name: str, adapter: Any = None) -> HttpReply:
    return exchange(account.url, (adapter or account.adapter).settlement_request(name))


def test_a_file_is_issued_listed_and_handed_out(simulator: Simulator, account: Account) -> None:
    assert listed(account) == []
    issued = issue(account)

    (file,) = listed(account)
    reply = download(account, file.name)
    assert (reply.http_status, reply.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert (file.name, file.size_bytes, file.sha256) == (issued["name"], issued["size_bytes"], issued["sha256"])
    assert (len(reply.body), hashlib.sha256(reply.body).hexdigest()) == (file.size_bytes, file.sha256)
    assert reply.body == exchange(simulator.url, HttpRequest("GET", f"/settlements/{account.code}/{file.name}")).body
    rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
    captures = [row for row in account.book if row["kind"] == "capture"]
    assert [(row["gateway_reference"], row["reference"]) for row in rows[:-1]] == [
        (row["id"], row["reference"]) for row in captures
    ]
    assert [(row["gross_minor"], row["fee_minor"], row["net_minor"]) for row in rows[:-1]] == [
        ("1000", "59", "941")
    ] * 2
    assert (rows[-1]["kind"], rows[-1]["net_minor"]) == ("payout", "-1882")


def test_files_are_listed_oldest_first(account: Account) -> None:
    names = [issue(account)["name"]]
    for _ in range(2):
        capture(account)
        names.append(issue(account)["name"])

    assert [file.name for file in listed(account)] == names
    shown = account.simulator.ask("GET", f"/settlements/{account.code}")
    assert [file["name"] for file in shown] == names
    all_shown = account.simulator.ask("GET", "/settlements")
    assert [file["name"] for file in all_shown if file["gateway"] == account.code] == names


def test_with_another_key_there_is_no_list_and_no_file(account: Account) -> None:
    name = issue(account)["name"]
    secrets = {"api_key": "another", "signing_key": "another", "merchant_id": account.code, "notice_secret": "s"}
    stranger = type(account.adapter)(secrets)

    assert name.encode() not in exchange(account.url, next(stranger.list_settlements())).body
    reply = download(account, name, stranger)
    assert reply.http_status == (401 if isinstance(stranger, SimulatorJson) else 404)
    assert reply.headers["content-type"] != "text/csv; charset=utf-8"
    assert HEADER.encode() not in reply.body
    if isinstance(stranger, SimulatorXml):
        assert b"<result-code>63</result-code>" in reply.body


def test_a_file_of_another_gateway_or_of_no_name_is_not_found(simulator: Simulator, account: Account) -> None:
    other = open_account(simulator, account.adapter.data_format)
    capture(other)
    issue(other)
    capture(other)
    theirs = issue(other)["name"]
    issue(account)

    for name in ("settlement-000099-2026-01-01.csv", "x"):
        assert download(account, name).http_status == 404
    for account_code, path in ((account.code, "x"), ("nobody", theirs)):
        simulator.ask("GET", f"/settlements/{account_code}/{path}", http_status=404)
        simulator.ask("GET", f"/settlements/{account_code}/{path}/answers", http_status=404)
    assert download(other, theirs).http_status == 200
    assert download(account, theirs).http_status == 404


def test_slow_is_slow_with_files_too(account: Account) -> None:
    name = issue(account)["name"]
    account.change(behaviour="slow", slow_seconds=30)
    with pytest.raises(TimeoutError):
        exchange(account.url, account.adapter.settlement_request(name), timeout=0.5)


def test_what_is_planted_is_answered_to_the_control_port_only(simulator: Simulator, account: Account) -> None:
    issued = issue(account, plant={"extra_line": 2, "wrong_fee": 1}, seed=7)

    answers = simulator.ask("GET", f"/settlements/{account.code}/{issued['name']}/answers")
    assert sorted(error["planted"] for error in answers["errors"]) == ["extra_line", "extra_line", "wrong_fee"]
    assert (answers["seed"], issued["planted_count"]) == (7, 3)
    lines = download(account, issued["name"]).body.decode().splitlines()
    for error in answers["errors"]:
        (number,) = error["lines"]
        assert error["gateway_reference"] in lines[number - 1]
    assert b"planted" not in exchange(account.url, next(account.adapter.list_settlements())).body


def test_until_cuts_off_and_nothing_is_null(simulator: Simulator, account: Account) -> None:
    path = f"/settlements/{account.code}"
    assert simulator.ask("POST", path, {"until": "2020-01-01"}, http_status=200) is None
    assert issue(account, until="2099-01-01T00:00:00Z")["line_count"] == 3
    assert simulator.ask("POST", path, {}, http_status=200) is None


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"until": "yesterday"}, "until"),
        ({"until": 7}, "until"),
        ({"plant": ["wrong_fee"]}, "plant"),
        ({"plant": {"wrong_weather": 1}}, "wrong_weather"),
        ({"plant": {"wrong_fee": 99}}, "wrong_fee|not enough"),
        ({"seed": "x"}, "seed"),
        ({"seed": True}, "seed"),
        ({"when": "now"}, "when"),
    ],
)
def test_a_bad_request_is_refused_and_issues_nothing(
    simulator: Simulator, account: Account, body: dict[str, Any], named: str
) -> None:
    error = simulator.ask("POST", f"/settlements/{account.code}", body, http_status=400)["error"]
    assert any(word in error for word in named.split("|"))
    assert listed(account) == []


def test_settings_choose_the_format_and_the_fee(simulator: Simulator, account: Account) -> None:
    account.change(settlement_format="adyen-settlement-details", fee_bps=100, fee_fixed_minor=0)
    issued = issue(account)

    assert (issued["format"], issued["name"]) == ("adyen-settlement-details", "settlement_detail_report_batch_1.csv")
    rows = list(csv.DictReader(io.StringIO(download(account, issued["name"]).body.decode())))
    assert [row["Net Credit (NC)"] for row in rows[:-1]] == ["9.90"] * 2
    for change, named in (({"settlement_format": "pdf"}, "settlement_format"), ({"fee_bps": 10_001}, "fee_bps")):
        error = simulator.ask("PATCH", f"/gateways/{account.code}", change, http_status=400)["error"]
        assert error.startswith(named)


def test_the_bank_tells_of_the_payouts_over_http(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path)
    try:
        assert simulator.ask("POST", "/bank/statement", {}, http_status=200) is None
        account = open_account(simulator, "xml", "north")
        capture(account)
        issue(account)
        wanted = {"on": "2099-01-01", "plant": {"wrong_credit": 1}, "seed": 3}
        told = simulator.ask("POST", "/bank/statement", wanted, http_status=201)
        assert (told["name"], told["told_on"], told["entry_count"]) == ("statement-2099-01-01.xml", "2099-01-01", 1)
        assert simulator.ask("GET", "/bank/statements") == [told]
        path = f"/bank/statements/{told['name']}"
        reply = exchange(simulator.url, HttpRequest("GET", path))
        assert reply.headers["content-type"].startswith("application/xml")
        assert b"camt.053.001.08" in reply.body
        (error,) = simulator.ask("GET", f"{path}/answers")["errors"]
        assert (error["expected"], error["ours_minor"]) == ("bank_amount_differs", 1_000)
        assert error["entry"].encode() in reply.body
        simulator.ask("GET", "/bank/statements/x", http_status=404)
        simulator.ask("GET", "/bank/statements/x/answers", http_status=404)
        for bad in ({"on": "soon"}, {"plant": {"wrong_fee": 1}}, {"until": "2026-01-01"}):
            simulator.ask("POST", "/bank/statement", bad, http_status=400)
    finally:
        simulator.stop()


def test_what_was_issued_survives_kill_9_and_is_not_issued_again(tmp_path: Path) -> None:
    secrets = {"api_key": "k", "notice_secret": "s"}
    settings = [{"code": "north", "name": "North", "dialect": "json", **secrets}]

    def start() -> Account:
        simulator = Simulator(tmp_path, settings)
        adapter = SimulatorJson(secrets)
        return Account(simulator, "north", simulator.addresses["gateways"]["north"], adapter, iter(range(99)))

    account = start()
    try:
        capture(account)
        first = issue(account, plant={"extra_line": 1})
        content = download(account, first["name"]).body
        answers = account.simulator.ask("GET", f"/settlements/north/{first['name']}/answers")
    finally:
        account.simulator.stop(signal.SIGKILL)
    numbers = iter(range(100, 200))
    again = start()
    again.numbers = numbers
    try:
        assert [file.name for file in listed(again)] == [first["name"]]
        assert download(again, first["name"]).body == content
        assert again.simulator.ask("GET", f"/settlements/north/{first['name']}/answers") == answers
        assert again.simulator.ask("POST", "/settlements/north", {}, http_status=200) is None
        capture(again)
        second = issue(again)
        assert (second["number"], second["line_count"]) == (2, 2)
    finally:
        again.simulator.stop()


def test_a_long_file_is_handed_out_whole(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path)
    try:
        account = open_account(simulator, "json", "north")
        _, done = account.charged()
        book = Book(str(tmp_path / "book.sqlite3"))
        with book.transaction():
            connection = book.connection
            row = dict(connection.execute("SELECT * FROM operation WHERE id = ?", [done.gateway_reference]).fetchone())
            columns = ", ".join(f":{name}" for name in row)
            for number in range(30_000):
                copy = {**row, "id": f"ch_{number:024x}", "reference": f"r{number}", "capture": 1}
                connection.execute(
                    f"INSERT INTO operation VALUES ({columns})",  # noqa: S608 the book's own columns
                    {**copy, "captured_minor": row["amount_minor"]},
                )
        book.close()
        file = issue(account)
        assert file["line_count"] == 30_001
        assert len(download(account, file["name"]).body) == file["size_bytes"] > 2_000_000
    finally:
        simulator.stop()


def test_the_page_links_what_was_issued(simulator: Simulator) -> None:
    page = exchange(simulator.url, HttpRequest("GET", "/")).body.decode()
    for address in ('"/settlements"', '"/bank/statements"', '"/bank/statement"', "/answers"):
        assert address in page


def test_operations_in_the_control_ports_book_stay_as_they_were(account: Account) -> None:
    before = json.dumps(account.book)
    issue(account)
    assert json.dumps(account.book) == before
    assert {row["kind"] for row in account.book} == {CHARGE, CAPTURE}
