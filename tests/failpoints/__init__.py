import pytest

_STORIES = ("books", "customers", "desk", "findings", "hearsay", "purchases", "story", "webhooks")
# So that a story whose assertion fails says what it compared, as a test does.
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _STORIES))
