"""What may follow what? The tables of everything in this app that has a status."""

from django.db.models import TextChoices

from checkout.kit.statuses import StatusMachine


class Status(TextChoices):
    """Where a payment stands."""

    CREATED = "created"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    VOIDED = "voided"
    DECLINED = "declined"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Event(TextChoices):
    """What may happen to a payment."""

    CONFIRM = "confirm"
    CANCEL = "cancel"
    EXPIRE = "expire"
    CHALLENGE = "challenge"
    RESUME = "resume"
    AUTHORIZE = "authorize"
    DECLINE = "decline"
    FAIL = "fail"
    CAPTURE = "capture"
    VOID = "void"


PAYMENT = StatusMachine(
    "payment",
    Status.CREATED,
    {
        (Status.CREATED, Event.CONFIRM): Status.PROCESSING,
        (Status.CREATED, Event.CANCEL): Status.CANCELED,
        (Status.CREATED, Event.EXPIRE): Status.EXPIRED,
        (Status.PROCESSING, Event.AUTHORIZE): Status.AUTHORIZED,
        (Status.PROCESSING, Event.DECLINE): Status.DECLINED,
        (Status.PROCESSING, Event.FAIL): Status.FAILED,
        (Status.PROCESSING, Event.CHALLENGE): Status.REQUIRES_ACTION,
        (Status.REQUIRES_ACTION, Event.RESUME): Status.PROCESSING,
        (Status.REQUIRES_ACTION, Event.CANCEL): Status.CANCELED,
        (Status.REQUIRES_ACTION, Event.EXPIRE): Status.EXPIRED,
        (Status.REQUIRES_ACTION, Event.DECLINE): Status.DECLINED,
        (Status.REQUIRES_ACTION, Event.FAIL): Status.FAILED,
        (Status.DECLINED, Event.CONFIRM): Status.PROCESSING,
        (Status.FAILED, Event.CONFIRM): Status.PROCESSING,
        (Status.AUTHORIZED, Event.CAPTURE): Status.CAPTURED,
        (Status.AUTHORIZED, Event.VOID): Status.VOIDED,
        (Status.AUTHORIZED, Event.EXPIRE): Status.EXPIRED,
        (Status.CAPTURED, Event.CAPTURE): Status.CAPTURED,
    },
)


class Operation(TextChoices):
    """What an attempt tries at a gateway."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


class AttemptStatus(TextChoices):
    """Where an attempt stands."""

    CREATED = "created"
    SENT = "sent"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    NOT_SENT = "not_sent"
    PENDING = "pending"
    UNKNOWN = "unknown"
    ABANDONED = "abandoned"


class AttemptEvent(TextChoices):
    """What may happen to an attempt."""

    SEND = "send"
    SUCCEED = "succeed"
    DECLINE = "decline"
    FALL_SHORT = "fall_short"  # certain that nothing reached the gateway
    PEND = "pend"
    LOSE = "lose"  # nobody knows what became of it
    ABANDON = "abandon"  # certain by now that it never charged and never will


ATTEMPT = StatusMachine(
    "attempt",
    AttemptStatus.CREATED,
    {
        (AttemptStatus.CREATED, AttemptEvent.SEND): AttemptStatus.SENT,
        (AttemptStatus.SENT, AttemptEvent.SUCCEED): AttemptStatus.SUCCEEDED,
        (AttemptStatus.SENT, AttemptEvent.DECLINE): AttemptStatus.DECLINED,
        (AttemptStatus.SENT, AttemptEvent.FALL_SHORT): AttemptStatus.NOT_SENT,
        (AttemptStatus.SENT, AttemptEvent.PEND): AttemptStatus.PENDING,
        (AttemptStatus.SENT, AttemptEvent.LOSE): AttemptStatus.UNKNOWN,
        (AttemptStatus.PENDING, AttemptEvent.LOSE): AttemptStatus.UNKNOWN,
        (AttemptStatus.PENDING, AttemptEvent.SUCCEED): AttemptStatus.SUCCEEDED,
        (AttemptStatus.PENDING, AttemptEvent.DECLINE): AttemptStatus.DECLINED,
        (AttemptStatus.PENDING, AttemptEvent.ABANDON): AttemptStatus.ABANDONED,
        (AttemptStatus.UNKNOWN, AttemptEvent.PEND): AttemptStatus.PENDING,
        (AttemptStatus.UNKNOWN, AttemptEvent.SUCCEED): AttemptStatus.SUCCEEDED,
        (AttemptStatus.UNKNOWN, AttemptEvent.DECLINE): AttemptStatus.DECLINED,
        (AttemptStatus.UNKNOWN, AttemptEvent.ABANDON): AttemptStatus.ABANDONED,
    },
)

# An attempt in one of these may still move money; the row says when to look at it next.
IN_FLIGHT = (AttemptStatus.CREATED, AttemptStatus.SENT, AttemptStatus.PENDING, AttemptStatus.UNKNOWN)
# At most one authorization of a payment may be in one of these: it holds, or may come to hold, the customer's money.
LIVE = (*IN_FLIGHT, AttemptStatus.SUCCEEDED)


class NextAction(TextChoices):
    """What an attempt in flight waits for."""

    SEND = "send"
    ASK = "ask"  # ask the gateway what became of it, by our reference
    CANCEL = "cancel"  # make sure by our reference that it never charges
    REPLAY = "replay"  # send it to the same gateway again, under the same reference


class RefundStatus(TextChoices):
    """Where a refund stands."""

    REQUESTED = "requested"
    AWAITING_APPROVAL = "awaiting_approval"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"


class RefundEvent(TextChoices):
    """What may happen to a refund."""

    PROCESS = "process"
    ASK = "ask"  # somebody else has to agree
    APPROVE = "approve"
    REJECT = "reject"
    EXPIRE = "expire"  # nobody decided in time
    SUCCEED = "succeed"
    FAIL = "fail"


REFUND = StatusMachine(
    "refund",
    RefundStatus.REQUESTED,
    {
        (RefundStatus.REQUESTED, RefundEvent.PROCESS): RefundStatus.PROCESSING,
        (RefundStatus.REQUESTED, RefundEvent.ASK): RefundStatus.AWAITING_APPROVAL,
        (RefundStatus.AWAITING_APPROVAL, RefundEvent.APPROVE): RefundStatus.PROCESSING,
        (RefundStatus.AWAITING_APPROVAL, RefundEvent.REJECT): RefundStatus.REJECTED,
        (RefundStatus.AWAITING_APPROVAL, RefundEvent.EXPIRE): RefundStatus.REJECTED,
        (RefundStatus.PROCESSING, RefundEvent.SUCCEED): RefundStatus.SUCCEEDED,
        (RefundStatus.PROCESSING, RefundEvent.FAIL): RefundStatus.FAILED,
    },
)

REFUND_UNDER_WAY = (RefundStatus.REQUESTED, RefundStatus.PROCESSING)

# The money of a refund in one of these is no longer there for another: it is on its way, or may be if somebody agrees.
REFUND_RESERVED = (*REFUND_UNDER_WAY, RefundStatus.AWAITING_APPROVAL)
