"""Is it real money? Every object of a merchant is in one of two modes, and the two never meet."""

from django.db.models import TextChoices


class Mode(TextChoices):
    """Test objects reach only test gateways, live objects only live ones."""

    TEST = "test"
    LIVE = "live"
