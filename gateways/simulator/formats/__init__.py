"""How do gateways and banks write down what they paid? A file per format, as close to the real ones as we know them."""

from gateways.simulator.formats.adyen import Adyen
from gateways.simulator.formats.checkout import Checkout
from gateways.simulator.formats.lines import Format, Line, Payout
from gateways.simulator.formats.stripe import Stripe

__all__ = ["FORMATS", "Format", "Line", "Payout"]

FORMATS: dict[str, type[Format]] = {
    "checkout-1": Checkout,
    "stripe-itemized": Stripe,
    "adyen-settlement-details": Adyen,
}
