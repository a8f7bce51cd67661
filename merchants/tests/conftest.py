from collections.abc import Callable, Iterator

import pytest

from merchants.tests.loop import discard_loop
from merchants.tests.receiver import Receiver, receivers


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    """`receiver()` is a merchant's server on this machine, listening; see `merchants/tests/receiver.py`."""
    with receivers() as open_receiver:
        yield open_receiver
    discard_loop()
