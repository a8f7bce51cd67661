"""Does somebody find their own filters again, and nobody else's, and nothing in them that must not be kept?"""

from typing import Any

import pytest

from checkout.kit.models import SavedFilter, User
from checkout.settings import policy
from tests.desk import at_desk, browser_of, queries_of, text_of

LIST = "/admin/payments/payment/"
SAVE = f"{LIST}filters/save/"


def test_a_filter_is_saved_shown_to_its_owner_alone_and_forgotten(db: None) -> None:
    olivia, finance = at_desk("Operations"), at_desk("Finance")

    answer = olivia.post(SAVE, {"name": "Big ones", "query": "status__exact=captured&job=processing"}, follow=True)

    saved = SavedFilter.objects.get()
    assert saved.query == "job=processing&status__exact=captured"
    assert "Saved as “Big ones”" in text_of(answer)
    assert "?job=processing&amp;status__exact=captured" in olivia.get(LIST).content.decode()
    assert "Big ones" not in text_of(finance.get(LIST))
    assert "Big ones" not in text_of(olivia.get("/admin/payments/attempt/"))
    forget = f"{LIST}filters/{saved.pk}/forget/"
    assert finance.post(forget).status_code == 404
    assert olivia.get(forget).status_code == 405
    assert SavedFilter.objects.exists()
    olivia.post(forget)
    assert not SavedFilter.objects.exists()


def test_saving_under_the_same_name_replaces_what_was_there(db: None) -> None:
    browser = at_desk("Operations")

    for status in ("captured", "declined"):
        browser.post(SAVE, {"name": "Mine", "query": f"status__exact={status}"})

    assert SavedFilter.objects.get().query == "status__exact=declined"


def test_only_what_the_list_allows_is_kept(db: None) -> None:
    at_desk("Operations").post(
        SAVE, {"name": "Probe", "query": "status__exact=captured&card__number__startswith=4&p=3&q=order-1&o=1"}
    )

    assert SavedFilter.objects.get().query == "q=order-1&status__exact=captured"


@pytest.mark.parametrize(
    ("name", "query", "words"),
    [
        ("Card", "q=4111111111111111", "card or account number"),
        ("4111 1111 1111 1111", "status__exact=captured", "card or account number"),
        ("Nothing", "", "Choose a filter"),
        ("Foreign", "card__number=1", "Choose a filter"),
        ("", "status__exact=captured", "Give it a name"),
        ("x" * 41, "status__exact=captured", "Give it a name"),
        ("a\u202eb", "status__exact=captured", "Give it a name"),
        ("Long", "q=" + "x" * 600, "cannot be saved"),
        ("Zero", "q=%00", "cannot be saved"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(db: None, name: str, query: str, words: str) -> None:
    answer = at_desk("Operations").post(SAVE, {"name": name, "query": query}, follow=True)

    assert words in text_of(answer)
    assert "4111111111111111" not in answer.content.decode()
    assert not SavedFilter.objects.exists()


def test_a_person_keeps_a_bounded_number_for_a_list(db: None) -> None:
    browser = at_desk("Operations")
    for number in range(policy.SAVED_FILTERS):
        browser.post(SAVE, {"name": f"no. {number}", "query": "status__exact=captured"})

    refused = browser.post(SAVE, {"name": "one more", "query": "status__exact=captured"}, follow=True)
    browser.post(SAVE, {"name": "no. 3", "query": "status__exact=declined"})

    assert "Forget one first." in text_of(refused)
    assert SavedFilter.objects.count() == policy.SAVED_FILTERS
    assert SavedFilter.objects.get(name="no. 3").query == "status__exact=declined"


def test_whoever_may_not_see_a_list_keeps_nothing_for_it(db: None) -> None:
    browser = browser_of(User.objects.create_user("nobody", is_staff=True))

    assert browser.post(SAVE, {"name": "Mine", "query": "status__exact=captured"}).status_code == 403


def test_a_name_is_shown_as_text(db: None) -> None:
    browser = at_desk("Operations")
    browser.post(SAVE, {"name": "<img src=x onerror=alert(1)>", "query": "status__exact=captured"})

    html = browser.get(LIST).content.decode()

    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_a_list_takes_one_query_for_all_of_them(db: None) -> None:
    browser: Any = at_desk("Operations")
    browser.get(LIST)
    before = queries_of(lambda: browser.get(LIST))

    for number in range(5):
        browser.post(SAVE, {"name": f"no. {number}", "query": "status__exact=captured"})

    browser.get(LIST)
    assert queries_of(lambda: browser.get(LIST)) == before
