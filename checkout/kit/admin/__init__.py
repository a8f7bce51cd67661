"""How do people see and ask? What the desk's pages are made of, and the pages of people, audit and alerts."""

from checkout.kit.admin import audit, people
from checkout.kit.admin.configuration import CodesField, ConfigurationAdmin, DeskForm, ReasonedForm
from checkout.kit.admin.lists import DeskAdmin, ReadOnlyAdmin
from checkout.kit.admin.verbs import (
    AlreadyDone,
    DiscreetForm,
    MoneyField,
    PlainForm,
    Verb,
    VerbAdmin,
    VerbForm,
    actor_of,
)

__all__ = [
    "AlreadyDone",
    "CodesField",
    "ConfigurationAdmin",
    "DeskAdmin",
    "DeskForm",
    "DiscreetForm",
    "MoneyField",
    "PlainForm",
    "ReadOnlyAdmin",
    "ReasonedForm",
    "Verb",
    "VerbAdmin",
    "VerbForm",
    "actor_of",
    "audit",
    "people",
]
