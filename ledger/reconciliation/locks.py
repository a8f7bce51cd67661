"""Who is at a gateway's lines and items? One reconciliation, or several people's resolutions, never both."""

from uuid import UUID

from django.db import OperationalError, connection, transaction

from checkout.settings import policy
from ledger.reconciliation.refusals import ReconciliationUnderWay

_WAIT_SECONDS = 5.0


def be_patient() -> None:
    """Until the end of this transaction, let a statement take the time that millions of lines need."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, true), set_config('work_mem', '128MB', true)",
            [str(int(policy.SETTLEMENT_STATEMENT_SECONDS * 1000))],
        )


def lock_whole_gateway(gateway_id: UUID | None, mode: str) -> None:
    """Keep everybody else from a gateway's lines and items until the end of this transaction; without one, the bank's.

    Refuses: ReconciliationUnderWay, after a few seconds.
    """
    _lock("pg_advisory_xact_lock", gateway_id, mode)


def share_gateway(gateway_id: UUID | None, mode: str) -> None:
    """Keep reconciliation, and nobody else, from a gateway's lines and items until the end of this transaction.

    Refuses: ReconciliationUnderWay, after a few seconds. The rows themselves are still to be locked.
    """
    _lock("pg_advisory_xact_lock_shared", gateway_id, mode)


def _lock(function: str, gateway_id: UUID | None, mode: str) -> None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            (usual,) = cursor.fetchone()
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [str(int(_WAIT_SECONDS * 1000))])
            cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [f"reconciliation {gateway_id} {mode}"])
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [usual])
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != "55P03":
            raise
        raise ReconciliationUnderWay() from None
