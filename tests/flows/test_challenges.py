"""Does a customer who has to prove who they are come back to a payment that knows it?"""

from collections.abc import Callable

import httpx
import pytest

from tests.flows.shop import CHALLENGED, Shop


@pytest.mark.parametrize("dialect", ["json", "xml"])
@pytest.mark.parametrize(("decision", "status"), [("approve", "captured"), ("fail", "declined")])
def test_the_customers_answer_to_a_challenge_decides(
    open_shop: Callable[..., Shop], dialect: str, decision: str, status: str
) -> None:
    shop = open_shop(dialect, "json")
    answer = shop.pay(number=CHALLENGED)
    payment = answer.json()
    assert payment["status"] == "requires_action", answer.text
    url = payment["next_action"]["url"]
    assert shop.charges(payment["id"])[0]["status"] == "pending"

    with httpx.Client(timeout=10) as browser:
        assert browser.get(url).status_code == 200
        decided = browser.post(url, data={"decision": decision})
        assert decided.status_code == 303
        back = browser.get(decided.headers["Location"])
    assert (back.status_code, back.url.path.startswith("/pay/return/")) == (200, True)
    ended = shop.ends(payment["id"], status, within=10)
    assert ended["next_action"] is None
    assert shop.attempts(payment["id"])[0] == ("first", "authorize", {"captured": "succeeded"}.get(status, status))
