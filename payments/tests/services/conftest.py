from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from checkout.kit import defer as doorbell


@pytest.fixture
def listening(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> Callable[[], AbstractContextManager[list[str]]]:
    """`with listening() as rung:` — afterwards, the names that would have been rung for, had it all been committed."""

    @contextmanager
    def listening() -> Iterator[list[str]]:
        rung: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr(doorbell, "_press", lambda name, patience_seconds: rung.append(name))
            with django_capture_on_commit_callbacks(execute=True):
                yield rung

    return listening
