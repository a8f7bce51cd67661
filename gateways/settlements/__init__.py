"""What do gateways tell us about the money they owe? Files of lines, each format read by a profile of its own."""

from gateways.settlements.errors import FileRefused, LineError
from gateways.settlements.lines import LineKind, SettlementLine
from gateways.settlements.profile import Profile
from gateways.settlements.reading import PROFILES, detect, read

__all__ = ["PROFILES", "FileRefused", "LineError", "LineKind", "Profile", "SettlementLine", "detect", "read"]
