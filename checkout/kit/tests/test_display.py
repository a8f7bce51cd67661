"""Are documents shown as people read them?"""

from checkout.kit.display import told


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
