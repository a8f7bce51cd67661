"""What did a gateway's files bring? Its lines and our items are matched, and what is left gets its reason, all in one
transaction that nobody else's comes between. Doing it again changes nothing.
"""

import json
from dataclasses import dataclass, field
from datetime import date, timedelta

from checkout.kit import audit, clock
from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from checkout.kit.money import Money
from checkout.settings import policy
from gateways import services as gateway_services
from gateways.models import Gateway
from ledger import recipes
from ledger.models import SettlementFile
from ledger.reconciliation import passes
from ledger.reconciliation.coverage import coverage_of
from ledger.reconciliation.locks import be_patient, lock_whole_gateway
from ledger.reconciliation.reasons import find_reasons
from ledger.reconciliation.reporting import Changes, report, report_payouts
from ledger.services.recording import record_entries
from ledger.services.releasing import released_by_settlement
from ledger.statuses import FileStatus

_DRAFTS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Reconciled:
    """What a reconciliation did: matches by how they were found, and the differences that it opened and ended."""

    matched: dict[str, int] = field(default_factory=dict)
    changes: Changes = Changes(0, 0, 0)

    @property
    def changed_anything(self) -> bool:
        """Whether anything is otherwise than before."""
        return bool(self.matched) or any(self.changes)


@durable("reconcile")
def reconcile(*, gateway: Gateway, mode: str, actor: Actor, until: date | None = None) -> Reconciled:
    """Match the open lines of a gateway's imported files with our open items, and report what is left.

    Ages are counted to `until`, or today. Refuses: ReconciliationUnderWay.
    """
    be_patient()
    lock_whole_gateway(gateway.pk, mode)
    now = clock.now()
    today = until or now.date()
    files = SettlementFile.objects.filter(gateway=gateway, mode=mode, status=FileStatus.IMPORTED)
    new_files = list(files.filter(reconciled_at=None).values_list("pk", flat=True))
    covered = coverage_of(gateway, mode, today=now.date())
    values = {
        "gateway": gateway.pk,
        "mode": mode,
        "now": now,
        "covered": json.dumps(covered.by_currency, default=str),
        "covered_otherwise": covered.otherwise,
        "late": today - timedelta(days=policy.TIMING_DAYS + 1),
        "slack": policy.DATE_SLACK_DAYS,
    }
    passes.match_open(values)
    matched = passes.write_matches(values)
    find_reasons(values)
    changes = report(values, now=now, actor=str(actor))
    payouts = report_payouts(mode=mode, today=today, now=now, gateway_id=gateway.pk)
    done = Reconciled(matched, changes._replace(opened=changes.opened + payouts))
    gateway_services.note_observed_fees(gateway_id=gateway.pk, on=now.date(), charged=passes.charges())
    files.filter(pk__in=new_files).update(reconciled_at=now)
    if done.changed_anything:
        after = {"matched": matched, **done.changes._asdict()}
        audit.record(actor=actor, verb="gateway.reconcile", obj=gateway, after=after)
    _post_rounding(gateway, mode)
    record_entries(released_by_settlement(gateway_id=gateway.pk, mode=mode))
    return done


def _post_rounding(gateway: Gateway, mode: str) -> None:
    """What the two sides round otherwise: the receivable becomes what the gateway says."""
    drafts = [
        recipes.rounding_difference(
            difference=Money(minor, currency), mode=mode, gateway_id=gateway.pk, reference=f"mat_{key}"
        )
        for key, currency, minor in passes.differences()
    ]
    for start in range(0, len(drafts), _DRAFTS_AT_ONCE):
        record_entries(drafts[start : start + _DRAFTS_AT_ONCE])
