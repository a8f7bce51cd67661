"""Where can something happen? All points of the product, the steps of stories that pass them, and how it goes there."""

from dataclasses import dataclass

from tests.failpoints.configuration import Enabled, EndedEarly, Rerouted, Resumed, Rotated
from tests.failpoints.customers import Confirmation, NeverAnswered, NeverCaptured, NeverConfirmed
from tests.failpoints.desk import AskedNow, CalledOff, Settled
from tests.failpoints.findings import Adoption
from tests.failpoints.hearsay import LateReservation, LateSale, Notices
from tests.failpoints.purchases import Cancellation, Capture, EarlyCancellation, Refund, Refusal, Reservation, Sale
from tests.failpoints.story import Story
from tests.failpoints.two_people import Approved, Expired, Rejected
from tests.failpoints.webhooks import ENDPOINTS, Webhooks

BEHAVIOURS = (
    "healthy",
    "down",
    "error_before_charging",
    "charge_then_500",
    "charge_then_timeout",
    "reset",
    "slow",
    "asynchronous",
)
# One of each kind: answered, not sent, not done and not told, done and not told, not yet done.
DISTINCT = ("healthy", "down", "error_before_charging", "charge_then_500", "asynchronous")
# All that makes a difference to a gateway that is only asked, or only told to make sure of something.
ASKED = ("healthy", "down", "slow")
NO_GATEWAY = ("healthy",)
TOLD = tuple(behaviour for behaviour in BEHAVIOURS if behaviour != "error_before_charging")
UNKNOWN = ("error_before_charging", "charge_then_500", "charge_then_timeout", "reset", "slow")


@dataclass(frozen=True)
class Place:
    """A step of a story in which points are passed; the first pass, or as many as there are told."""

    story: type[Story]
    step: str
    points: tuple[str, ...]
    behaviours: tuple[str, ...] = BEHAVIOURS
    passes: tuple[int, ...] = (1,)


def commits(*acts: str) -> tuple[str, ...]:
    """The points on either side of an act's commit."""
    return tuple(f"{act}.{side}_commit" for act in acts for side in ("before", "after"))


def act_of(point: str) -> str:
    """What a point belongs to: an act, a call, or the bell."""
    return point.rpartition(".")[0]


CALL = ("call.before_send", "call.after_reply")

PLACES = (
    Place(Reservation, "reserve", (*commits("create", "claim", "record"), *CALL)),
    Place(Reservation, "reserve", commits("freeze"), DISTINCT),
    Place(Reservation, "reserve", ("ring.before",), NO_GATEWAY),
    Place(Refusal, "ask_too_much", commits("freeze_refusal"), NO_GATEWAY),
    Place(Capture, "take", commits("capture")),
    Place(Capture, "take", ("record.before_commit", *CALL), DISTINCT),
    Place(Sale, "sell", ("record.before_commit", "call.after_reply"), DISTINCT),
    Place(Refund, "give_back", commits("refund")),
    Place(Refund, "give_back", ("record.before_commit", *CALL), DISTINCT),
    Place(Cancellation, "call_off", commits("cancel")),
    Place(Cancellation, "call_off", ("record.before_commit", "call.after_reply"), DISTINCT),
    Place(EarlyCancellation, "change_ones_mind", commits("cancel"), DISTINCT),
    Place(Confirmation, "confirm", commits("confirm")),
    Place(Confirmation, "confirm", ("record.before_commit",), DISTINCT),
    Place(Confirmation, "answer", (*commits("ask_now"), "record.before_commit"), ASKED),
    Place(NeverConfirmed, "expire", commits("expire"), NO_GATEWAY),
    Place(NeverCaptured, "expire", commits("expire")),
    Place(NeverCaptured, "expire", ("record.before_commit", "call.after_reply"), DISTINCT),
    Place(NeverAnswered, "expire", (*commits("expire"), "record.before_commit"), ASKED),
    Place(Notices, "sell", commits("receive_notice", "apply_notices"), TOLD),
    Place(LateSale, "hear", (*commits("apply_notices"), "record.before_commit"), ASKED),
    Place(LateSale, "hear", ("record.before_commit", "call.after_reply"), DISTINCT, passes=(2,)),
    Place(LateReservation, "hear", ("record.before_commit",), DISTINCT, passes=(2,)),
    Place(AskedNow, "decide", commits("ask_now"), (*UNKNOWN, "asynchronous")),
    Place(CalledOff, "decide", commits("cancel_by_reference"), UNKNOWN),
    Place(Settled, "decide", commits("settle_by_hand.request", "settle_by_hand.approve"), UNKNOWN),
    Place(Approved, "request", commits("refund_at_desk"), NO_GATEWAY),
    Place(Approved, "decide", commits("refund.approve"), DISTINCT),
    Place(Rejected, "decide", commits("refund.reject"), NO_GATEWAY),
    Place(Expired, "decide", commits("refund.expire"), NO_GATEWAY),
    Place(Enabled, "request", commits("enable.request"), NO_GATEWAY),
    Place(Enabled, "decide", commits("enable.approve"), NO_GATEWAY),
    Place(Resumed, "request", commits("resume.request"), NO_GATEWAY),
    Place(Resumed, "decide", commits("resume.approve"), NO_GATEWAY),
    Place(EndedEarly, "request", commits("end_maintenance.request"), NO_GATEWAY),
    Place(EndedEarly, "decide", commits("end_maintenance.approve"), NO_GATEWAY),
    Place(Rotated, "request", commits("rotation.request"), NO_GATEWAY),
    Place(Rotated, "decide", commits("rotation.approve"), NO_GATEWAY),
    Place(Rerouted, "request", commits("region_change.request"), NO_GATEWAY),
    Place(Rerouted, "decide", commits("region_change.approve"), NO_GATEWAY),
    Place(Adoption, "adopt", commits("adopt_refund"), NO_GATEWAY),
    Place(
        Webhooks,
        "deliver",
        commits("dispatch_webhooks", "redeliver_webhooks", "claim_webhooks", "record_webhooks"),
        ENDPOINTS,
    ),
)
