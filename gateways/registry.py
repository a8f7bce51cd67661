"""Which gateways can we speak to? Those with a module in `gateways/adapters/`; there is no other list."""

import importlib
import pkgutil
from functools import cache

from gateways import adapters
from gateways.base import Gateway


class UnknownAdapter(LookupError):
    """No adapter has this code."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"There is no gateway adapter called {code!r}.")


class DuplicateAdapter(RuntimeError):
    """Two adapters claim the same code."""


def adapter_class(code: str) -> type[Gateway]:
    """The adapter with this code. Raises UnknownAdapter."""
    try:
        return _adapters()[code]
    except KeyError:
        raise UnknownAdapter(code) from None


def adapter_choices() -> list[tuple[str, str]]:
    """Code and display name of every adapter, by display name: choices for a form field."""
    choices = [(code, adapter.display_name) for code, adapter in _adapters().items()]
    return sorted(choices, key=lambda choice: choice[1])


@cache
def _adapters() -> dict[str, type[Gateway]]:
    found: dict[str, type[Gateway]] = {}
    for info in pkgutil.iter_modules(adapters.__path__, f"{adapters.__name__}."):
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Gateway) and value.__module__ == info.name:
                if value.code in found:
                    raise DuplicateAdapter(
                        f"{value.__name__} and {found[value.code].__name__} are both {value.code!r}."
                    )
                found[value.code] = value
    return found
