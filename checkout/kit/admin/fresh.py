"""Is it still the same person? What matters most asks for a fresh code, on the page where it is asked for."""

from typing import Any

from django import forms
from django.forms.forms import DeclarativeFieldsMetaclass
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget

from checkout.kit.access import sessions
from checkout.kit.admin.requests import actor_of
from checkout.kit.errors import Refusal
from checkout.settings import policy

FIELD = "fresh_code"

_HELP = (
    "From your authenticator app, or one of your recovery codes."
    f" It is not asked for again within {policy.FRESH_CODE_SECONDS // 60} minutes."
)


def always(obj: Any, data: dict[str, Any]) -> bool:
    """What asks for a fresh code whatever is typed."""
    return True


class CodeInput(UnfoldAdminTextInputWidget):
    """A box for a one-time code, which is never shown again."""

    def __init__(self) -> None:
        super().__init__({"autocomplete": "one-time-code", "maxlength": 20, "spellcheck": "false"})

    def format_value(self, value: Any) -> None:
        return None


class CodeField(forms.CharField):
    """What an authenticator app shows now, or a recovery code."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("label", "Your code")
        super().__init__(max_length=20, widget=CodeInput(), **options)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Nothing that a form is about."""
        return False


def ask(form: forms.BaseForm) -> None:
    """Give a form a field for the code."""
    form.fields[FIELD] = CodeField(required=False, help_text=_HELP)


def is_given(request: HttpRequest, form: forms.BaseForm) -> bool:
    """Whether a code was given within the last minutes, or is now, by this valid form. If not, the form asks for it."""
    if sessions.is_fresh(request):
        return True
    if FIELD not in form.fields:
        ask(form)
    code = form.cleaned_data.get(FIELD)
    if not code:
        form.add_error(FIELD, "This needs a fresh code. Nothing was done yet: give the code and send it again.")
        return False
    try:
        sessions.give_code(request, code, actor_of(request))
    except Refusal as refusal:
        form.add_error(FIELD, refusal.message)
        return False
    return True


class FreshCodeForm(forms.BaseForm, metaclass=DeclarativeFieldsMetaclass):
    """A form of which some fields are changed only with a fresh code. Whoever makes its class sets `request`."""

    request: HttpRequest
    guarded: frozenset[str] = frozenset()
    fresh_code = CodeField(required=False, help_text=_HELP)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if sessions.is_fresh(self.request):
            del self.fields[FIELD]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.errors and self.guarded.intersection(self.changed_data):
            is_given(self.request, self)
        return cleaned
