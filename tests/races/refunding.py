"""One of many processes that refund the same payments at the same time: `python -m tests.races.refunding`.

Each line of its input is a payment's id, a number of refunds and their amount in minor units; it answers each with the
sum that was accepted.
"""

import sys

import django

django.setup()

from checkout.kit.actors import Actor  # noqa: E402
from checkout.kit.errors import Refusal  # noqa: E402
from checkout.kit.ids import parse_public_id  # noqa: E402
from checkout.kit.money import Money  # noqa: E402
from payments import services  # noqa: E402
from payments.models import Payment  # noqa: E402


def main() -> None:
    """Refund what the lines ask for, until there are no more."""
    for line in sys.stdin:
        public_id, count, amount_minor = line.split()
        payment = Payment.objects.get(pk=parse_public_id("pay", public_id))
        accepted = 0
        for _ in range(int(count)):
            try:
                refund = services.refund_payment(
                    payment=payment, amount=Money(int(amount_minor), payment.currency), actor=Actor.task("race")
                )
                accepted += refund.amount_minor
            except Refusal:
                pass
        print(accepted, flush=True)


if __name__ == "__main__":
    main()
