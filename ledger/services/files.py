"""How does a file of a gateway or the bank get in? Received byte for byte, imported in full or refused in full.

A received file is a row that says when it is due; whoever claims it holds a lease, and goes on where a dead one
stopped. Nothing of a file counts before the last transaction of its import.
"""

import contextlib
import hashlib
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import structlog
from django.db import IntegrityError, transaction

from checkout.kit import alerts, audit, clock
from checkout.kit.actors import Actor
from checkout.kit.card_numbers import scrub
from checkout.kit.defer import defer
from checkout.kit.durable import durable
from checkout.kit.ids import uuid7
from checkout.kit.inputs import is_printable
from checkout.settings import policy
from gateways import services as gateway_services
from gateways.errors import DownloadFailed
from gateways.models import Gateway
from ledger.models import SettlementFile, SettlementFileChunk
from ledger.reconciliation import selectors
from ledger.reconciliation.refusals import FileAlreadyReceived, FileTooLarge, OtherMode, ReconciliationUnderWay
from ledger.services.bank import reconcile_bank
from ledger.services.importing import claim_file, run_import
from ledger.services.matching import reconcile
from ledger.statuses import FileStatus

IMPORT_FILES = "ledger.import_files"

log = structlog.get_logger(__name__)

_LONGEST_NAME = 120
_LONGEST_PATH_BYTES = 255  # a name in a folder, on every usual file system
_LOOK_AGAIN_SECONDS = 0.2
BANK_FOLDERS = {"bank": "live", "bank-test": "test"}


@durable("receive_file")
def receive_file(
    *, stream: BinaryIO, name: str, gateway: Gateway | None, mode: str, source: str, actor: Actor
) -> SettlementFile:
    """Keep a file, a gateway's or without one the bank's, and ring for its import. `name` is what others call it.

    Refuses: FileTooLarge; FileAlreadyReceived, unless the earlier one was refused; OtherMode.
    """
    if gateway is not None and gateway.mode != mode:
        raise OtherMode(gateway=gateway.name, mode=gateway.mode)
    key, digest, size = uuid7(), hashlib.sha256(), 0
    for number, piece in enumerate(iter(lambda: stream.read(policy.SETTLEMENT_CHUNK_BYTES), b"")):
        size += len(piece)
        if size > policy.MAX_SETTLEMENT_BYTES:
            raise FileTooLarge(limit_bytes=policy.MAX_SETTLEMENT_BYTES)
        digest.update(piece)
        SettlementFileChunk.objects.create(
            file_id=key, number=number, size_bytes=len(piece), content=zlib.compress(piece, level=1)
        )
    file = SettlementFile(
        id=key,
        gateway=gateway,
        mode=mode,
        name=printable_name(name),
        source=SettlementFile.Source(source),
        sha256=digest.hexdigest(),
        size_bytes=size,
        received_by=str(actor),
        next_action_at=clock.now(),
    )
    _insert_once(file)
    audit.record(actor=actor, verb="file.receive", obj=file, after={"name": file.name, "sha256": file.sha256})
    defer(IMPORT_FILES)
    return file


def printable_name(name: str) -> str:
    """What a file is called by others, for people: no path, nothing unprintable, no card number, not long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = scrub("".join(character for character in last if is_printable(character))).strip()
    stem, dot, extension = shown.rpartition(".")
    if len(shown) > _LONGEST_NAME and len(extension) < 10:
        shown = stem[: _LONGEST_NAME - len(extension) - 1] + dot + extension
    return shown[:_LONGEST_NAME] or "unnamed"


def import_file(file: SettlementFile) -> SettlementFile:
    """Import a file that is due, or go on with it, unless somebody is at it; returns it as it is then."""
    lease = claim_file(file)
    if lease is not None:
        run_import(file, lease)
    file.refresh_from_db()
    return file


def import_to_end(file: SettlementFile) -> SettlementFile:
    """The same for who has nothing else to do: if somebody is at it, wait until it has ended, or go on with it."""
    while import_file(file).status in (FileStatus.RECEIVED, FileStatus.IMPORTING):
        time.sleep(_LOOK_AGAIN_SECONDS)
    return file


def import_due(*, actor: Actor) -> int:
    """Import every file that is due, then match what was imported; returns how many files ended."""
    count = 0
    for file in selectors.files_due():
        with _apart("settlement_file_stuck", file.public_id, f"{file.name} could not be imported"):
            count += import_file(file).status in (FileStatus.IMPORTED, FileStatus.REFUSED)
    for gateway, mode in selectors.gateways_with_files(unreconciled=True):
        _reconcile(gateway, mode, actor)
    return count


def reconcile_all(*, actor: Actor) -> None:
    """Look at every gateway that ever sent a file, and at the bank, again; one that somebody is at is left to them."""
    for gateway, mode in selectors.gateways_with_files():
        _reconcile(gateway, mode, actor)


def collect_files(*, folder: Path, actor: Actor) -> int:
    """Take in what lies in `<gateway code>/`, `bank/` and `bank-test/` of a folder; returns how many files ended.

    A file that was imported is moved to `done/` beside it, a refused one to `refused/`.
    """
    count = 0
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        gateway = Gateway.objects.filter(code=place.name).first()
        mode = gateway.mode if gateway else BANK_FOLDERS.get(place.name)
        if mode is None or not place.is_dir():
            continue
        for path in sorted(place.iterdir()):
            shown = printable_name(path.name)
            with _apart("settlement_file_stuck", shown[:64], f"{shown} in the folder could not be taken in"):
                if _is_complete(path):
                    _collect(path, gateway, mode, actor)
                    count += 1
    return count


def fetch_files(*, actor: Actor) -> int:
    """Ask every gateway for the files that we do not have yet; returns how many came."""
    count = 0
    for gateway in Gateway.objects.order_by("code"):
        with _apart("settlement_files_unavailable", gateway.public_id, f"{gateway.name}'s files could not be fetched"):
            count += _fetch(gateway, actor)
    return count


@contextlib.contextmanager
def _apart(kind: str, object_id: str, what: str) -> Iterator[None]:
    """What goes wrong here is told as an alert, and keeps nothing else waiting: the next tick tries it again."""
    try:
        yield
    except Exception:
        log.exception(kind, object=object_id)
        message = f"{what}, and will be tried again. The log says why."
        alerts.raise_alert(kind=kind, object_id=object_id, severity="critical", message=message)


def _reconcile(gateway: Gateway | None, mode: str, actor: Actor) -> None:
    whose, name = (gateway.public_id, gateway.name) if gateway else (f"bank:{mode}", f"The {mode} bank account")
    with (
        _apart("reconciliation_failed", whose, f"{name} could not be reconciled"),
        contextlib.suppress(ReconciliationUnderWay),  # its files stay due: the next tick comes back to them
    ):
        if gateway is None:
            reconcile_bank(mode=mode, actor=actor)
        else:
            reconcile(gateway=gateway, mode=mode, actor=actor)


def _insert_once(file: SettlementFile) -> None:
    """Write the file's row; its chunks are written already, in the same transaction."""
    same = SettlementFile.objects.filter(sha256=file.sha256, gateway=file.gateway, mode=file.mode)
    try:
        with transaction.atomic():
            file.save(force_insert=True)
    except IntegrityError:
        earlier = same.exclude(status=FileStatus.REFUSED).first()
        if earlier is not None:
            raise FileAlreadyReceived(file=earlier) from None
        file.save(force_insert=True)  # it was refused this very moment


def _is_complete(path: Path) -> bool:
    """Whether somebody put a whole file there: a plain one, not hidden, and no longer being written."""
    if path.name.startswith(".") or path.is_symlink() or not path.is_file():
        return False
    # Not when it was written: that is what whoever copied it says it was, and may be years ahead.
    return clock.now().timestamp() - path.stat().st_ctime >= policy.SETTLEMENT_FOLDER_QUIET_SECONDS


def _collect(path: Path, gateway: Gateway | None, mode: str, actor: Actor) -> None:
    """Import a file of the folder and move it away."""
    source = SettlementFile.Source.FOLDER
    try:
        with path.open("rb") as stream:
            file = receive_file(stream=stream, name=path.name, gateway=gateway, mode=mode, source=source, actor=actor)
    except FileAlreadyReceived as refusal:
        file = refusal.file
    except FileTooLarge as refusal:
        shown = printable_name(path.name)
        alerts.raise_alert(
            kind="settlement_file_refused",
            object_id=shown[:64],
            message=f"{shown} in the folder was refused: {refusal.message}",
        )
        _move(path, "refused", f"{uuid7()}-{shown}")
        return
    file = import_to_end(file)
    folder = "done" if file.status == FileStatus.IMPORTED else "refused"
    _move(path, folder, f"{file.public_id}-{file.name}")


def _move(path: Path, folder: str, name: str) -> None:
    """Move a file away; of a name that is too long for a folder only its beginning stays."""
    target = path.parent / folder
    target.mkdir(exist_ok=True)
    path.rename(target / name.encode()[:_LONGEST_PATH_BYTES].decode(errors="ignore"))


def _fetch(gateway: Gateway, actor: Actor) -> int:
    """Receive what is new at a gateway; returns how many files. One that fails is asked for again the next time."""
    names = selectors.names_received(gateway)
    count = 0
    try:
        for download in gateway_services.download_settlements(gateway, lambda name: printable_name(name) in names):
            with download.path.open("rb") as stream:
                count += _receive_new(stream, download.name, gateway, actor)
    except DownloadFailed as error:
        alerts.raise_alert(
            kind="settlement_files_unavailable",
            object_id=gateway.public_id,
            message=f"{gateway.name} did not give us all of its settlement files. {error}",
        )
    return count


def _receive_new(stream: BinaryIO, name: str, gateway: Gateway, actor: Actor) -> bool:
    """Whether the bytes were new: a gateway may offer one file under two names."""
    source = SettlementFile.Source.FETCH
    try:
        receive_file(stream=stream, name=name, gateway=gateway, mode=gateway.mode, source=source, actor=actor)
    except FileAlreadyReceived:
        return False
    return True
