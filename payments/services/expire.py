"""What ends by itself? Created payments nobody confirms, authorizations nobody captures, requests nobody decides, and
what may not be kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from checkout.kit import approvals
from checkout.kit.actors import Actor
from checkout.kit.durable import durable
from gateways import services as gateways
from payments import idempotency, selectors, vault
from payments.models import Payment
from payments.services.attempts import add_follower
from payments.services.cancel import end_challenge
from payments.services.changes import Changes
from payments.services.refund_requests import REFUND, expire_refund_request
from payments.statuses import Event, Operation, Status

_BATCH_COUNT = 200

log = structlog.get_logger(__name__)


def expire_due(*, actor: Actor) -> int:
    """Forget what may not be kept, then expire what is over, a batch at a time; returns how many payments were touched.

    What fails keeps nothing else from its turn. Raises ExceptionGroup of all that failed, at the end.
    """
    failures: list[Exception] = []
    for forget in (
        vault.forget_expired_secrets,
        gateways.forget_decided_credentials,
        idempotency.forget_old_keys,
    ):
        with _apart(forget.__name__, failures):
            forget()
    payments = list(selectors.payments_to_expire()[:_BATCH_COUNT])
    for payment in payments:
        with _apart(payment.public_id, failures):
            expire_payment(payment=payment, actor=actor)
    for approval in approvals.overdue()[:_BATCH_COUNT]:
        with _apart(approval.public_id, failures):
            expire = expire_refund_request if approval.kind == REFUND else approvals.expire
            expire(approval=approval, actor=actor)
    if failures:
        raise ExceptionGroup("not everything that is over could be ended", failures)
    return len(payments)


@contextmanager
def _apart(what: str, failures: list[Exception]) -> Iterator[None]:
    """One of many: its failure is logged and kept for the end."""
    try:
        yield
    except Exception as error:
        log.exception("expire_failed", object=what, error=type(error).__name__)
        failures.append(error)


@durable("expire")
def expire_payment(*, payment: Payment, actor: Actor) -> Payment:
    """Expire a created payment; of an authorized one, release the money first: it expires when its void succeeds.

    One that waits for its customer expires when it is certain at the gateway that it never charges.
    """
    payment = selectors.lock_payment(payment.pk)
    changes = Changes(payment, actor)
    if payment.status == Status.CREATED:
        changes.advance(Event.EXPIRE)
        vault.forget_secret(payment_id=payment.pk)
    elif payment.status == Status.REQUIRES_ACTION:
        end_challenge(payment)
    elif payment.status == Status.AUTHORIZED and not selectors.in_flight(payment).exists():
        authorization = selectors.authorization_of(payment)
        assert authorization is not None
        if payment.authorized_minor:
            add_follower(
                changes=changes, operation=Operation.VOID, parent=authorization, amount_minor=payment.authorized_minor
            )
            changes.note("void_requested")
        else:  # a verification holds no money that could be released
            changes.advance(Event.EXPIRE)
    changes.write()
    return payment
