"""How does one round go? Faults, load and harm at once; then everything is healed, waited for, and judged."""

import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

from django.db import OperationalError, connection

from checkout.kit import clock
from checkout.kit.actors import Actor
from gateways.models import Notice
from gateways.registry import adapter_class
from gateways.services import create_gateway, set_region
from merchants.services import create_api_key, create_merchant
from payments.models import Attempt, Refund
from payments.statuses import IN_FLIGHT, RefundStatus
from tests.chaos import timing
from tests.chaos.history import History
from tests.chaos.judge import Judge, Verdict, story
from tests.chaos.load import Load, Shop, wishes
from tests.chaos.nemesis import Nemesis, plan
from tests.chaos.results import Result
from tests.chaos.rig import DIALECTS, Rig
from tests.simulation import our_credentials

ACTOR = Actor.command("chaos")
KILLS_PER_PAYMENT, FEWEST_KILLS = 0.045, 4
QUIET_SECONDS = 120
COUNTRIES = ("DE", "FR", "ES")  # each region begins with another gateway
_STORIES = 20


def configure(rig: Rig) -> None:
    """The gateways, each behind its proxy, and three regions that ask them in turn."""
    for code, dialect in DIALECTS.items():
        create_gateway(
            code=code,
            name=code.title(),
            adapter=f"simulator_{dialect}",
            mode="test",
            data_format=dialect,
            base_url=rig.proxies[code].url,
            credentials=our_credentials(code, dialect),
            currencies=sorted(adapter_class(f"simulator_{dialect}").currencies),
            payment_method_types=["card"],
            supports_cancel_by_reference=True,
            fee_bps=290,
            fee_fixed_minor=30,
            actor=ACTOR,
        )
    codes = list(DIALECTS)
    for place, country in enumerate(COUNTRIES):
        order = codes[place:] + codes[:place]
        priorities = {code: priority for priority, code in enumerate(order, 1)}
        set_region(code=country.lower(), name=country, countries=[country], priorities=priorities, actor=ACTOR)


def play(rig: Rig, judge: Judge, *, seed: int, payments: int, folder: Path) -> Result:
    """One round, its evidence in a folder of its own."""
    folder.mkdir()
    began, since = time.monotonic(), clock.now()
    rig.misbehave(seed)
    shops = _open_shops(folder.name)
    kills = max(FEWEST_KILLS, round(payments * KILLS_PER_PAYMENT))
    strikes = plan(seed, kills=kills, gateways=list(DIALECTS))
    journal = folder / "nemesis.jsonl"
    history = History(folder / "history.jsonl")
    load = Load(urls=rig.urls, shops=shops, seed=seed, history=history)
    at_work = rig.network.submit(load.run(wishes(seed, payments, len(shops))))
    nemesis = Nemesis(
        rig.platform,
        rig.proxies,
        strikes,
        progress=lambda: 1.0 if at_work.done() else load.begun / payments,
        seed=seed,
        journal=journal,
    )
    nemesis.start()
    nemesis.join()
    if nemesis.error:
        raise nemesis.error
    rig.heal()
    at_work.result()
    history.close()
    names = [shop.name for shop in shops]
    _wait_until_quiet(names)
    verdict = judge.judge(shops=shops, history=folder / "history.jsonl", since=since)
    struck = [json.loads(line) for line in journal.read_text().splitlines()]
    result = Result(
        seed=seed,
        payments=sum(verdict.statuses.values()),
        captured=verdict.statuses["captured"],
        declined=verdict.statuses["declined"],
        failed=verdict.statuses["failed"],
        kills=nemesis.counts["kill"],
        stops=nemesis.counts["stop"],
        duplicates=load.duplicates,
        doubled=verdict.count("doubled"),
        lost=verdict.count("lost"),
        unknown_left=verdict.count("unknown"),
        ledger_difference=verdict.ledger_difference,
        complaints=verdict.count("audit"),
        given_up=load.given_up,
        server_errors=verdict.answers[500],
        seconds=round(time.monotonic() - began, 1),
        recoveries=timing.recoveries(names, struck),
        resolutions=timing.resolutions(names, struck),
    )
    if not result.is_clean:
        _keep_evidence(rig, verdict, folder)
    return result


def _open_shops(name: str) -> list[Shop]:
    shops = []
    for country in COUNTRIES:
        merchant = create_merchant(
            name=f"{name}-{country}",
            country=country,
            default_currency="EUR",
            fee_bps=320,
            fee_fixed_minor=30,
            tax_bps=2000,
            actor=ACTOR,
        )
        shops.append(Shop(merchant.name, create_api_key(merchant=merchant, mode="test", actor=ACTOR).secret))
    return shops


def _wait_until_quiet(names: list[str]) -> None:
    """Wait until nothing is due or in flight any more, or for so long that it will not be."""
    deadline = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < deadline:
        try:
            if _is_quiet(names):
                return
        except OperationalError:
            connection.close()
        time.sleep(0.5)


def _is_quiet(names: list[str]) -> bool:
    ours: dict[str, Any] = {"payment__merchant__name__in": names}
    return not (
        Attempt.objects.filter(status__in=IN_FLIGHT, **ours).exists()
        or Attempt.objects.filter(next_action_at__isnull=False, **ours).exists()
        or Refund.objects.filter(status__in=[RefundStatus.REQUESTED, RefundStatus.PROCESSING], **ours).exists()
        or Notice.objects.filter(status=Notice.Status.WAITING).exists()
    )


def _keep_evidence(rig: Rig, verdict: Verdict, folder: Path) -> None:
    """What was found, the stories of the payments concerned, the book and the logs."""
    words = [f"{finding.kind} {finding.payment} {finding.words}" for finding in verdict.findings]
    (folder / "findings.txt").write_text("\n".join(words) + "\n")
    concerned = sorted({finding.payment for finding in verdict.findings if finding.payment.startswith("pay_")})
    (folder / "stories.txt").write_text("\n".join(story(name, rig.book) for name in concerned[:_STORIES]))
    with sqlite3.connect(rig.book) as book, sqlite3.connect(folder / "book.sqlite3") as copy:
        book.backup(copy)
    shutil.copytree(rig.platform.var_dir / "log", folder / "log")
