"""How do people see and ask? What the desk's pages are made of, and the pages of people, audit and alerts."""

from checkout.kit.admin import people
from checkout.kit.admin.configuration import CodesField, ConfigurationAdmin, ReasonedForm
from checkout.kit.admin.lists import DeskAdmin, ReadOnlyAdmin
from checkout.kit.admin.verbs import AlreadyDone, MoneyField, PlainForm, Verb, VerbAdmin, VerbForm, actor_of

__all__ = [
    "AlreadyDone",
    "CodesField",
    "ConfigurationAdmin",
    "DeskAdmin",
    "MoneyField",
    "PlainForm",
    "ReadOnlyAdmin",
    "ReasonedForm",
    "Verb",
    "VerbAdmin",
    "VerbForm",
    "actor_of",
    "people",
]
