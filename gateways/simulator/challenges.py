"""What does the card holder see when the bank asks who they are? One page, on which they may also fail (3-D Secure)."""

import html
import re
from decimal import Decimal
from pathlib import Path
from string import Template

from gateways.simulator.calls import APPROVED, DECLINED, PENDING, Challenge, Operation
from gateways.simulator.money import decimals_of

_PAGE = Template(Path(__file__).with_name("challenge.html").read_text())
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?([/?#][!-~]*)?", re.ASCII)
_LONGEST_ADDRESS = 2000
_OUTCOMES = {
    PENDING: ("Is it you?", "The bank that issued this card wants to know before it decides."),
    APPROVED: ("Approved", "The bank has approved. There is nothing more to do here."),
    DECLINED: ("Authentication failed", "The bank has declined. Nothing was charged."),
}
_CANCELED = ("Canceled", "The payment was called off meanwhile. Nothing was charged.")
_BUTTONS = """
    <form method="post">
      <button class="approve" name="decision" value="approve">Approve</button>
      <button class="fail" name="decision" value="fail">Fail</button>
    </form>
    <p class="small">No real bank and no real money: choose what the bank shall find out.</p>"""


def is_web_address(text: str) -> bool:
    """Whether it is an http or https address of printable ASCII (RFC 3986), at most 2000 characters long."""
    return len(text) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(text) is not None


def page(gateway_name: str, charge: Operation, challenge: Challenge) -> str:
    """The page of one challenge as HTML: two buttons, or what came of it."""
    title, explanation = _OUTCOMES.get(charge.status, _CANCELED)
    words = {
        "gateway": gateway_name,
        "title": title,
        "explanation": explanation,
        "amount": _amount(charge),
        "card": f"•••• {challenge.last_digits}",
    }
    ending = _BUTTONS if charge.needs_action else ""
    if not charge.needs_action and challenge.return_url:
        ending = f'\n    <p><a href="{html.escape(challenge.return_url)}">Back to the shop</a></p>'
    return _PAGE.substitute({name: html.escape(word) for name, word in words.items()}, ending=ending)


def _amount(charge: Operation) -> str:
    if charge.amount_minor == 0:
        return "Card check only"
    major = Decimal(charge.amount_minor).scaleb(-decimals_of(charge.currency))
    return f"{major:,f} {charge.currency}"
