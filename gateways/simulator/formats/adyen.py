"""How does Adyen's settlement details report look? Debit and credit columns in major units, one batch number per file.

Visa costs interchange, scheme fees and a markup, every other card one commission; which card it was, the last digit of
the operation's id decides, as the book does not say.
"""

from gateways.simulator.formats.lines import Format, Line, Payout, Row, seconds
from gateways.simulator.money import major

_TYPES = {"charge": "Settled", "refund": "Refunded"}


class Adyen(Format):
    """The standard columns in their standard order, in UTC."""

    header = (
        *("Company Account", "Merchant Account", "Psp Reference", "Merchant Reference", "Payment Method"),
        *("Creation Date", "TimeZone", "Type", "Modification Reference", "Gross Currency", "Gross Debit (GC)"),
        *("Gross Credit (GC)", "Exchange Rate", "Net Currency", "Net Debit (NC)", "Net Credit (NC)"),
        *("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)", "Payment Method Variant"),
        *("Modification Merchant Reference", "Batch Number"),
        *(f"Reserved{number}" for number in range(4, 11)),
    )

    def file_name(self, number: int, on: str) -> str:
        return f"settlement_detail_report_batch_{number}.csv"

    def batch(self, number: int, currency: str) -> str:
        return str(number)

    def line(self, line: Line, payout: Payout) -> Row:
        is_visa = bool(line.id) and int(line.id[-1], 16) % 2 == 0
        gross = (line.currency, *_sides(line.gross_minor, line.currency), "1")
        return (
            *(self.settings.name, self.settings.merchant_id, line.charge_id, line.charge_reference),
            *("visa" if is_visa else "mc", seconds(line.at), "UTC", _TYPES.get(line.kind, line.kind), line.id),
            *(*gross, line.currency, *_sides(line.net_minor, line.currency), *_fees(line, is_visa)),
            *("visaclassic" if is_visa else "mccredit", line.reference, payout.batch, *[""] * 7),
        )

    def payout(self, payout: Payout) -> Row:
        _, text = self.remittance(payout.batch, payout.currency)
        return (
            *(self.settings.name, self.settings.merchant_id, "", "", "", seconds(payout.at), "UTC", "MerchantPayout"),
            *(text, "", "", "", "", payout.currency, *_sides(-payout.amount_minor, payout.currency)),
            *(*[""] * 6, payout.batch, *[""] * 7),
        )

    def remittance(self, batch: str, currency: str) -> tuple[str, str]:
        transfer = f"TX{self.made_up(batch, currency, length=14).upper()}XT"
        return transfer, f"{transfer} batch {batch}, {self.settings.merchant_id}"


def _sides(amount_minor: int, currency: str) -> tuple[str, str]:
    """Debit and credit, one of them empty."""
    amount = major(abs(amount_minor), currency)
    return (amount, "") if amount_minor < 0 else ("", amount)


def _fees(line: Line, is_visa: bool) -> tuple[str, str, str, str]:
    """Commission, markup, scheme fees and interchange, which add up to the fee."""
    if line.fee_minor == 0:
        return ("", "", "", "")
    if not is_visa:
        return (major(line.fee_minor, line.currency), "", "", "")
    interchange, scheme = line.fee_minor * 6 // 10, line.fee_minor // 10
    parts = (line.fee_minor - interchange - scheme, scheme, interchange)
    markup, scheme_fees, interchange_fee = (major(part, line.currency) for part in parts)
    return ("", markup, scheme_fees, interchange_fee)
