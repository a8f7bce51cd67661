"""Is one thing done to many rows as was shown beforehand, once, within bounds, and with an account of each?"""

import csv
import io
import uuid
from typing import Any

import pytest

from checkout.kit import clock
from checkout.kit.admin import bulk
from checkout.kit.alerts import raise_alert
from checkout.kit.models import Alert, AuditEntry, BulkRun
from checkout.settings import policy
from gateways.models import Gateway, Notice
from tests.desk import at_desk, fields_of, queries_of, text_of

ALERTS = "/admin/kit/alert/"
NOTICES = "/admin/gateways/notice/unmatched/"


@pytest.fixture
def notices(gateways: dict[str, Gateway]) -> list[Notice]:
    """Three notices of what nobody knows, one with a hostile name, and one that was applied."""
    about = {"gateway": gateways["north"], "outcome": "succeeded", "body": "{}", "received_at": clock.now()}
    statuses = ["unmatched", "unmatched", "unmatched", "applied"]
    names = ["n1", '<script>alert("x")</script>', "=1+1", "n4"]
    return [
        Notice.objects.create(notice_id=name, reference=f"att_{name[:5]}", status=status, **about)
        for name, status in zip(names, statuses, strict=True)
    ]


def choose(browser: Any, address: str, action: str, keys: list[Any], **more: Any) -> Any:
    """Tick rows of a list and ask for something."""
    return browser.post(address, {"action": action, "_selected_action": [str(key) for key in keys], "index": 0, **more})


def confirm(browser: Any, address: str, shown: Any, **fields: Any) -> Any:
    """Send the form of the preview."""
    return browser.post(address, {**fields_of(shown.content.decode()), **fields})


def test_what_is_chosen_is_shown_then_done_one_by_one_and_reported(notices: list[Notice]) -> None:
    browser = at_desk("Operations")

    shown = choose(browser, NOTICES, "bulk-set-aside", [notice.pk for notice in notices[:3]])

    assert "Set aside: 3 of 3 chosen" in text_of(shown)
    assert "Nothing is done before you confirm." in text_of(shown)
    assert set(Notice.objects.values_list("status", flat=True)) == {"unmatched", "applied"}

    answer = confirm(browser, f"{NOTICES}bulk-set-aside/", shown, reason="a test of the gateway's")

    report = browser.get(answer["Location"])
    assert "Set aside: 3 done, 0 refused" in text_of(report)
    assert Notice.objects.filter(status="set_aside").count() == 3
    entries = AuditEntry.objects.filter(verb="notice.set_aside")
    assert {entry.reason for entry in entries} == {"a test of the gateway's"}
    assert len(entries) == 3
    told = AuditEntry.objects.get(verb="bulk.carry_out").after
    assert told == {"what": "Set aside", "list": "unmatched notices", "done": 3, "refused": 0}


def test_sent_twice_it_is_done_once(notices: list[Notice]) -> None:
    browser = at_desk("Operations")
    shown = choose(browser, NOTICES, "bulk-set-aside", [notice.pk for notice in notices[:3]])
    first = confirm(browser, f"{NOTICES}bulk-set-aside/", shown, reason="once")
    Notice.objects.filter(pk=notices[0].pk).update(status="unmatched")

    again = confirm(browser, f"{NOTICES}bulk-set-aside/", shown, reason="once")

    assert again["Location"] == first["Location"]
    assert Notice.objects.get(pk=notices[0].pk).status == "unmatched"
    assert BulkRun.objects.count() == 1
    assert "was not carried out again" in text_of(browser.get(again["Location"]))


def test_what_cannot_be_done_is_left_out_with_the_reason(notices: list[Notice]) -> None:
    browser = at_desk("Operations")

    shown = choose(browser, "/admin/gateways/notice/", "bulk-set-aside", [notices[0].pk, notices[3].pk])
    answer = confirm(browser, "/admin/gateways/notice/bulk-set-aside/", shown, reason="test")

    assert "1 of them is left out" in text_of(shown)
    assert "Left out. It is applied by now." in text_of(shown)
    assert "1 done, 1 refused" in text_of(browser.get(answer["Location"]))
    assert Notice.objects.get(pk=notices[3].pk).status == "applied"


def test_what_left_the_queue_or_never_was_in_it_is_not_touched(notices: list[Notice]) -> None:
    browser = at_desk("Operations")
    shown = choose(browser, NOTICES, "bulk-look-again", [notices[0].pk])
    fields = fields_of(shown.content.decode())
    Notice.objects.filter(pk=notices[1].pk).update(status="set_aside")

    chosen = f"{notices[0].pk},{notices[1].pk},{notices[3].pk},999999"
    answer = browser.post(f"{NOTICES}bulk-look-again/", {**fields, "chosen": chosen, "reason": "look"})

    assert "1 done, 3 refused" in text_of(browser.get(answer["Location"]))
    assert text_of(browser.get(answer["Location"])).count("Is not in this list any more.") == 3
    assert [Notice.objects.get(pk=notice.pk).status for notice in notices] == [
        *("waiting", "set_aside", "unmatched", "applied"),
    ]


def test_everything_that_matches_is_cut_off_at_the_limit_and_says_so(
    gateways: dict[str, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk.policy, "BULK_ROWS", 3)
    about = {"gateway": gateways["north"], "outcome": "succeeded", "body": "{}", "received_at": clock.now()}
    for number in range(7):
        Notice.objects.create(notice_id=f"n{number}", reference="att_x", status="unmatched", **about)
    browser = at_desk("Operations")

    one_ticked = Notice.objects.latest("pk").pk
    shown = choose(browser, NOTICES, "bulk-set-aside", [one_ticked], select_across=1)
    confirm(browser, f"{NOTICES}bulk-set-aside/", shown, reason="all")

    assert "7 match. At most 3 are done at once" in text_of(shown)
    assert list(Notice.objects.filter(status="set_aside").order_by("id").values_list("notice_id", flat=True)) == [
        *("n0", "n1", "n2"),
    ]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("", "Nothing was done."),
        (",".join(map(str, range(1, 100_001))), "Nothing was done."),
        ("1;DROP TABLE x", "Nothing was done."),
        ("x,y", "Nothing was done."),
        (str(2**70), "0 done, 1 refused"),
    ],
    ids=range(5),
)
def test_too_many_or_no_keys_at_all_do_nothing_and_say_so(notices: list[Notice], chosen: str, said: str) -> None:
    browser = at_desk("Operations")

    answer = browser.post(
        f"{NOTICES}bulk-set-aside/", {"chosen": chosen, "token": str(uuid.uuid4()), "reason": "x"}, follow=True
    )

    assert answer.status_code == 200
    assert said in text_of(answer)
    assert not Notice.objects.filter(status="set_aside").exists()


def test_keys_that_cannot_be_any_are_no_error(notices: list[Notice]) -> None:
    browser = at_desk("Operations")
    for address, action, key in (
        ("/admin/payments/attempt/unknown/", "bulk-ask", "nonsense"),
        (NOTICES, "bulk-set-aside", "' OR 1=1"),
        (ALERTS, "bulk-mark-seen", "x"),
    ):
        answer = choose(browser, address, action, [key])
        assert answer.status_code in (200, 302), address


def test_a_reason_is_asked_for_and_holds_no_card_number(notices: list[Notice]) -> None:
    browser = at_desk("Operations")
    shown = choose(browser, NOTICES, "bulk-set-aside", [notices[0].pk])

    for reason in ("", "card 4111 1111 1111 1111"):
        answer = confirm(browser, f"{NOTICES}bulk-set-aside/", shown, reason=reason)
        assert answer.status_code == 200
        assert "4111 1111" not in answer.content.decode()
    assert not BulkRun.objects.exists()
    assert Notice.objects.get(pk=notices[0].pk).status == "unmatched"


@pytest.mark.parametrize("role", ["Read-only", "Finance", "Risk", "Developer support"])
def test_whoever_may_only_look_is_offered_nothing_and_kept_out(notices: list[Notice], role: str) -> None:
    browser = at_desk(role)

    assert "bulk-set-aside" not in browser.get(NOTICES).content.decode()
    choose(browser, NOTICES, "bulk-set-aside", [notices[0].pk])
    refused = browser.post(f"{NOTICES}bulk-set-aside/", {"chosen": notices[0].pk, "token": uuid.uuid4(), "reason": "x"})

    assert refused.status_code == 403
    assert Notice.objects.get(pk=notices[0].pk).status == "unmatched"


def test_a_report_is_its_owners_and_can_be_taken_away(notices: list[Notice]) -> None:
    browser = at_desk("Operations")
    shown = choose(browser, NOTICES, "bulk-set-aside", [notice.pk for notice in notices[:3]])
    report = confirm(browser, f"{NOTICES}bulk-set-aside/", shown, reason="test")["Location"]

    rows = list(csv.reader(io.StringIO(browser.get(f"{report}csv/").getvalue().decode())))

    assert rows[0] == ["row", "done", "what came of it"]
    assert ["'=1+1", "yes", "Set aside."] in rows
    other = at_desk("administrator")
    assert other.get(report).status_code == 404
    assert other.get(f"{report}csv/").status_code == 404


def test_what_gateways_and_merchants_write_is_shown_as_text(notices: list[Notice]) -> None:
    browser = at_desk("Operations")
    shown = choose(browser, NOTICES, "bulk-set-aside", [notice.pk for notice in notices[:3]])
    report = confirm(browser, f"{NOTICES}bulk-set-aside/", shown, reason="<b>bold</b>")["Location"]

    for html in (page.content.decode() for page in (browser.get(NOTICES), shown, browser.get(report))):
        assert '<script>alert("x")' not in html
        assert "<b>bold" not in html
    assert "&lt;script&gt;alert(" in shown.content.decode()


def test_when_time_is_over_the_rest_is_left_and_named(notices: list[Notice], monkeypatch: pytest.MonkeyPatch) -> None:
    browser = at_desk("Operations")
    shown = choose(browser, NOTICES, "bulk-set-aside", [notice.pk for notice in notices[:3]])
    monkeypatch.setattr(bulk.policy, "BULK_SECONDS", -1.0)

    report = confirm(browser, f"{NOTICES}bulk-set-aside/", shown, reason="slow")["Location"]

    assert "0 done, 3 refused" in text_of(browser.get(report))
    assert "Was not reached in time" in text_of(browser.get(report))


def test_alerts_are_acknowledged_together(db: None) -> None:
    for number in range(3):
        raise_alert(kind="test", object_id=str(number), message="Look here")
    browser = at_desk("Operations")
    shown = choose(browser, ALERTS, "bulk-mark-seen", list(Alert.objects.values_list("pk", flat=True)))

    confirm(browser, f"{ALERTS}bulk-mark-seen/", shown)

    assert set(Alert.objects.values_list("acknowledged_by__username", flat=True)) == {"a Operations"}


def test_the_preview_takes_as_many_queries_for_many_rows_as_for_one(
    gateways: dict[str, Gateway], notices: list[Notice]
) -> None:
    browser = at_desk("Operations")
    choose(browser, NOTICES, "bulk-set-aside", [notices[0].pk])

    one = queries_of(lambda: choose(browser, NOTICES, "bulk-set-aside", [notices[0].pk]))
    many = queries_of(lambda: choose(browser, NOTICES, "bulk-set-aside", [notice.pk for notice in notices[:3]]))

    assert many == one
    assert policy.BULK_ROWS <= 200
