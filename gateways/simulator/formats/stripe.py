"""How does Stripe's itemised payout reconciliation look? Major units, lower-case currencies, a payout row per payout.

The columns are those that an account asks for by name, with its own reference among the metadata.
"""

from gateways.simulator.formats.lines import Format, Line, Payout, Row, seconds
from gateways.simulator.money import major


class Stripe(Format):
    """`payout_reconciliation.itemized.5` in UTC, of an account with automatic payouts."""

    header = (
        *("automatic_payout_id", "automatic_payout_effective_at_utc", "balance_transaction_id", "created_utc"),
        *("available_on_utc", "currency", "gross", "fee", "net", "reporting_category", "source_id", "charge_id"),
        *("payment_intent_id", "payment_metadata[our_id]", "refund_metadata[our_id]", "trace_id"),
        "connected_account_id",
    )

    def file_name(self, number: int, on: str) -> str:
        return f"payout_reconciliation_itemized_{on}_{number}.csv"

    def batch(self, number: int, currency: str) -> str:
        return f"po_{self.made_up(number, currency)}"

    def line(self, line: Line, payout: Payout) -> Row:
        is_refund = line.kind == "refund"
        about = (
            *(line.kind, line.id, line.charge_id, line.charge_id and f"pi_{line.charge_id[3:]}"),
            *((line.charge_reference, line.reference) if is_refund else (line.reference or line.charge_reference, "")),
        )
        amounts = (line.gross_minor, line.fee_minor, line.net_minor)
        return self._row(payout, f"txn_{line.id[3:]}", line.at, amounts, about)

    def payout(self, payout: Payout) -> Row:
        amounts = (-payout.amount_minor, 0, -payout.amount_minor)
        transaction = f"txn_{payout.batch[3:]}"
        about = ("payout", payout.batch, "", "", "", "")
        return self._row(payout, transaction, payout.at, amounts, about)

    def remittance(self, batch: str, currency: str) -> tuple[str, str]:
        return batch, f"STRIPE {self.settings.name} {batch} {self._trace(batch)}"

    def _row(self, payout: Payout, transaction: str, at: str, amounts: tuple[int, int, int], about: Row) -> Row:
        effective_at, available_at = f"{payout.at[:10]} 00:00:00", f"{at[:10]} 00:00:00"
        return (
            *(payout.batch, effective_at, transaction, seconds(at), available_at, payout.currency.lower()),
            *(major(amount, payout.currency) for amount in amounts),
            *(*about, self._trace(payout.batch), ""),
        )

    def _trace(self, batch: str) -> str:
        return f"TRACE{self.made_up(batch, length=12).upper()}"
