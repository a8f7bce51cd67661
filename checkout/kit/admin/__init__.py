"""How do people see and ask? What the desk's pages are made of, and the pages of people, audit and alerts."""

from checkout.kit.admin import audit, people
from checkout.kit.admin.bulk import BulkAdmin, BulkVerb
from checkout.kit.admin.configuration import CodesField, ConfigurationAdmin, DeskForm, ReasonedForm
from checkout.kit.admin.lists import DeskAdmin, Queue, ReadOnlyAdmin
from checkout.kit.admin.requests import actor_of, person_of
from checkout.kit.admin.verbs import (
    AlreadyDone,
    DiscreetForm,
    MomentField,
    MoneyField,
    PlainForm,
    Verb,
    VerbAdmin,
    VerbForm,
)

__all__ = [
    "AlreadyDone",
    "BulkAdmin",
    "BulkVerb",
    "CodesField",
    "ConfigurationAdmin",
    "DeskAdmin",
    "DeskForm",
    "DiscreetForm",
    "MomentField",
    "MoneyField",
    "PlainForm",
    "Queue",
    "ReadOnlyAdmin",
    "ReasonedForm",
    "Verb",
    "VerbAdmin",
    "VerbForm",
    "actor_of",
    "audit",
    "people",
    "person_of",
]
