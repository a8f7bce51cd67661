"""Does what a gateway settles say the same as what we expect of it, when everything went well?"""

from collections.abc import Callable, Iterator

import pytest

from checkout.kit.actors import Actor
from checkout.launch.processes import wait_for
from gateways import client
from gateways.models import Gateway
from gateways.services import download_settlements
from gateways.settlements import LineKind, SettlementLine, detect, read
from ledger.models import ClearingItem, Discrepancy, SettlementBatch, SettlementFile
from ledger.models import SettlementLine as SettlementRow
from ledger.reconciliation.content import pieces_of
from ledger.services import fetch_files, import_due, import_to_end
from tests.flows.shop import DECLINED, Shop
from tests.simulation import Simulation

ACTOR = Actor.command("test")

Told = tuple[str, str, str, str, int, int]


@pytest.fixture(autouse=True)
def _no_connection_outlives_a_test() -> Iterator[None]:
    yield
    client.discard_loop()


def trade(shop: Shop, simulation: Simulation) -> None:
    """A sale, one of which the answer was lost, a capture of a part, refunds, and what takes no money."""
    ids = [shop.pay(amount).json()["id"] for amount in (50_00, 12_34)]
    shop.pay(99_00, number=DECLINED)
    reserved = shop.pay(80_00, capture="manual").json()["id"]
    shop.ends(reserved, "authorized")
    shop.post(f"/v1/payments/{reserved}/capture", {"amount": 55_05})
    canceled = shop.pay(70_00, capture="manual").json()["id"]
    shop.ends(canceled, "authorized")
    shop.post(f"/v1/payments/{canceled}/cancel")
    for amount in (7_01, 12_99):
        shop.post(f"/v1/payments/{ids[0]}/refunds", {"amount": amount})
    simulation.change(shop.codes[0], behaviour="charge_then_500")
    lost = shop.pay_soon(33_33)
    shop.ends(lost, "captured")
    simulation.calm()
    for payment_id in (*ids, reserved):
        shop.ends(payment_id, "captured")


def settled(gateway: Gateway) -> list[SettlementLine]:
    """What the files of a gateway say, read by us."""
    lines: list[SettlementLine] = []
    for each in download_settlements(gateway, ().__contains__):
        with each.path.open("rb") as stream:
            profile = detect(stream.read(65_536))
            stream.seek(0)
            for line in read(profile, stream):
                assert isinstance(line, SettlementLine)
                lines.append(line)
    return lines


@pytest.mark.parametrize(
    ("dialect", "form"),
    [("json", "checkout-1"), ("json", "stripe-itemized"), ("xml", "adyen-settlement-details")],
)
def test_every_line_is_one_that_we_expect_and_every_one_that_we_expect_is_there(
    open_shop: Callable[..., Shop], simulation: Simulation, dialect: str, form: str
) -> None:
    shop = open_shop(dialect)
    simulation.change(shop.codes[0], settlement_format=form, fee_bps=290, fee_fixed_minor=30)
    trade(shop, simulation)
    simulation.settle(shop.codes[0])
    gateway = Gateway.objects.get(code=shop.codes[0])

    lines = settled(gateway)

    theirs: list[Told] = [
        (line.kind.value, line.gateway_reference, line.reference, line.currency, line.gross_minor, line.fee_minor)
        for line in lines
        if line.kind is not LineKind.PAYOUT
    ]
    ours: list[Told] = list(
        ClearingItem.objects.filter(gateway=gateway).values_list(
            "kind", "gateway_reference", "reference", "currency", "gross_minor", "fee_minor"
        )
    )
    assert sorted(theirs) == sorted(ours)
    assert len(ours) == 6
    (payout,) = [line for line in lines if line.kind is LineKind.PAYOUT]
    assert -payout.net_minor == sum(gross - fee for *_, gross, fee in ours)


@pytest.mark.parametrize(
    ("dialect", "form"),
    [("json", "checkout-1"), ("json", "stripe-itemized"), ("xml", "adyen-settlement-details")],
)
def test_what_a_gateway_offers_is_fetched_once_imported_and_matched_to_the_last_line(
    open_shop: Callable[..., Shop], simulation: Simulation, dialect: str, form: str
) -> None:
    shop = open_shop(dialect)
    simulation.change(shop.codes[0], settlement_format=form, fee_bps=290, fee_fixed_minor=30)
    trade(shop, simulation)
    issued = simulation.settle(shop.codes[0])
    assert issued is not None
    gateway = Gateway.objects.get(code=shop.codes[0])

    fetch_files(actor=ACTOR)
    fetch_files(actor=ACTOR)
    file = import_to_end(SettlementFile.objects.get(gateway=gateway))
    assert wait_for(lambda: reconciled(file), 60)

    assert (file.status, file.source, file.name) == ("imported", "fetch", issued["name"])
    assert b"".join(pieces_of(file.pk)) == simulation.settlement(gateway.code, file.name)
    assert SettlementRow.objects.filter(gateway=gateway, match=None).exclude(kind="payout").count() == 0
    assert ClearingItem.objects.filter(gateway=gateway, match=None).count() == 0
    assert not Discrepancy.objects.filter(gateway=gateway).exclude(kind="missing_bank_credit").exists()
    (batch,) = SettlementBatch.objects.filter(gateway=gateway)
    assert batch.net_minor == batch.payout_minor


def reconciled(file: SettlementFile) -> bool:
    """Whether the lines of a file have been matched: by a worker, or now."""
    import_due(actor=ACTOR)
    return SettlementFile.objects.filter(pk=file.pk, reconciled_at__isnull=False).exists()
