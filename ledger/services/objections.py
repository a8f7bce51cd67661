"""What speaks against a file of which every line can be read? That it was told before, or by somebody else."""

from collections.abc import Iterator

from django.db import connection

from checkout.kit.card_numbers import scrub
from checkout.settings import policy
from gateways.models import Gateway
from ledger.models import SettlementBatch, SettlementFile
from ledger.services.announcing import batches_of

_LARGEST_MINOR = 2**63 - 1

Objection = tuple[int, str, str]  # line, column, reason

# Whose operations the first lines that name ours are about.
_NAMED = """
SELECT DISTINCT item.gateway_id
FROM (
    SELECT reference FROM ledger_settlementline WHERE file_id = %s AND reference <> '' ORDER BY line_number LIMIT 1000
) AS line JOIN ledger_clearingitem AS item ON item.reference = line.reference
"""
_TOLD_BEFORE = """
SELECT DISTINCT line.line_number, before.file_id
FROM ledger_bankline AS line
JOIN ledger_bankline AS before USING (account, booked_on, currency, amount_minor, reference, text)
JOIN ledger_settlementfile AS file ON file.id = before.file_id
WHERE line.file_id = %s AND line.reference <> '' AND before.file_id <> line.file_id
    AND file.status = 'imported' AND file.mode = %s
ORDER BY line.line_number
"""


def objections_to_settlement(file: SettlementFile) -> Iterator[Objection]:
    """What is wrong with a gateway's file: another gateway's, too many batches, told before, or beyond any amount."""
    if others := _other_senders(file):
        yield 0, "", f"is of {others}: it names operations of ours there, and none at the gateway it was brought in for"
    yield from _batch_objections(file)


def objections_to_statement(file: SettlementFile) -> Iterator[Objection]:
    """The bookings of a bank statement that an earlier one told of: a bank may send a statement again, in other bytes.

    Only those that the bank or the payer has named are told apart by it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TOLD_BEFORE, [file.pk, file.mode])
        told = cursor.fetchall()
    earlier = SettlementFile.objects.in_bulk({file_id for _, file_id in told})
    for line, file_id in told:
        before = earlier[file_id]
        yield line, "", f"was in {before.name} already ({before.public_id}): ask for the days after it"


def _other_senders(file: SettlementFile) -> str:
    """The names of the gateways whose operations a file names while it names none of its own; "" as it should be."""
    with connection.cursor() as cursor:
        cursor.execute(_NAMED, [file.pk])
        named = {gateway_id for (gateway_id,) in cursor.fetchall()}
    if not named or file.gateway_id in named:
        return ""
    return ", ".join(gateway.name for gateway in Gateway.objects.filter(pk__in=named).order_by("name"))


def _batch_objections(file: SettlementFile) -> Iterator[Objection]:
    """What is wrong with a file's batches, as (line, column, reason): too many, told before, or beyond any amount."""
    batches = batches_of(file)
    if len(batches) > policy.SETTLEMENT_BATCHES:
        yield 0, "batch", f"names {len(batches):,} batches, more than {policy.SETTLEMENT_BATCHES:,}"
        return
    told = SettlementBatch.objects.filter(
        gateway=file.gateway, mode=file.mode, reference__in={batch.reference for batch in batches}
    ).select_related("file")
    earlier = {(batch.reference, batch.currency): batch.file for batch in told}
    for batch in batches:
        named = f"batch {scrub(batch.reference)} in {batch.currency}"
        if before := earlier.get((batch.reference, batch.currency)):
            yield 0, "batch", f"{named} was in {before.name} already ({before.public_id})"
        sums = [batch.net_minor, batch.payout_minor or 0, *(group.net_minor for group in batch.groups)]
        if any(abs(minor) > _LARGEST_MINOR for minor in sums):
            yield 0, "batch", f"{named} sums to more than an amount can be"
