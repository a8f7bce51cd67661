"""How does a command say no? In a sentence, without a traceback."""

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError


def refusal(error: ValidationError) -> CommandError:
    """The same refusal for a terminal: each wrong field on a line, by the name it has in the database."""
    lines = [f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items()]
    return CommandError("Nothing was done.\n" + "\n".join(lines))
