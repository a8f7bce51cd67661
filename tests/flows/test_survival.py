"""Does money survive the death of whatever handles it? Processes are killed for good; every payment must end, once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import redis
from django.db import connection

from checkout.kit import clock
from payments.models import IdempotencyKey, Payment
from payments.statuses import IN_FLIGHT
from tests.flows.conftest import Flows, simulate
from tests.flows.shop import Shop, until
from tests.simulation import Simulation


def pay_many(shop: Shop, count: int) -> list[str]:
    """Several payments at once, none waited for."""
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda _: shop.pay_soon(), range(count)))


def end_leases(shop: Shop, payment_id: str) -> None:
    """Let time pass: whoever is at a payment's attempts should have recorded something by now."""
    shop.rows(payment_id).filter(status__in=IN_FLIGHT).update(next_action_at=clock.now())


@pytest.mark.slow
def test_a_worker_killed_after_the_gateway_charged_and_before_it_was_recorded_loses_nothing(
    shop: Shop, flows: Flows, simulation: Simulation
) -> None:
    simulation.change(shop.codes[0], behaviour="slow", slow_seconds=60)
    sale, reservation = shop.pay_soon(), shop.pay_soon(capture="manual")
    until(lambda: shop.arrived(sale) and shop.arrived(reservation), 10, "the gateway was never asked")
    flows.kill("worker")
    simulation.calm()
    assert [shop.attempts(payment)[0][2] for payment in (sale, reservation)] == ["sent", "sent"]

    # Nobody helps: the lease of 20 s ends by itself.
    shop.ends(sale, "captured", within=40)
    shop.ends(reservation, "authorized", within=10)
    for payment_id in (sale, reservation):
        assert [charge["gateway"] for charge in shop.charges(payment_id)] == [shop.codes[0]]
        assert shop.attempts(payment_id) == [("first", "authorize", "succeeded")]
        assert shop.evidence(payment_id) == [("lease", "unknown"), ("inquiry", "succeeded")]


def test_a_worker_killed_before_the_gateway_looked_at_the_charge_tries_nowhere_else(
    shop: Shop, flows: Flows, simulation: Simulation
) -> None:
    simulation.change(shop.codes[0], latency_ms=2_000)
    payment_id = shop.pay_soon()
    until(lambda: shop.attempts(payment_id)[0][2] == "sent", 10, "nobody claimed it")
    flows.kill("worker")
    end_leases(shop, payment_id)
    shop.ends(payment_id, "captured", within=30)
    assert [charge["status"] for charge in shop.charges(payment_id)].count("approved") == 1


def test_a_worker_killed_after_the_gateway_captured_and_refunded_loses_nothing(
    shop: Shop, flows: Flows, simulation: Simulation
) -> None:
    captured, refunded = shop.pay(40_00, capture="manual").json()["id"], shop.pay(40_00).json()["id"]
    simulation.change(shop.codes[0], behaviour="slow", slow_seconds=60)
    for path in (f"/v1/payments/{captured}/capture", f"/v1/payments/{refunded}/refunds"):
        assert shop.post(path, {"amount": 15_00}, prefer="respond-async").status_code == 202

    def moved() -> dict[str, tuple[str, int]]:
        rows = [row for row in simulation.book(shop.codes[0]) if row["kind"] != "charge"]
        return {row["kind"]: (row["status"], row["amount_minor"]) for row in rows}

    until(lambda: len(moved()) == 2, 10, "the gateway was never asked")
    flows.kill("worker")
    simulation.calm()
    for payment_id in (captured, refunded):
        end_leases(shop, payment_id)
    assert shop.ends(captured, "captured", within=30)["amount_captured"] == 15_00
    assert shop.ends(refunded, "captured", within=30)["amount_refunded"] == 15_00
    assert moved() == {"capture": ("approved", 15_00), "refund": ("approved", 15_00)}


def test_a_worker_that_wakes_up_after_its_lease_changes_nothing(
    open_shop: Callable[..., Shop], flows: Flows, simulation: Simulation
) -> None:
    shop = open_shop("json", "json", call_timeout_seconds=9)
    simulation.change(shop.codes[0], behaviour="slow", slow_seconds=1)
    payment_id = shop.pay_soon()
    until(lambda: shop.arrived(payment_id), 10, "the gateway was never asked")
    with flows.frozen("worker"):
        simulation.calm()
        end_leases(shop, payment_id)
        payment = shop.ends(payment_id, "captured", within=30)
    until(lambda: len(shop.evidence(payment_id)) == 3, 10, "what the sleeper learned was not kept")
    assert [source for source, _ in shop.evidence(payment_id)] == ["lease", "inquiry", "response"]
    assert shop.get(f"/v1/payments/{payment_id}") == payment


def test_a_web_process_killed_while_a_merchant_waits_has_kept_the_payment_and_its_key(
    shop: Shop, flows: Flows, simulation: Simulation
) -> None:
    simulation.change(shop.codes[0], behaviour="slow", slow_seconds=2)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(shop.pay, key="order-3")
        (row,) = until(lambda: Payment.objects.filter(merchant=shop.merchant), 10, "nothing was accepted")
        flows.kill("web")
        assert isinstance(waiting.exception(20), httpx.TransportError)
    flows.wait_for_web()
    IdempotencyKey.objects.filter(merchant=shop.merchant).update(answering_until=clock.now())
    again = shop.pay(key="order-3")
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (201, row.public_id, "captured")
    assert len(shop.charges(row.public_id)) == 1


def test_payments_end_though_every_connection_to_the_database_was_cut(
    shop: Shop, flows: Flows, simulation: Simulation
) -> None:
    simulation.change(shop.codes[0], latency_ms=700)
    payments = pay_many(shop, 6)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] > 2

    def is_well() -> bool:
        return all(shop.ask("GET", "/v1/payments").status_code == 200 for _ in range(10))

    until(is_well, 20, "the web process keeps answering 503")
    for payment_id in payments:
        end_leases(shop, payment_id)
        shop.ends(payment_id, "captured", within=40)
        assert len(shop.charges(payment_id)) == 1
    assert shop.pay().status_code == 201


def test_payments_end_though_the_broker_forgot_them(shop: Shop, flows: Flows) -> None:
    with flows.frozen("worker"):
        payments = pay_many(shop, 12)
        broker = redis.Redis.from_url(flows.redis_url)
        assert broker.keys("*"), "nothing was there to be forgotten"
        broker.flushall()
    for payment_id in payments:
        shop.ends(payment_id, "captured")
        assert len(shop.charges(payment_id)) == 1


def test_payments_end_while_the_broker_forgets_again_and_again(
    shop: Shop, flows: Flows, simulation: Simulation
) -> None:
    simulation.change(shop.codes[0], latency_ms=150)
    broker = redis.Redis.from_url(flows.redis_url)
    payments = []
    for _ in range(5):
        payments += pay_many(shop, 4)
        broker.flushall()
    for payment_id in payments:
        shop.ends(payment_id, "captured")


def test_with_all_workers_dead_the_sweeper_carries_payments_out(shop: Shop, flows: Flows) -> None:
    with flows.without("worker"):
        payments = pay_many(shop, 5)
        for payment_id in payments:
            shop.ends(payment_id, "captured", within=20)
            assert len(shop.charges(payment_id)) == 1


def test_without_redis_payments_are_accepted_and_end(shop: Shop, flows: Flows) -> None:
    with flows.without("redis"):
        payments = pay_many(shop, 3)
        for payment_id in payments:
            shop.ends(payment_id, "captured", within=20)
    assert shop.pay().status_code == 201


def test_with_redis_frozen_payments_are_accepted_at_once(shop: Shop, flows: Flows) -> None:
    with flows.frozen("redis"):
        began = clock.now()
        payment_id = shop.pay_soon()
        assert (clock.now() - began).total_seconds() < 2
    shop.ends(payment_id, "captured")


def test_a_deployment_of_the_worker_interrupts_no_payment(shop: Shop, flows: Flows, simulation: Simulation) -> None:
    simulation.change(shop.codes[0], latency_ms=500)
    payments = pay_many(shop, 8)
    flows.restart("worker")
    for payment_id in payments:
        shop.ends(payment_id, "captured")
        assert shop.evidence(payment_id) == [("response", "succeeded")]


def test_a_second_start_finds_what_the_first_one_left(shop: Shop, flows: Flows, simulation: Simulation) -> None:
    payment_id = shop.pay(25_00).json()["id"]
    ports = {row["code"]: row["port"] for row in simulation.gateways()}
    flows.stop_and_start()
    for code in shop.codes:
        simulate(simulation, flows, code, "json", port=ports[code])
    assert shop.get(f"/v1/payments/{payment_id}")["status"] == "captured"
    refund = shop.post(f"/v1/payments/{payment_id}/refunds", {"amount": 10_00})
    assert refund.json()["status"] == "succeeded"
    assert shop.pay().json()["status"] == "captured"
