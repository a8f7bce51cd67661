"""How do we get what gateways put into files, and what do we learn of their fees?"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID

from django.db.models import F

from gateways import client
from gateways.base import Capability
from gateways.client import Account, Answer, Call
from gateways.errors import DownloadFailed
from gateways.models import Gateway, ObservedFee
from gateways.outcomes import Outcome
from gateways.registry import adapter_class
from gateways.services.watching import call_record


@dataclass(frozen=True)
class Downloaded:
    """A settlement file by the gateway's name for it, complete. It lies at its path until the next one is asked for."""

    name: str
    path: Path


def download_settlements(gateway: Gateway, is_known: Callable[[str], bool]) -> Iterator[Downloaded]:
    """Fetch the settlement files that are not known by name, oldest first; none where a gateway has no such thing.

    Whatever can be had is, and then the first failure is raised: DownloadFailed. Refuses: CalledInsideTransaction.
    """
    if Capability.SETTLEMENT_FILES not in adapter_class(gateway.adapter).capabilities:
        return
    account = Account.of(gateway)
    (listing,) = client.call_all([Call(account=account, verb="list_settlements")])
    failures = [] if _is_had(listing) else [("the list of files", listing)]
    with tempfile.TemporaryDirectory(prefix="settlement-") as folder:
        path = Path(folder, "file")
        for file in listing.files:
            if not is_known(file.name):
                answer = client.download(account=account, file=file, path=path)
                if _is_had(answer):
                    yield Downloaded(file.name, path)
                else:
                    failures.append((file.name, answer))
    if failures:
        what, answer = failures[0]
        raise DownloadFailed(gateway=gateway.code, what=what, reason=answer.result.detail)


def _is_had(answer: Answer) -> bool:
    call_record(answer).save()
    return answer.result.outcome is Outcome.SUCCEEDED


def note_observed_fees(*, gateway_id: UUID, on: date, charged: Iterable[tuple[str, int, int, int]]) -> None:
    """Add what a gateway charged for payments whose settlement has just been matched, in the caller's transaction.

    `charged` says by currency how many they were, and what they and their fees sum to in minor units.
    """
    for currency, count, gross_minor, fee_minor in charged:
        ObservedFee.objects.get_or_create(gateway_id=gateway_id, currency=currency, on=on)
        ObservedFee.objects.filter(gateway=gateway_id, currency=currency, on=on).update(
            charge_count=F("charge_count") + count,
            gross_minor=F("gross_minor") + gross_minor,
            fee_minor=F("fee_minor") + fee_minor,
        )
