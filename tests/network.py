"""May a test speak to the outside? No: a pytest plugin refuses every connection that would leave this machine."""

import ipaddress
import sys
from typing import Any


class NetworkIsSealed(RuntimeError):
    """A test tried to reach another machine."""


def pytest_configure() -> None:
    """Seal the network of this process, for good."""
    sys.addaudithook(_refuse_to_leave)


def _refuse_to_leave(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto"):
        return
    address = arguments[1]
    if isinstance(address, tuple) and address[0] != "localhost" and not _is_loopback(address[0]):
        raise NetworkIsSealed(f"a test tried to reach {address[0]}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
