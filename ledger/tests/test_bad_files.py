"""What can go wrong on a file's way in that is nobody's typing error? Workers that meet or die, files that are somebody
else's or were told before, one that fails beside others that must not wait, and what people do with names.
"""

import csv
import gzip
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection

from checkout.kit import clock
from checkout.kit.failpoints import Died, arm, die, disarm
from checkout.kit.models import Alert, AuditEntry
from checkout.settings import policy
from gateways import services as gateway_services
from gateways.models import Gateway
from gateways.services import Downloaded
from gateways.settlements import reading
from ledger.models import BankLine, JournalEntry, SettlementBatch, SettlementFile, SettlementLine
from ledger.services import files
from ledger.services.files import collect_files, fetch_files, import_due, import_file, receive_file
from ledger.services.importing import claim_file, run_import
from ledger.tests.settling import ACTOR, HEADER, Settling, day, line
from ledger.tests.test_bank_files import balance, document, entry
from merchants.models import Merchant
from tests.desk import at_desk, fill_in, text_of

pytestmark = pytest.mark.django_db

CARD = "4111111111111111"
GOOD = (HEADER + line(theirs="ch_1")).encode()
ACCOUNT = "<Acct><Id><IBAN>DE02100100109307118603</IBAN></Id></Acct>"


@pytest.fixture
def settling(acme: Gateway, ana: Merchant) -> Settling:
    return Settling(acme, ana)


@pytest.fixture(autouse=True)
def _nothing_stays_armed() -> Iterator[None]:
    yield
    disarm()


def receive(gateway: Gateway | None, content: bytes, **more: Any) -> SettlementFile:
    about = {"name": "north.csv", "gateway": gateway, "mode": "test", "source": "upload", "actor": ACTOR, **more}
    return receive_file(stream=io.BytesIO(content), **about)


def lapse(file: SettlementFile) -> None:
    """Let the lease of whoever is at a file be over."""
    SettlementFile.objects.filter(pk=file.pk).update(next_action_at=clock.now() - timedelta(seconds=1))


def booking(number: int, text: str = "", *, amount: str = "1.00", ago: int = 1) -> str:
    """An entry of a bank statement, named by its number unless that is 0."""
    name = f"<Refs><EndToEndId>payment-{number}</EndToEndId></Refs>" if number else ""
    more = f"<NtryDtls><TxDtls>{name}<RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls>"
    return entry(amount, booked=f"<Dt>{day(ago)}</Dt>", more=more)


def statement(*entries: str, closing: int, opening: int = 0) -> bytes:
    balances = balance("OPBD", f"{opening}.00"), balance("CLBD", f"{closing}.00")
    return document(ACCOUNT, *balances, *entries)


# Who is at it.


def progress_of(file: SettlementFile) -> list[tuple[int, Any]]:
    """How far an import said that it was while nothing of it was stored, and until when it held its lease."""
    seen: list[tuple[int, Any]] = []
    look = SettlementFile.objects.filter(pk=file.pk).values_list("read_bytes", "next_action_at")
    arm("import_kept.after_commit", lambda: seen.append(look.get()))
    import_file(file)
    disarm()
    return seen


def is_growing(values: list[Any]) -> bool:
    return len(set(values)) > 5 and values == sorted(values)


def test_a_lease_is_kept_while_nothing_but_errors_is_read(settling, monkeypatch):
    monkeypatch.setattr(policy, "SETTLEMENT_CHUNK_BYTES", 1000)
    monkeypatch.setattr(reading, "MOST_ERRORS", 10)
    file = receive(settling.gateway, HEADER.encode() + b"# note\n" * 2000)

    seen = progress_of(file)

    assert is_growing([read for read, _ in seen])
    assert is_growing([lease for _, lease in seen])


def test_a_lease_is_kept_while_a_long_bank_statement_is_read(settling, monkeypatch):
    monkeypatch.setattr(policy, "SETTLEMENT_CHUNK_BYTES", 100_000)
    monkeypatch.setattr(policy, "SETTLEMENT_LINES_PER_COMMIT", 10**6)
    file = receive(None, statement(*[booking(n, "x" * 500) for n in range(1500)], closing=1500))

    seen = progress_of(file)

    assert is_growing([read for read, _ in seen])
    assert is_growing([lease for _, lease in seen])
    assert BankLine.objects.count() == 1500


def test_a_bank_statement_is_stored_in_steps(settling, monkeypatch):
    monkeypatch.setattr(policy, "SETTLEMENT_LINES_PER_COMMIT", 10)
    file = receive(None, statement(*[booking(n) for n in range(35)], closing=35))
    stored: list[int] = []
    arm("import_step.after_commit", lambda: stored.append(BankLine.objects.count()))

    import_file(file)

    assert stored == [10, 20, 30, 35]


def test_what_is_stored_of_a_bank_statement_does_not_count_before_its_end(settling, monkeypatch):
    monkeypatch.setattr(policy, "SETTLEMENT_LINES_PER_COMMIT", 10)
    settling.settle(line("charge", "ch_1", "", 1_00, batch="payment-3", ago=2))
    file = receive(None, statement(*[booking(n) for n in range(35)], closing=36))
    arm("import_step.after_commit", lambda: import_due(actor=ACTOR))

    import_file(file)

    assert SettlementBatch.objects.get().status == "announced"
    assert not BankLine.objects.exists()


@pytest.mark.parametrize("content", [b"nonsense\n", (HEADER + line() + f"x,{CARD}\n").encode()])
def test_whoever_lost_the_lease_refuses_nothing_and_says_nothing(settling, content):
    file = receive(settling.gateway, content)
    stale = claim_file(file)
    lapse(file)
    assert claim_file(file)

    run_import(file, stale)

    file.refresh_from_db()
    assert file.status == "importing"
    assert file.chunks.exists()
    assert not Alert.objects.exists()


@pytest.mark.parametrize("content", [b"nonsense\n", (HEADER + line(currency="EUR")).encode()])
@pytest.mark.parametrize("point", ["import_refused.after_commit", "import_finished.after_commit"])
def test_a_refusal_is_told_although_whoever_refused_died_of_it(settling, content, point):
    file = receive(settling.gateway, content)
    arm(point, die)
    try:
        import_file(file)
    except Died:
        file.refresh_from_db()

    assert file.status == "refused"
    assert Alert.objects.get().object_id == file.public_id


def test_bytes_that_were_refused_this_very_moment_are_taken(settling):
    earlier = receive(settling.gateway, b"nonsense\n")

    def refuse_meanwhile(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith("ROLLBACK TO SAVEPOINT"):  # the index has just said that the bytes are here
            execute("UPDATE ledger_settlementfile SET status = 'refused' WHERE id = %s", [earlier.pk], False, context)
        return result

    with connection.execute_wrapper(refuse_meanwhile):
        again = receive(settling.gateway, b"nonsense\n")

    assert again.pk != earlier.pk
    assert SettlementFile.objects.count() == 2


@pytest.fixture
def busy_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker that hears of every file first, and takes its time."""
    threads: list[threading.Thread] = []

    def work(file: SettlementFile, lease: Any) -> None:
        time.sleep(0.5)
        run_import(file, lease)
        connection.close()

    def claim_for_the_worker(file: SettlementFile) -> Any:
        lease = claim_file(file)
        if lease:
            threads.append(threading.Thread(target=work, args=(file, lease)))
            threads[-1].start()

    monkeypatch.setattr(files, "claim_file", claim_for_the_worker)
    yield
    for thread in threads:
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_the_command_waits_for_whoever_was_faster(settling, busy_worker, tmp_path, capsys):
    (tmp_path / "north.csv").write_bytes(GOOD)

    call_command("import_settlement", str(tmp_path / "north.csv"), "--gateway", "acme")

    assert "1 lines" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
def test_the_folder_waits_for_whoever_was_faster(settling, busy_worker, folder):
    (folder / "acme" / "bad.csv").write_bytes(b"nonsense\n")

    assert collect_files(folder=folder, actor=ACTOR) == 1

    assert [path.name for path in (folder / "acme").iterdir()] == ["refused"]
    assert SettlementFile.objects.count() == 1


# One that fails beside others that must not wait.


@pytest.fixture
def folder(settling: Settling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for settlement files, with one for the gateway and one for the bank."""
    monkeypatch.setattr(policy, "SETTLEMENT_FOLDER_QUIET_SECONDS", 0)
    for name in ("acme", "bank-test"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_a_name_as_long_as_a_folder_allows_is_moved_away(settling, folder):
    name = "ф" * 123 + ".csv"
    (folder / "acme" / name).write_bytes(GOOD)

    assert collect_files(folder=folder, actor=ACTOR) == 1

    (done,) = (folder / "acme" / "done").iterdir()
    assert "ффф" in done.name
    assert not Alert.objects.exists()


def test_a_file_that_cannot_be_moved_away_keeps_no_other_waiting(settling, folder):
    (folder / "acme" / "a.csv").write_bytes(GOOD)
    (folder / "acme" / "done").write_bytes(b"")
    (folder / "acme" / "refused").mkdir()
    (folder / "bank-test" / "b.xml").write_bytes(statement(booking(1), closing=1))

    assert collect_files(folder=folder, actor=ACTOR) >= 1

    assert (folder / "acme" / "a.csv").exists()
    assert [path.name for path in (folder / "bank-test").iterdir()] == ["done"]
    assert SettlementFile.objects.get(gateway=None).status == "imported"
    assert "a.csv in the folder" in Alert.objects.get(kind="settlement_file_stuck", object_id="a.csv").message


def test_a_file_that_says_it_is_from_the_future_is_collected(settling, folder, monkeypatch):
    monkeypatch.setattr(policy, "SETTLEMENT_FOLDER_QUIET_SECONDS", 0.05)
    path = folder / "acme" / "a.csv"
    path.write_bytes(GOOD)
    os.utime(path, times=(2**32, 2**32))
    time.sleep(0.1)

    assert collect_files(folder=folder, actor=ACTOR) == 1


def test_files_that_are_too_large_are_all_kept_aside(settling, folder, monkeypatch):
    monkeypatch.setattr(policy, "MAX_SETTLEMENT_BYTES", 10)
    for content in (b"one is too large", b"two is too large"):
        (folder / "acme" / "big.csv").write_bytes(content)
        collect_files(folder=folder, actor=ACTOR)

    kept = [path.read_bytes() for path in (folder / "acme" / "refused").iterdir()]
    assert sorted(kept) == [b"one is too large", b"two is too large"]


@pytest.fixture
def offers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What gateways offer by their code: contents by name, or the error that asking for them ends with."""
    offered: dict[str, Any] = {}

    def download(gateway: Gateway, is_known: Callable[[str], bool]) -> Iterator[Downloaded]:
        found = offered.get(gateway.code, {})
        if isinstance(found, Exception):
            raise found
        for name, content in found.items():
            if not is_known(name):
                (tmp_path / "file").write_bytes(content)
                yield Downloaded(name, tmp_path / "file")

    monkeypatch.setattr(gateway_services, "download_settlements", download)
    return offered


def another(code: str) -> Gateway:
    """One more gateway."""
    return Gateway.objects.create(
        code=code, name=code.title(), adapter="acme", mode="test", data_format="json",
        base_url="http://127.0.0.1:1", currencies=["USD"],
    )  # fmt: skip


def test_a_gateway_whose_files_cannot_be_fetched_keeps_no_other_waiting(settling, offers):
    another("zebra")
    offers |= {"acme": OSError("no space left on device"), "zebra": {"day-1.csv": GOOD}}

    assert fetch_files(actor=ACTOR) == 1

    assert SettlementFile.objects.get().gateway.code == "zebra"
    assert Alert.objects.get().object_id == settling.gateway.public_id


def test_a_file_whose_name_is_not_kept_as_it_is_is_fetched_once(settling, offers):
    offers["acme"] = {f"batch_{CARD}.csv": b"nonsense\n"}

    for _ in range(3):
        fetch_files(actor=ACTOR)
        import_due(actor=ACTOR)

    assert SettlementFile.objects.get().name == "batch_…1111.csv"


def test_a_file_is_fetched_although_a_damaged_copy_was_brought_in_by_hand(settling, offers):
    import_file(receive(settling.gateway, GOOD[:-10], name="day-1.csv"))
    offers["acme"] = {"day-1.csv": GOOD}

    assert fetch_files(actor=ACTOR) == 1
    import_due(actor=ACTOR)

    assert SettlementFile.objects.get(source="fetch").status == "imported"


def test_a_gateway_that_cannot_be_reconciled_keeps_no_other_waiting(settling, monkeypatch):
    zebra = another("zebra")
    for gateway in (settling.gateway, zebra):
        receive(gateway, GOOD)
    reconcile = files.reconcile

    def fails_for_one(*, gateway: Gateway, **about: Any) -> Any:
        if gateway == settling.gateway:
            raise RuntimeError("a mistake of ours")
        return reconcile(gateway=gateway, **about)

    monkeypatch.setattr(files, "reconcile", fails_for_one)

    assert import_due(actor=ACTOR) == 2

    assert SettlementFile.objects.get(reconciled_at=None).gateway == settling.gateway
    assert Alert.objects.get().object_id == settling.gateway.public_id


# Somebody else's, or told before.


def test_v43_a_file_of_another_gateway_is_refused(settling):
    settling.charge("1")
    zebra = another("zebra")
    content = (HEADER + line("charge", "ch_1", "att_1", 100_00, 3_20)).encode()

    file = import_file(receive(zebra, content))

    assert file.status == "refused"
    assert "is of Acme: it names operations of ours there" in file.errors[0][2]
    assert not SettlementBatch.objects.exists()
    assert import_file(receive(settling.gateway, content)).status == "imported"


def test_a_file_that_names_one_operation_of_its_gateway_is_its_file(settling):
    settling.charge("1")
    zebra = another("zebra")
    Settling(zebra, settling.merchant).charge("2", theirs="")
    content = HEADER + line("charge", "", "att_1", ago=2) + line("charge", "", "att_2", ago=2)

    assert import_file(receive(zebra, content.encode())).status == "imported"


def test_v43_a_bank_statement_that_comes_again_in_other_bytes_is_refused(settling):
    import_file(receive(None, statement(booking(1), booking(2), closing=2), name="monday.xml"))

    file = import_file(receive(None, b"\n" + statement(booking(2), booking(3), closing=2), name="tuesday.xml"))

    assert file.status == "refused"
    ((number, _, reason),) = file.errors
    assert number == 1
    assert "was in monday.xml already" in reason
    assert BankLine.objects.count() == 2


@pytest.mark.parametrize(
    "again", [booking(2), booking(1, "other"), booking(1, amount="2.00"), booking(1, ago=2), booking(0)]
)
def test_a_booking_that_differs_in_anything_or_has_no_name_is_another(settling, again):
    import_file(receive(None, statement(booking(1), booking(0), closing=2)))
    closing = 2 if "2.00" in again else 1

    assert import_file(receive(None, b"\n" + statement(again, closing=closing))).status == "imported"


def test_a_bank_line_is_no_larger_than_a_movement_can_be(settling):
    much = f"{policy.SETTLEMENT_AMOUNT_MINOR // 100 + 1}"
    content = statement(booking(1, amount=f"{much}.00"), closing=int(much))

    file = import_file(receive(None, content))

    assert file.errors == [[1, "Amt", "is more than any movement can be"]]


# What is kept, shown and handed out.


def test_v29_a_bank_statement_with_a_card_number_in_a_text_is_read_and_not_kept_as_it_came(settling):
    plain, told = receive(None, statement(booking(1, "order 12"), closing=1)), f"order 12, card {CARD}"
    file = import_file(receive(None, statement(booking(2, told), closing=1)))
    import_file(plain)

    assert file.status == "imported"
    assert BankLine.objects.get(file=file).text == "order 12, card …1111"
    assert not file.chunks.exists()
    assert plain.chunks.exists()


@pytest.fixture
def desk(settling: Settling) -> Any:
    """A finance person's browser."""
    return at_desk("Finance")


PAGE = "/admin/ledger/settlementfile"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("V1 empty.csv", b"", "is empty"),
        ("V3 latin.csv", GOOD.replace(b"ch_1", b"caf\xe9"), "is not UTF-8"),
        ("V11 long.csv", HEADER.encode() + b"x" * 10**6, "is longer than 64 kB"),
        ("V17 formula.csv", GOOD.replace(b"batch", b"=1+1", 1), "begins like a formula"),
        ("V19 workbook.csv", b"PK\x03\x04" + bytes(100), "is an Excel workbook"),
        ("V21 packed.csv", gzip.compress(GOOD, mtime=0), "is compressed with gzip"),
        ("V29 card.csv", GOOD + line(ours=CARD).encode(), "card number"),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_what_is_uploaded_and_no_settlement_file_is_refused_on_its_page(desk, name, content, reason):
    answer = fill_in(desk, f"{PAGE}/upload/", sender="acme", file=SimpleUploadedFile(name, content))
    assert answer.status_code == 302
    import_due(actor=ACTOR)

    said = text_of(desk.get(answer["Location"]))

    file = SettlementFile.objects.get()
    assert file.status == "refused"
    assert reason in said
    assert CARD not in said
    assert desk.get(f"{PAGE}/{file.public_id}/bytes/").status_code == 404
    assert not SettlementLine.objects.exists()
    assert not JournalEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_v11_an_upload_beyond_the_limit_leaves_nothing(desk, monkeypatch):
    monkeypatch.setattr(policy, "MAX_SETTLEMENT_BYTES", 1024)
    answer = fill_in(desk, f"{PAGE}/upload/", sender="acme", file=SimpleUploadedFile("big.csv", b"x" * 1025))

    assert "The file is larger than" in text_of(answer)
    assert not SettlementFile.objects.exists()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('a;b "c".csv', 'filename="a;b \\"c\\".csv"'),
        ("nul\x00 and\r\nX-Evil: 1.csv", 'filename="nul andX-Evil: 1.csv"'),
        ("\u202eнояб.csv", "filename*=utf-8''%D0%BD%D0%BE%D1%8F%D0%B1.csv"),
        ("../../" + "x" * 500 + ".csv", f'filename="{"x" * 116}.csv"'),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_v23_the_file_is_handed_out_byte_for_byte_under_a_harmless_name_and_that_is_audited(
    desk, settling, name, shown
):
    file = import_file(receive(settling.gateway, GOOD, name=name))
    page = f"{PAGE}/{file.public_id}/change/"
    assert 'href="../bytes/"' in desk.get(page).content.decode()

    answer = desk.get(f"{PAGE}/{file.public_id}/bytes/")

    assert b"".join(answer.streaming_content) == GOOD
    assert answer["Content-Disposition"] == f"attachment; {shown}"
    assert "X-Evil" not in answer
    assert AuditEntry.objects.filter(verb="file.download", object_id=file.public_id).count() == 1


@pytest.mark.django_db(transaction=True)
def test_v33_all_errors_that_were_kept_are_handed_out_and_none_is_a_formula(desk, settling):
    file = import_file(receive(settling.gateway, HEADER.encode() + line(currency="eur").encode() * 10_000))
    SettlementFile.objects.filter(pk=file.pk).update(errors=[[0, "=1+1", "@SUM"], *file.errors[1:]])
    assert 'href="../errors/"' in desk.get(f"{PAGE}/{file.public_id}/change/").content.decode()

    answer = desk.get(f"{PAGE}/{file.public_id}/errors/")

    header, first, second, *_ = rows = list(csv.reader(io.StringIO(answer.content.decode())))
    assert file.error_count == 10_000
    assert len(rows) == 1 + policy.SETTLEMENT_ERRORS_KEPT
    assert (header, first) == (["line", "column", "reason"], ["", "'=1+1", "'@SUM"])
    assert second[:2] == ["3", "currency"]
    assert answer["Content-Disposition"].startswith("attachment")


@pytest.mark.django_db(transaction=True)
def test_v45_whoever_may_not_see_files_gets_nothing_of_them(settling, django_user_model):
    file = import_file(receive(settling.gateway, b"nonsense\n"))
    nobody = at_desk("Finance")
    django_user_model.objects.get(username="a Finance").groups.clear()

    for page in ("change/", "bytes/", "errors/"):
        assert nobody.get(f"{PAGE}/{file.public_id}/{page}").status_code == 403
    assert nobody.get(f"{PAGE}/upload/").status_code == 403
    assert nobody.post(f"{PAGE}/upload/", {"sender": "acme", "file": io.BytesIO(GOOD)}).status_code == 403
    assert SettlementFile.objects.count() == 1


def test_v41_currencies_that_are_summed_up_in_one_payout_line_are_told_apart(settling):
    settling.gateway.currencies = ["USD", "EUR"]
    settling.gateway.save()
    payout = line("payout", "po_1", "", -300_00, ago=0)
    settling.settle(line(gross=100_00), line(gross=200_00, currency="EUR"), payout)

    assert SettlementBatch.objects.get(currency="USD").payout_minor == 300_00
    assert SettlementBatch.objects.get(currency="EUR").payout_minor is None
    assert settling.told()["batch_total_differs"] == 1
