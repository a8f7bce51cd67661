"""Is there a card number, a verification value or a secret where it must not be? I14.

Reads every text and JSON column of ours but the encrypted ones; the list is the models themselves, so a new column is
read from its first day.
"""

from collections.abc import Iterator

from django.apps import apps
from django.db import models

from checkout.kit.fields import EncryptedTextField
from payments.selfaudit.running import Invariant, Scope

_APPS = ("kit", "merchants", "gateways", "ledger", "payments", "admin")
_TIMES = (
    *("updated_at", "last_seen_at", "created_at", "at", "received_at", "started_at", "checked_at", "history_date"),
    *("action_time", "beat_at"),
)

_SHORTEST = 12  # digits of a card number; a shorter column cannot hold one

# As printed on cards: in one piece of 12 to 19 digits, or in groups; never a part of a longer word.
_SHAPES = (
    "(?:2[2-7]|[3-6][0-9])[0-9]{10,17}",
    "(?:2[2-7]|[3-6][0-9])[0-9]{2}(?:[ -][0-9]{4}){3}(?:[ -][0-9]{3})?",
    "3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5}",
)
_NUMBER = rf"(?<![0-9A-Za-z_])(?:{'|'.join(_SHAPES)})(?![0-9A-Za-z_])"
_SECRET = r"sk_(?:test|live)_[0-9A-Za-z]{46}"  # noqa: S105
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"

_LEAKS = """
    WITH text_row (place, content) AS ({texts})
    SELECT place, NULL::uuid, 'holds what looks like a card number'
    FROM text_row CROSS JOIN LATERAL regexp_matches(
        regexp_replace(content, '{uuid}', '', 'gi'), '{number}', 'g'
    ) AS found (run) CROSS JOIN LATERAL regexp_replace(run[1], '[ -]', '', 'g') AS digits
    WHERE content ~ '{number}' AND (
        -- The check digit of ISO/IEC 7812-1, annex B: every second digit from the right counts double.
        SELECT sum(CASE WHEN place %% 2 = 0 THEN digit ELSE 2 * digit - CASE WHEN digit > 4 THEN 9 ELSE 0 END END)
        FROM generate_series(0, length(digits) - 1) AS place
            CROSS JOIN LATERAL (SELECT substr(digits, length(digits) - place, 1)::int AS digit) AS one
    ) %% 10 = 0
    UNION ALL
    SELECT place, NULL, 'holds a secret key' FROM text_row WHERE content ~ '{secret}'
    UNION ALL
    SELECT public_id('card', id), NULL, 'has a number that is not encrypted'
    FROM payments_card WHERE left(convert_from(number, 'LATIN1'), 5) <> 'gAAAA'
    UNION ALL
    SELECT public_id('pay', payment_id), NULL, 'still has a verification value'
    FROM payments_cardsecret WHERE expires_at < %(now)s - %(overdue_seconds)s * interval '1 second'
"""


def card_data_is_in_the_vault(scope: Scope) -> str:
    """I14: no card number and no secret outside the vault, nothing in the clear inside, no verification value kept."""
    return _LEAKS.format(texts=" UNION ALL ".join(_texts()), number=_NUMBER, secret=_SECRET, uuid=_UUID)


def _texts() -> Iterator[str]:
    """For each table one query of its rows' texts, each row with a name that says where it is."""
    for model in _models():
        columns = [f'"{column}"::text' for column in _columns(model)]
        key = model._meta.pk.column
        if columns:
            content = f"concat_ws(' | ', {', '.join(columns)})"
            table = model._meta.db_table
            yield f'SELECT \'{table} \' || "{key}", {content} FROM "{table}" WHERE {_is_new(model)}'  # noqa: S608


def _rows_counted(scope: Scope) -> str:
    counts = [
        f'(SELECT count(*) FROM "{model._meta.db_table}" WHERE {_is_new(model)})'  # noqa: S608
        for model in _models()
        if _columns(model)
    ]
    return f"SELECT {' + '.join(counts)}"


def _models() -> list[type[models.Model]]:
    return [model for label in _APPS for model in apps.get_app_config(label).get_models()]


def _columns(model: type[models.Model]) -> list[str]:
    return [
        str(field.column)
        for field in model._meta.concrete_fields
        if isinstance(field, models.CharField | models.TextField | models.JSONField)
        and not isinstance(field, EncryptedTextField)
        and not field.choices
        and (field.max_length or _SHORTEST) >= _SHORTEST
        and field.name not in ("password", "hash", "fingerprint", "payload_hash")
    ]


def _is_new(model: type[models.Model]) -> str:
    """The condition for rows written since the last look; a table that does not say when is read whole."""
    times = {field.name: field.column for field in model._meta.concrete_fields}
    column = next((times[name] for name in _TIMES if name in times), None)
    return f'(%(texts_since)s::timestamptz IS NULL OR "{column}" >= %(texts_since)s::timestamptz)' if column else "TRUE"


INVARIANTS = [
    Invariant(
        code="I14",
        name="No card number or secret is outside the vault",
        covers="texts written since the last run, by the shape of card numbers and keys; not the logs",
        counted=_rows_counted,
        violations=card_data_is_in_the_vault,
    ),
]
