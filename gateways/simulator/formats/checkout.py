"""How does a plain settlement file look? One line per movement, in minor units, and a payout line per batch.

Where the back office gave money back, the reference is that of the charge.
"""

from gateways.simulator.formats.lines import Format, Line, Payout, Row


class Checkout(Format):
    """The table that is documented for gateways without a format of their own."""

    header = (
        *("kind", "gateway_reference", "reference", "currency", "gross_minor", "fee_minor", "net_minor"),
        *("occurred_on", "batch"),
    )

    def file_name(self, number: int, on: str) -> str:
        return f"settlement-{number:06}-{on}.csv"

    def batch(self, number: int, currency: str) -> str:
        return f"{self.settings.code}-{number:06}-{currency}"

    def line(self, line: Line, payout: Payout) -> Row:
        reference = line.reference or line.charge_reference
        amounts = (line.gross_minor, line.fee_minor, line.net_minor)
        return (line.kind, line.id, reference, line.currency, *amounts, line.at[:10], payout.batch)

    def payout(self, payout: Payout) -> Row:
        amounts = (-payout.amount_minor, 0, -payout.amount_minor)
        return ("payout", payout.batch, "", payout.currency, *amounts, payout.at[:10], payout.batch)

    def remittance(self, batch: str, currency: str) -> tuple[str, str]:
        return batch[-35:], f"{self.settings.name} settlement {batch}"
