"""A file gets in whole or not at all, once, whatever it holds and whenever the process that imports it dies."""

import io
import os
import re
import subprocess
import sys
import time
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connection

from checkout.kit import clock
from checkout.kit.failpoints import Died, arm, die, disarm
from checkout.kit.models import Alert, AuditEntry
from checkout.settings import policy
from gateways import services as gateway_services
from gateways.services import Downloaded
from ledger import chart, tasks
from ledger.models import BankLine, JournalEntry, SettlementBatch, SettlementFile, SettlementFileChunk, SettlementLine
from ledger.reconciliation.content import pieces_of
from ledger.reconciliation.refusals import FileAlreadyReceived, FileTooLarge, OtherMode
from ledger.selectors import balance_of
from ledger.services.files import collect_files, fetch_files, import_due, import_file, printable_name, receive_file
from ledger.services.importing import claim_file, run_import
from ledger.tests.settling import ACTOR, HEADER, Settling, day, line, payout

pytestmark = pytest.mark.django_db

CARD = "4111111111111111"
STATEMENT = """<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt>
<Acct><Id><IBAN>DE02100100109307118603</IBAN></Id></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">106.80</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>
<Ntry><Amt Ccy="USD">96.80</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><Dt>{booked_on}</Dt></BookgDt>
<NtryDtls><TxDtls><RmtInf><Ustrd>ACME BATCH-1</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
</Stmt></BkToCstmrStmt></Document>"""


@pytest.fixture
def settling(acme, ana) -> Settling:
    return Settling(acme, ana)


@pytest.fixture(autouse=True)
def _nothing_stays_armed():
    yield
    disarm()


def receive(settling: Settling, content: bytes, name: str = "north.csv", **more) -> SettlementFile:
    about = {"gateway": settling.gateway, "mode": "test", "source": "upload", "actor": ACTOR, **more}
    return receive_file(stream=io.BytesIO(content), name=name, **about)


def nothing_came_of_it() -> bool:
    return not (SettlementLine.objects.exists() or SettlementBatch.objects.exists() or JournalEntry.objects.exists())


# Received.


def test_a_file_is_kept_byte_for_byte_in_pieces(settling, monkeypatch):
    monkeypatch.setattr(policy, "SETTLEMENT_CHUNK_BYTES", 1000)
    content = os.urandom(4_321)
    file = receive(settling, content)
    assert b"".join(pieces_of(file.pk)) == content
    assert list(file.chunks.order_by("number").values_list("number", "size_bytes")) == [
        (0, 1000), (1, 1000), (2, 1000), (3, 1000), (4, 321),
    ]  # fmt: skip
    assert (file.size_bytes, file.status, file.received_by) == (4_321, "received", "command:test")
    assert AuditEntry.objects.get(object_id=file.public_id).verb == "file.receive"


def test_the_same_bytes_are_refused_and_the_earlier_file_is_named(settling):
    file = settling.receive(line(), name="first.csv")
    with pytest.raises(FileAlreadyReceived, match="first.csv") as refused:
        settling.receive(line(), name="second.csv")
    assert refused.value.file == file
    assert SettlementFile.objects.count() == 1
    assert SettlementFileChunk.objects.count() == 1


def test_a_refused_file_may_come_again_and_another_gateway_may_send_the_same(settling, ana):
    refused = settling.import_lines("nonsense\n")
    assert refused.status == "refused"
    assert settling.receive("nonsense\n").pk != refused.pk
    receive(settling, (HEADER + "nonsense\n").encode(), gateway=None)


def test_a_file_that_is_too_large_leaves_nothing(settling, monkeypatch):
    monkeypatch.setattr(policy, "MAX_SETTLEMENT_BYTES", 100)
    with pytest.raises(FileTooLarge):
        receive(settling, b"x" * 101)
    assert not SettlementFile.objects.exists()
    assert not SettlementFileChunk.objects.exists()


def test_a_test_gateway_has_no_live_files(settling):
    with pytest.raises(OtherMode):
        receive(settling, b"x", mode="live")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd.csv", "passwd.csv"),
        (r"C:\files\a;b.csv", "a;b.csv"),
        ("x" * 500 + ".csv", "x" * 116 + ".csv"),
        ("nul\x00 and\r\nlines.csv", "nul andlines.csv"),
        ("\u202egnp.csv", "gnp.csv"),
        (f"{CARD}.csv", "…1111.csv"),
        ("\r\n", "unnamed"),
    ],
)
def test_a_name_is_kept_short_and_printable(name, shown):
    assert printable_name(name) == shown


# Imported.


def test_an_imported_file_has_its_lines_batches_and_entries(settling):
    file = settling.import_lines(
        line("charge", "ch_1", "att_1", 100_00, 3_20, ago=2),
        line("refund", "re_1", "att_2", -40_00, ago=1),
        payout(56_80, ago=0),
        line("charge", "ch_2", "", 10_00, ago=3, batch="batch-2"),
    )
    assert (file.status, file.line_count, file.error_count, file.profile) == ("imported", 4, 0, "checkout-1")
    assert (file.first_on, file.last_on, file.progress) == (day(3), day(1), 1.0)
    first, second = SettlementBatch.objects.order_by("reference")
    assert (first.net_minor, first.payout_minor, first.line_count, first.paid_on) == (56_80, 56_80, 2, day(0))
    assert (second.net_minor, second.payout_minor, second.paid_on) == (10_00, None, day(3))
    assert first.entry.kind == "settlement_announced"
    assert second.entry.occurred_on == day(3)
    assert balance_of(chart.gateway_in_transit(settling.gateway.pk), mode="test", currency="USD").amount_minor == 66_80
    row = SettlementLine.objects.get(line_number=2)
    assert (row.gateway_reference, row.reference, row.net_minor, row.batch_reference) == (
        "ch_1", "att_1", 96_80, "batch-1",
    )  # fmt: skip
    assert AuditEntry.objects.get(verb="file.finish").after["lines"] == 4


def test_lines_without_a_batch_are_a_batch_of_their_own(settling):
    file = settling.import_lines(line(batch=""))
    batch = SettlementBatch.objects.get()
    assert (batch.reference, batch.net_minor) == (file.public_id, 100_00)


def test_a_backslash_is_a_backslash(settling):
    settling.import_lines(line(theirs=r"ch_\N\t1\\"))
    assert SettlementLine.objects.get().gateway_reference == r"ch_\N\t1\\"


@pytest.mark.parametrize(
    ("bad", "column"),
    [
        (line(currency="EUR"), "currency"),
        (line(ago=-2), "date"),
        (line(ago=policy.SETTLEMENT_LINE_DAYS + 1), "date"),
        (line(gross=10**15 + 1), "amount"),
        (line(gross=100_00).replace(",10000,0,10000,", ",10000,0,9999,"), "net_minor"),
    ],
)
def test_one_line_at_fault_keeps_the_whole_file_out(settling, bad, column):
    file = settling.import_lines(line(theirs="ch_1"), bad, line(theirs="ch_3"))
    assert file.status == "refused"
    assert [(error[0], error[1]) for error in file.errors] == [(3, column)]
    assert nothing_came_of_it()
    assert b"".join(pieces_of(file.pk))  # read to its end: its bytes are known to be harmless
    assert Alert.objects.get().kind == "settlement_file_refused"


def test_errors_are_capped_and_all_counted(settling, monkeypatch):
    monkeypatch.setattr(policy, "SETTLEMENT_LINES_PER_COMMIT", 100)
    bad = [line(gross=n).replace(",USD,", ",usd,") for n in range(1, 1_801)]
    file = settling.import_lines(*[line(gross=n) for n in range(1, 301)], *bad)
    assert (file.status, file.error_count, len(file.errors)) == ("refused", 1_800, policy.SETTLEMENT_ERRORS_KEPT)
    assert nothing_came_of_it()


def test_a_card_number_keeps_the_file_out_and_its_bytes_too(settling):
    lines = [line(theirs=f"ch_{n}") for n in range(300)]
    file = settling.import_lines(*lines, line(ours=CARD))
    assert (file.status, file.error_count) == ("refused", 1)
    assert not file.chunks.exists()
    assert nothing_came_of_it()
    assert CARD not in str(file.errors)
    assert CARD not in str(list(Alert.objects.values())) + str(list(AuditEntry.objects.values()))


def test_a_batch_is_told_once(settling):
    settling.import_lines(line(), name="first.csv")
    again = settling.import_lines(line(theirs="other"), name="second.csv")
    assert again.status == "refused"
    assert "was in first.csv already" in again.errors[0][2]
    assert SettlementBatch.objects.count() == 1


def test_more_batches_than_there_can_be_are_a_misread_column(settling, monkeypatch):
    monkeypatch.setattr(policy, "SETTLEMENT_BATCHES", 2)
    file = settling.import_lines(*[line(batch=f"batch-{n}") for n in range(3)])
    assert (file.status, file.errors[0][1]) == ("refused", "batch")
    assert nothing_came_of_it()


def test_a_sum_beyond_any_amount_is_refused(settling, monkeypatch):
    monkeypatch.setattr(policy, "SETTLEMENT_AMOUNT_MINOR", 2**63 - 1)
    file = settling.import_lines(line(gross=2**62), line(gross=2**62), line(gross=2**62))
    assert (file.status, file.errors[0][1]) == ("refused", "batch")
    assert nothing_came_of_it()


def _zip() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x", "y")
    return archive.getvalue()


GOOD = (HEADER + line(theirs="ch_1")).encode()


BAD = [
    b"",
    b"\xef\xbb\xbf",
    HEADER.encode(),
    GOOD.replace(b"ch_1", "café".encode("latin-1")),
    GOOD.decode().encode("utf-16"),
    GOOD + b"charge,ch_2\n",
    GOOD + b"charge,ch_2,,USD,1,0,1,2026-01-01,b,more\n",
    GOOD.replace(b",", b";"),
    GOOD.replace(b",", b"\t"),
    GOOD.replace(b"ch_1", b"'ch,1'"),
    GOOD.replace(b"\n", b"\r"),
    HEADER.encode() + b"x" * 200_000,
    *(GOOD.replace(b",10000,0,", b"," + amount.encode() + b",0,") for amount in ("1,234.56", "1e3", "１２", " 12")),
    *(GOOD.replace(b",10000,0,", b"," + amount.encode() + b",0,") for amount in ("(12)", "12-", "€12", "NaN", "")),
    *(GOOD.replace(str(day(1)).encode(), text) for text in (b"01/02/03", b"45000", b"26-01-01", b"2026-02-30", b"")),
    GOOD.replace(b"kind,", b"=kind,"),
    GOOD.replace(b"kind,gateway_reference", b"gateway_reference,kind"),
    _zip(),
    b"\x1f\x8b" + b"\x00" * 50,
    GOOD + line(ours=f"{CARD[:4]} {CARD[4:8]} {CARD[8:12]} {CARD[12:]}").encode(),
    GOOD.replace(b"USD", "ＵＳＤ".encode()),
    GOOD.replace(b"USD", b"USDX"),
    GOOD.replace(b"ch_1", b"1.23E+15"),
    GOOD + b"# a comment\n",
    GOOD + b"\n" + line(theirs="ch_2").encode(),
    GOOD + b"\x00",
    b"%PDF-1.7",
    b"<?xml version='1.0'?><Document/>",
]


@pytest.mark.parametrize("content", BAD, ids=range(len(BAD)))
def test_nothing_of_what_no_settlement_file_may_be_gets_in(settling, content):
    file = import_file(receive(settling, content))
    assert file.status == "refused"
    assert file.error_count >= 1
    assert nothing_came_of_it()
    assert import_file(receive(settling, GOOD, name="good.csv")).status == "imported"


@pytest.mark.parametrize(
    "content", [GOOD.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + GOOD, GOOD.replace(b"ch_1", b'"ch_1"')]
)
def test_what_rfc_4180_allows_gets_in(settling, content):
    assert import_file(receive(settling, content)).status == "imported"
    assert SettlementLine.objects.get().gateway_reference == "ch_1"


# Killed, and gone on with.


def lapse(file: SettlementFile) -> None:
    """Let the lease of whoever is at a file be over."""
    SettlementFile.objects.filter(pk=file.pk).update(next_action_at=clock.now() - timedelta(seconds=1))


@pytest.mark.parametrize(
    "point",
    [
        "claim_file.after_commit",
        "import_step.before_commit",
        "import_step.after_commit",
        "import_finished.before_commit",
    ],
)
@pytest.mark.django_db(transaction=True)
def test_whoever_goes_on_with_an_import_has_each_line_once(settling, monkeypatch, point):
    monkeypatch.setattr(policy, "SETTLEMENT_LINES_PER_COMMIT", 10)
    file = settling.receive(*[line(theirs=f"ch_{n}") for n in range(35)])
    for _ in range(2):
        arm(point, die)
        with pytest.raises(Died):
            import_file(file)
        disarm()
        assert import_file(file).status in ("importing", "received")  # its lease still holds
        assert not SettlementBatch.objects.exists()
        lapse(file)
    assert import_due(actor=ACTOR) == 1
    file.refresh_from_db()
    assert (file.status, file.line_count) == ("imported", 35)
    assert sorted(SettlementLine.objects.values_list("line_number", flat=True)) == list(range(2, 37))
    assert SettlementBatch.objects.get().net_minor == 35 * 100_00


def test_whoever_lost_the_lease_writes_nothing_more(settling, monkeypatch):
    file = settling.receive(line())
    stale = claim_file(file)
    lapse(file)
    fresh = claim_file(file)
    assert stale != fresh
    assert fresh is not None
    run_import(file, stale)
    assert not SettlementLine.objects.exists()
    run_import(file, fresh)
    assert SettlementLine.objects.count() == 1


def test_a_file_that_cannot_be_imported_does_not_keep_others_waiting(settling, monkeypatch):
    stuck, fine = settling.receive(line(theirs="ch_1")), settling.receive(line(theirs="ch_2", batch="batch-2"))
    original = claim_file

    def claim(file):
        if file.pk == stuck.pk:
            raise RuntimeError("a mistake of ours")
        return original(file)

    monkeypatch.setattr("ledger.services.files.claim_file", claim)
    assert import_due(actor=ACTOR) == 1
    fine.refresh_from_db()
    assert fine.status == "imported"
    assert Alert.objects.get().kind == "settlement_file_stuck"


def importer(file: SettlementFile) -> subprocess.Popen:
    """A process of its own that imports a file in many steps."""
    script = (
        "import django; django.setup()\n"
        "from checkout.settings import policy; policy.SETTLEMENT_LINES_PER_COMMIT = 100\n"
        "from ledger.models import SettlementFile; from ledger.services.files import import_file\n"
        f"import_file(SettlementFile.objects.get(pk='{file.pk}'))\n"
    )
    about = connection.settings_dict
    url = f"postgres://{about['USER']}:{about['PASSWORD']}@{about['HOST']}:{about['PORT']}/{about['NAME']}"
    return subprocess.Popen(
        [sys.executable, "-c", script], cwd=django_settings.BASE_DIR, env={**os.environ, "DATABASE_URL": url}
    )


def kill_beyond(process: subprocess.Popen, file: SettlementFile, lines: int) -> None:
    """Kill a process as soon as it has stored so many lines."""
    try:
        deadline = time.monotonic() + 60
        while file.line_count < lines:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
            file.refresh_from_db()
    finally:
        process.kill()
        process.wait()
    file.refresh_from_db()


def bank_statement_of(count: int) -> bytes:
    head, entry, tail = re.split(r"(<Ntry>.*</Ntry>)", STATEMENT.format(booked_on=day(1)), flags=re.DOTALL)
    entries = "".join(entry.replace("96.80", f"{n}.00") for n in range(1, count + 1))
    return (head + entries + tail).replace("106.80", f"{10 + count * (count + 1) // 2}.00").encode()


@pytest.mark.parametrize("sender", ["gateway", "bank"])
@pytest.mark.django_db(transaction=True)
def test_an_import_that_is_killed_twice_is_ended_by_a_third_process(settling, sender):
    count = 10_000
    if sender == "gateway":
        file = settling.receive(*[line(theirs=f"ch_{n}", gross=n * 100) for n in range(1, count + 1)])
    else:
        file = receive(settling, bank_statement_of(count), gateway=None)
    rows = SettlementLine if sender == "gateway" else BankLine

    for lines in (count // 10, count // 2):
        kill_beyond(importer(file), file, lines)
        assert (file.status, SettlementBatch.objects.count(), JournalEntry.objects.count()) == ("importing", 0, 0)
        assert lines <= rows.objects.count() < count
        lapse(file)
    assert importer(file).wait(60) == 0

    file.refresh_from_db()
    assert (file.status, file.line_count, rows.objects.count()) == ("imported", count, count)
    amount = "gross_minor" if sender == "gateway" else "amount_minor"
    assert sorted(rows.objects.values_list(amount, flat=True)) == [n * 100 for n in range(1, count + 1)]
    import_due(actor=ACTOR)
    file.refresh_from_db()
    assert file.reconciled_at is not None


# How files come.


def test_the_folder_is_emptied_into_done_and_refused(settling, tmp_path, monkeypatch):
    monkeypatch.setattr(policy, "SETTLEMENT_FOLDER_QUIET_SECONDS", 0)
    place = tmp_path / "acme"
    place.mkdir()
    (place / "good.csv").write_bytes(GOOD)
    (place / "again.csv").write_bytes(GOOD)
    (place / "bad.csv").write_bytes(b"bad")
    (place / ".hidden").write_bytes(GOOD)
    (place / "link.csv").symlink_to(place / "good.csv")
    (tmp_path / "nobody").mkdir()
    (tmp_path / "nobody" / "good.csv").write_bytes(GOOD)

    assert collect_files(folder=tmp_path, actor=ACTOR) == 3
    assert collect_files(folder=tmp_path, actor=ACTOR) == 0
    assert sorted(path.name for path in place.iterdir()) == [".hidden", "done", "link.csv", "refused"]
    (done,) = {path.name.partition("-")[2] for path in (place / "done").iterdir()}
    assert done == "again.csv"
    assert len(list((place / "refused").iterdir())) == 1
    assert (tmp_path / "nobody" / "good.csv").exists()
    assert SettlementFile.objects.filter(status="imported", source="folder").count() == 1


def test_a_file_that_is_still_being_written_is_left_alone(settling, tmp_path):
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "good.csv").write_bytes(GOOD)
    assert collect_files(folder=tmp_path, actor=ACTOR) == 0
    assert not SettlementFile.objects.exists()


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    assert collect_files(folder=tmp_path / "none", actor=ACTOR) == 0


def test_files_are_fetched_once(settling, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(GOOD)

    def download(gateway, is_known):
        if not is_known("day-1.csv"):
            yield Downloaded("day-1.csv", path)

    monkeypatch.setattr(gateway_services, "download_settlements", download)
    assert fetch_files(actor=ACTOR) == 1
    assert fetch_files(actor=ACTOR) == 0
    assert SettlementFile.objects.get().source == "fetch"


def test_the_task_imports_and_matches_what_waits(settling):
    settling.charge("1", 100_00, 0)
    settling.receive(line("charge", "ch_1", "att_1", 100_00))
    tasks.import_files()
    file = SettlementFile.objects.get()
    assert file.status == "imported"
    assert file.reconciled_at is not None
    assert not settling.open_lines()


def test_a_bank_statement_is_imported_in_full_and_matched(settling):
    settling.charge("1")
    settling.settle(line("charge", "ch_1", "att_1", 100_00, 3_20, ago=2))
    content = STATEMENT.format(booked_on=day(1)).encode()
    receive(settling, content, name="bank.xml", gateway=None)
    tasks.import_files()
    file = SettlementFile.objects.get(gateway=None)
    assert (file.status, file.line_count, file.first_on, file.profile) == ("imported", 1, day(1), "camt.053")
    booked = BankLine.objects.get()
    assert (booked.amount_minor, booked.text, booked.booked_on) == (96_80, "ACME BATCH-1", day(1))
    assert SettlementBatch.objects.get().bank_line == booked
    assert balance_of(chart.bank(), mode="test", currency="USD").amount_minor == 96_80


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not xml",
        STATEMENT.format(booked_on=day(1)).replace("106.80", "106.81").encode(),
        STATEMENT.format(booked_on=day(-5)).encode(),
        b'<!DOCTYPE x [<!ENTITY e "e">]>' + STATEMENT.format(booked_on=day(1)).encode(),
    ],
)
def test_a_bank_statement_that_does_not_add_up_or_is_none_is_refused(settling, content):
    file = import_file(receive(settling, content, name="bank.xml", gateway=None))
    assert (file.status, BankLine.objects.count()) == ("refused", 0)


def test_the_command_imports_and_says_what_it_found(settling, tmp_path, capsys):
    path = tmp_path / "north.csv"
    path.write_bytes(GOOD)
    call_command("import_settlement", str(path), "--gateway", "acme")
    assert "1 lines" in capsys.readouterr().out
    with pytest.raises(CommandError, match="received before"):
        call_command("import_settlement", str(path), "--gateway", "acme")
    Path(path).write_bytes(b"bad")
    with pytest.raises(CommandError, match="Refused, with 1 errors"):
        call_command("import_settlement", str(path), "--gateway", "acme")
    with pytest.raises(CommandError, match="no gateway"):
        call_command("import_settlement", str(path), "--gateway", "nobody")
