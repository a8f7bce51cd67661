"""Do a gateway's messages finish payments, and only its own messages, however often they come?"""

import hashlib
import hmac
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from checkout.kit import clock
from gateways.models import Notice
from ledger.models import JournalEntry
from merchants.models import WebhookEvent
from tests.flows.conftest import Flows
from tests.flows.shop import Shop, until
from tests.simulation import Simulation, their_credentials


def test_a_pending_payment_is_finished_by_a_notice(shop: Shop, simulation: Simulation) -> None:
    simulation.change(shop.codes[0], behaviour="asynchronous", async_seconds=3600)
    payment_id = shop.pay_soon()
    until(lambda: shop.attempts(payment_id)[0][2] == "pending", 10, "it is not pending")
    shop.rows(payment_id).update(next_action_at=clock.now() + timedelta(hours=1))  # so that asking is not what ends it

    simulation.calm()
    shop.ends(payment_id, "captured", within=10)
    notice = Notice.objects.get(gateway__code=shop.codes[0])
    assert notice.status == "applied"
    assert len(shop.charges(payment_id)) == 1


def test_notices_that_come_thrice_and_late_change_nothing(shop: Shop, simulation: Simulation) -> None:
    simulation.change(shop.codes[0], behaviour="duplicate_and_late_notices")
    payment = shop.pay().json()
    assert payment["status"] == "captured"

    def delivered() -> bool:
        counters = {row["code"]: row["counters"] for row in simulation.gateways()}
        return counters[shop.codes[0]]["notices_delivered"] == 3

    until(delivered, 15, "three notices did not arrive")
    assert Notice.objects.filter(gateway__code=shop.codes[0]).count() == 1
    assert shop.get(f"/v1/payments/{payment['id']}") == payment


def test_a_notice_that_overtakes_the_answer_leaves_it_to_the_answer(shop: Shop, simulation: Simulation) -> None:
    simulation.change(shop.codes[0], behaviour="slow", slow_seconds=2)
    payment_id = shop.pay_soon()
    applied = Notice.objects.filter(gateway__code=shop.codes[0], status="applied")
    until(applied.exists, 10, "the notice was not dealt with")
    assert shop.attempts(payment_id) == [("first", "authorize", "sent")]

    shop.ends(payment_id, "captured")
    assert shop.evidence(payment_id) == [("response", "succeeded")]
    assert len(shop.charges(payment_id)) == 1


def test_notices_told_five_times_at_once_by_many_connections_finish_each_payment_once(
    shop: Shop, flows: Flows, simulation: Simulation
) -> None:
    simulation.change(shop.codes[0], behaviour="asynchronous", async_seconds=3600)
    payments = [shop.pay_soon() for _ in range(6)]
    rows = [shop.rows(payment_id) for payment_id in payments]
    until(lambda: all(row.get().status == "pending" for row in rows), 10, "they are not pending")
    references = [row.get().reference for row in rows]
    notices = [notice_body(f"msg_{reference}", reference) for reference in references] * 5
    random.Random(7).shuffle(notices)

    simulation.calm()
    with ThreadPoolExecutor(8) as threads:
        sent = threads.map(lambda body: send_notice(flows, shop.codes[0], signed(shop.codes[0], body), body), notices)
        assert {answer.status_code for answer in sent} == {200}

    for payment_id in payments:
        assert shop.ends(payment_id, "captured", within=10)["amount_captured"] == 50_00
        told = WebhookEvent.objects.filter(object_id=payment_id).order_by("sequence").values_list("type", flat=True)
        assert list(told) == [f"payment.{step}" for step in ("created", "processing", "authorized", "captured")]
        assert JournalEntry.objects.filter(payment_reference=payment_id, kind="capture").count() == 1
    assert Notice.objects.filter(notice_id__in=[f"msg_{reference}" for reference in references]).count() == 6


@pytest.mark.parametrize("forge", ["another secret", "another body", "no signature", "an old signature"])
def test_a_forged_notice_is_refused_and_leaves_no_trace(shop: Shop, flows: Flows, forge: str) -> None:
    body = notice_body("msg_1", "att_of_nobody")
    headers = signed(shop.codes[0], body)
    match forge:
        case "another secret":
            headers = signed("somebody-else", body)
        case "another body":
            body = body.replace(b"approved", b"declined")
        case "no signature":
            headers = {}
        case "an old signature":
            headers = signed(shop.codes[0], body, at=int(time.time()) - 3600)
    assert send_notice(flows, shop.codes[0], headers, body).status_code == 401
    assert not Notice.objects.filter(gateway__code=shop.codes[0]).exists()


def test_a_replayed_notice_is_accepted_and_kept_once(shop: Shop, flows: Flows) -> None:
    body = notice_body("msg_1", "att_of_nobody")
    headers = signed(shop.codes[0], body)
    answers = [send_notice(flows, shop.codes[0], headers, body) for _ in range(2)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (200, {"received": 1}),
        (200, {"received": 0}),
    ]
    (notice,) = Notice.objects.filter(gateway__code=shop.codes[0])
    until(lambda: Notice.objects.get(pk=notice.pk).status == "unmatched", 10, "nobody looked at the notice")


def test_a_true_notice_of_one_gateway_cannot_speak_about_another_ones_payment(
    shop: Shop, flows: Flows, simulation: Simulation
) -> None:
    simulation.change(shop.codes[0], behaviour="asynchronous", async_seconds=3600)
    payment_id = shop.pay_soon()
    until(lambda: shop.attempts(payment_id)[0][2] == "pending", 10, "it is not pending")
    body = notice_body("msg_1", shop.rows(payment_id).get().reference)
    assert send_notice(flows, shop.codes[1], signed(shop.codes[1], body), body).status_code == 200
    notices = Notice.objects.filter(gateway__code=shop.codes[1])
    until(notices.exclude(status="waiting").exists, 10, "nobody looked at the notice")
    assert notices.get().status == "unmatched"
    assert shop.attempts(payment_id)[0][2] == "pending"


def notice_body(notice_id: str, reference: str) -> bytes:
    """What a JSON gateway would send of a charge that it approved."""
    operation = {"id": "ch_1", "object": "charge", "reference": reference, "status": "approved", "decline": None}
    operation |= {"amount": 50_00, "currency": "EUR", "captured": True}
    return json.dumps({"id": notice_id, "type": "charge.approved", "created": 1, "data": operation}).encode()


def signed(code: str, body: bytes, at: int | None = None) -> dict[str, str]:
    """The signature header that a gateway would put on a body."""
    moment = int(time.time()) if at is None else at
    secret = their_credentials(code)["notice_secret"].encode()
    signature = hmac.digest(secret, f"{moment}.".encode() + body, hashlib.sha256).hex()
    return {"Simulator-Signature": f"t={moment},v1={signature}"}


def send_notice(flows: Flows, code: str, headers: dict[str, str], body: bytes) -> httpx.Response:
    """What came of sending a notice."""
    headers = {"Content-Type": "application/json", **headers}
    return httpx.post(f"{flows.url}/v1/notices/{code}", content=body, headers=headers, timeout=10)
