"""What do gateways tell us about the money they owe? Files of lines, each format read by a profile of its own."""

from gateways.settlements.lines import LineKind, SettlementLine

__all__ = ["LineKind", "SettlementLine"]
