"""Does a card number stay where it belongs? Looked for in every table, in Redis, and in all that was logged."""

import redis
from django.db import connection
from psycopg import sql

from payments.models import CardSecret, Payment
from tests.flows.conftest import Flows
from tests.flows.shop import Shop, until
from tests.simulation import Simulation

NUMBER = "4000056655665556"


def test_a_card_number_or_an_api_key_is_nowhere_to_be_read(shop: Shop, flows: Flows, simulation: Simulation) -> None:
    simulation.change(shop.codes[0], behaviour="charge_then_500")
    lost = shop.pay_soon(number=NUMBER)
    until(lambda: ("response", "unknown") in shop.evidence(lost), 10, "nothing unknown happened")
    simulation.calm()
    with flows.frozen("worker"):
        waiting = shop.pay_soon(number=NUMBER)
        refused = shop.post("/v1/payments", {"amount": 1, "currency": "EUR", "description": f"card {NUMBER}"})
        assert (refused.status_code, NUMBER in refused.text) == (400, False)
        in_redis = words_in_redis(flows.redis_url)
    for payment_id in (lost, waiting):
        shop.ends(payment_id, "captured")

    logs = "".join(path.read_text(errors="replace") for path in (flows.folder / "log").iterdir())
    assert "celery" in logs
    for secret in (NUMBER, shop.secret):
        assert secret not in in_redis
        assert secret not in logs
        assert tables_with(secret) == []
    assert "payments_card" in tables_with(NUMBER[-4:]), "the search finds nothing"
    assert not CardSecret.objects.filter(payment__in=Payment.objects.filter(merchant=shop.merchant)).exists()


def words_in_redis(url: str) -> str:
    """Everything in Redis as text."""
    client = redis.Redis.from_url(url)
    words = []
    for key in client.scan_iter():
        kind = client.type(key)
        read = {b"list": lambda name: client.lrange(name, 0, -1), b"set": client.smembers, b"hash": client.hgetall}
        read |= {b"zset": lambda name: client.zrange(name, 0, -1), b"string": client.get}
        words.append(f"{key!r} {read[kind](key)!r}")
    assert any("payments.run_due" in word for word in words), "no message was there to be read"
    return " ".join(words)


def tables_with(word: str) -> list[str]:
    """The tables in which a word can be read in any column of any row."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            query = sql.SQL("SELECT EXISTS (SELECT 1 FROM {} t WHERE strpos(t::text, %s) > 0)")
            cursor.execute(query.format(sql.Identifier(table)), [word])
            if cursor.fetchone()[0]:
                found.append(table)
    return found
