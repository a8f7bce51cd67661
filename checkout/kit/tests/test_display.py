"""Are documents and ages shown as people read them?"""

from datetime import timedelta

import pytest

from checkout.kit import clock
from checkout.kit.display import age, told


def test_amounts_of_a_document_are_in_major_units_of_its_currency() -> None:
    shown = told({"resolution": "write_off", "totals": [{"currency": "JPY", "count": 2, "difference": -1250}]})

    assert "<dt>resolution</dt><dd>write_off</dd>" in shown
    assert "-1,250 JPY" in shown
    assert "<dt>count</dt><dd>2</dd>" in shown


def test_what_is_empty_is_left_out_and_nothing_is_taken_for_markup() -> None:
    shown = told({"gateway_reference": "", "outcome": None, "evidence": "<b>line 7</b>"})

    assert "gateway" not in shown
    assert "outcome" not in shown
    assert "&lt;b&gt;line 7&lt;/b&gt;" in shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *((-3, "0 s"), (0.4, "0 s"), (107.9, "107 s"), (119.9, "119 s"), (120, "2 min"), (7_199, "119 min")),
        *((7_200, "2 h"), (172_799, "47 h"), (172_800, "2 days")),
    ],
)
def test_an_age_is_said_in_the_unit_that_people_would_use(
    seconds: float, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)

    assert age(now - timedelta(seconds=seconds)) == said
