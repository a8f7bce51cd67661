"""How is configuration changed? By fields, with a reason; what changed is audited in the transaction of the change."""

import re
from collections.abc import Collection
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextareaWidget

from checkout.kit import audit
from checkout.kit.admin.requests import actor_of
from checkout.kit.admin.verbs import DiscreetForm, ReasonField, VerbAdmin
from checkout.kit.models import AuditEntry

_CHANGES_SHOWN = 20


class CodesField(forms.CharField):
    """A set of codes written as text, such as `DE FR, PT`: sorted, each once, each one that exists."""

    def __init__(self, *, allowed: Collection[str], **options: Any) -> None:
        self.allowed = allowed
        super().__init__(widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), **options)

    def prepare_value(self, value: Any) -> Any:
        return " ".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)

    def clean(self, value: Any) -> list[str]:
        """The codes. Refuses (ValidationError) those that do not exist."""
        codes = sorted({code.upper() for code in re.split(r"[\s,;]+", super().clean(value)) if code})
        if unknown := [code for code in codes if code not in self.allowed]:
            raise ValidationError(f"There is no such code: {', '.join(unknown)[:200]}.")
        return codes


class DeskForm(DiscreetForm, forms.ModelForm):  # type: ignore[type-arg]
    """The form of a row that people set up."""


class ReasonedForm(DeskForm):
    """A form that asks why something that exists is changed."""

    reason = ReasonField()


class ConfigurationAdmin(VerbAdmin):
    """Rows that people set up. Nothing is deleted: what is not wanted any more is disabled.

    Of what exists only the fields that a person changed are written, so whatever was done to it meanwhile stays done.
    Subclasses name in `audited_fields` what the audit keeps, may add to `facts` what no column holds, and set in
    `derive` what follows from the rest.
    """

    form = ReasonedForm
    audited_fields: tuple[str, ...] = ()
    add_form: Any = DeskForm
    warn_unsaved_form = True
    compressed_fields = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if obj is None:
            options["form"] = self.add_form
        return super().get_form(request, obj, change=change, **options)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is not None and self.has_change_permission(request, obj):
            return [*fieldsets, ("Why", {"fields": ["reason"]})]
        return fieldsets

    def facts(self, obj: Any) -> dict[str, Any]:
        """The state of an object, as the audit keeps it: no secrets."""
        return {name: getattr(obj, name) for name in self.audited_fields}

    def derive(self, obj: Any) -> tuple[str, ...]:
        """Set what follows from the changed fields of an object that is about to be saved; names those columns."""
        return ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write what the form changed into the row as it is now. Refuses (PermissionDenied) what may no longer be."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        columns = [field for field in self.opts.concrete_fields if field.name in form.changed_data]
        wanted = {field.attname: getattr(obj, field.attname) for field in columns}
        obj.refresh_from_db(from_queryset=type(obj)._default_manager.select_for_update(no_key=True))
        if not set(form.changed_data).isdisjoint(self.get_readonly_fields(request, obj)):
            raise PermissionDenied
        obj._facts_before = self.facts(obj)
        if columns:
            for name, value in wanted.items():
                setattr(obj, name, value)
            obj._change_reason = form.cleaned_data["reason"][:100]
            touched = [field.name for field in self.opts.concrete_fields if getattr(field, "auto_now", False)]
            obj.save(update_fields=[*wanted, *touched, *self.derive(obj)])

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if not change:
            return
        before, after = form.instance._facts_before, self.facts(form.instance)
        changed = [name for name in after if before[name] != after[name]]
        if changed:
            audit.record(
                actor=actor_of(request),
                verb=f"{self.opts.model_name}.change",
                obj=form.instance,
                reason=form.cleaned_data["reason"],
                before={name: before[name] for name in changed},
                after={name: after[name] for name in changed},
            )

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {**super().page_context(request, obj), "changes": changes_of(obj), "show_save_and_add_another": False}


def changes_of(obj: Model) -> list[AuditEntry]:
    """The latest audit entries about an object that has a public id. One query."""
    return list(AuditEntry.objects.filter(object_id=obj.public_id)[:_CHANGES_SHOWN])  # type: ignore[attr-defined]
