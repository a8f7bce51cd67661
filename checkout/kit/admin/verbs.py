"""How does an operator ask for something? By a button that leads to a page of its own, which says what will happen and
asks why; the page calls one verb of `services`.

It has its own address because Django's change view runs in a transaction, and durable verbs refuse to nest.
"""

import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from checkout.kit.access import sessions
from checkout.kit.actors import Actor
from checkout.kit.admin import fresh
from checkout.kit.admin.lists import DeskAdmin
from checkout.kit.admin.requests import actor_of, user_of
from checkout.kit.card_numbers import holds_sensitive_data
from checkout.kit.display import name_of, page_of
from checkout.kit.errors import Refusal
from checkout.kit.inputs import is_printable
from checkout.kit.models import User
from checkout.kit.money import CURRENCY_DECIMALS, Money

_MAJOR_UNITS = re.compile(r"[0-9]{1,12}(?:\.([0-9]{1,3}))?", re.ASCII)


NOT_IN_TIME = "The database did not answer in time. Try again: nothing is ever done twice."


class AlreadyDone(Exception):
    """This very form was submitted before; nothing was done again."""


def show_as(form: forms.BaseForm, field: str, value: str) -> None:
    """Let the posted form show this in a field, whatever was posted."""
    form.data = posted = cast(QueryDict, form.data).copy()
    posted[form.add_prefix(field)] = value


class DiscreetForm(forms.BaseForm):
    """Keeps no card number or secret that was typed into one of its fields, nor shows it again.

    Fields whose input is hidden are for secrets; `may_look_so` names those in which a number only looks like a card's.
    """

    may_look_so: frozenset[str] = frozenset()

    def clean(self) -> dict[str, Any] | None:
        for name, field in self.fields.items():
            may_hold = name in self.may_look_so or isinstance(field.widget, forms.PasswordInput)
            if not may_hold and holds_sensitive_data(str(self[name].data or "")):
                show_as(self, name, "")
                self.errors.pop(name, None)  # what a field says of a value that it refuses may repeat it
                self.add_error(name, "This looks like a card or account number or a secret, which is not kept here.")
        return super().clean()


class ReasonField(forms.CharField):
    """Why something is done: one line that will still make sense in a year."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("help_text", "Kept in the audit with your name.")
        super().__init__(label="Reason", max_length=200, widget=UnfoldAdminTextInputWidget(), **options)

    def validate(self, value: str) -> None:
        super().validate(value)
        if not is_printable(value):
            raise ValidationError("Holds a character that cannot be printed.")


class MoneyField(forms.CharField):
    """An amount in major units of one currency, as `12.50`: no commas, no exponents, no decimals the currency lacks."""

    def __init__(self, *, currency: str, **options: Any) -> None:
        self.currency = currency
        super().__init__(widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}), **options)

    def clean(self, value: Any) -> Money:
        """The amount. Refuses (ValidationError) whatever is not plainly one."""
        text = super().clean(value)
        match = _MAJOR_UNITS.fullmatch(text)
        decimals = CURRENCY_DECIMALS[self.currency]
        if match is None:
            raise ValidationError("Write the amount in digits with a point, such as 12.50.")
        if len(match[1] or "") > decimals:
            raise ValidationError(f"{self.currency} has {decimals or 'no'} decimals.")
        amount = Money.of_decimal(Decimal(text), self.currency)
        if not amount:
            raise ValidationError("The amount must be more than zero.")
        return amount


class MomentField(forms.DateTimeField):
    """A minute, in UTC."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}), **options)

    def prepare_value(self, value: Any) -> Any:
        return f"{value:%Y-%m-%dT%H:%M}" if hasattr(value, "strftime") else value


class VerbForm(DiscreetForm, forms.Form):
    """What every confirmation asks. The token makes one opened page good for one deed; `person` is who fills it in."""

    person: User
    reason = ReasonField()
    token = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, obj: Any) -> None:
        super().__init__(data, initial={"token": uuid.uuid4()}, label_suffix="")
        self.obj = obj


class PlainForm(VerbForm):
    """A confirmation that asks for nothing."""

    reason = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Verb:
    """A button on an object's page.

    `act` gets the object, the actor and the form's data, calls one verb and returns what to say: a sentence, or a page
    to show at once. `is_offered` is whether the object's status allows it, `consequence` what will happen, `preview`
    what would be posted: accounts and amounts, debit positive; `needs_fresh_code` whether the object with the form's
    data asks for a one-time code of the last minutes: with `fresh.always` the page asks for it from the beginning.
    """

    name: str
    label: str
    icon: str
    permission: str
    consequence: Callable[[Any], str]
    act: Callable[[Any, Actor, dict[str, Any]], str | dict[str, Any]]
    is_offered: Callable[[Any], bool] = lambda obj: True
    form_class: type[VerbForm] = VerbForm
    is_grave: bool = False
    template: str = "admin/desk/confirm.html"
    result_template: str = ""
    preview: Callable[[Any], Sequence[tuple[str, Money]]] = lambda obj: ()
    needs_fresh_code: Callable[[Any, dict[str, Any]], bool] = lambda obj, data: False


class VerbAdmin(DeskAdmin):
    """A model whose pages have verb buttons."""

    verbs: tuple[Verb, ...] = ()
    change_form_template = "admin/desk/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        names = f"{self.opts.app_label}_{self.opts.model_name}"
        view = self.admin_site.admin_view(self.verb_view)
        own = [
            path(f"<path:object_id>/{verb.name}/", view, {"verb": verb}, name=f"{names}_{verb.name}")
            for verb in self.verbs
        ]
        return own + super().get_urls()

    def buttons(self, request: HttpRequest, obj: Any) -> list[dict[str, Any]]:
        """The verbs that this person may ask of this object now."""
        names = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        return [
            {"verb": verb, "address": reverse(f"{names}_{verb.name}", args=[name_of(obj)])}
            for verb in self.verbs
            if request.user.has_perm(verb.permission) and verb.is_offered(obj) and self.may_ask(request, obj, verb)
        ]

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """What the templates of an object's page need beyond its form."""
        return {"verb_buttons": self.buttons(request, obj)}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, obj: Any = None, **options: Any
    ) -> HttpResponse:
        if obj is not None:
            context.update(self.page_context(request, obj))
        return super().render_change_form(request, context, add=add, obj=obj, **options)  # type: ignore[no-any-return]

    def may_ask(self, request: HttpRequest, obj: Any, verb: Verb) -> bool:
        """Whether this person, who has the verb's permission, may ask it of this very object."""
        return True

    def verb_view(self, request: HttpRequest, object_id: str, verb: Verb) -> HttpResponse:
        """Ask for confirmation and a reason, then act once. Refusals are shown in their own words."""
        obj = self.get_object(request, unquote(object_id))
        if not request.user.has_perm(verb.permission) or not self.has_view_permission(request, obj):
            raise PermissionDenied
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        if not self.may_ask(request, obj, verb):
            raise PermissionDenied
        form = verb.form_class(request.POST if request.method == "POST" else None, obj=obj)
        form.person = user_of(request)
        asks_at_once = fresh.FIELD in request.POST or verb.needs_fresh_code is fresh.always
        if asks_at_once and not sessions.is_fresh(request):
            fresh.ask(form)
        if request.method == "POST":
            try:
                if form.is_valid() and self._may_go_on(request, obj, verb, form):
                    done = verb.act(obj, actor_of(request), form.cleaned_data)
                    if isinstance(done, str):
                        messages.success(request, done)
                        return HttpResponseRedirect(page_of(obj))
                    return self._show(request, verb.result_template, obj, verb, done)
            except Refusal as refusal:
                form.add_error(None, refusal.message)
            except ValidationError as error:
                form.add_error(None, error.messages)
            except OperationalError:
                form.add_error(None, NOT_IN_TIME)
            except AlreadyDone:
                messages.info(request, "This form was already submitted, and was not carried out again.")
                return HttpResponseRedirect(page_of(obj))
        elif request.method != "POST" and not verb.is_offered(obj):
            messages.warning(request, f"{verb.label} is not possible now.")
            return HttpResponseRedirect(page_of(obj))
        return self._show(request, verb.template, obj, verb, {"form": form})

    def _may_go_on(self, request: HttpRequest, obj: Any, verb: Verb, form: VerbForm) -> bool:
        return not verb.needs_fresh_code(obj, form.cleaned_data) or fresh.is_given(request, form)

    def _show(
        self, request: HttpRequest, template: str, obj: Any, verb: Verb, context: dict[str, Any]
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": verb.label,
            "object": obj,
            "verb": verb,
            "consequence": verb.consequence(obj),
            "preview": verb.preview(obj),
            "back": page_of(obj),
            **context,
        }
        return TemplateResponse(request, template, context)
