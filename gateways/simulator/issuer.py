"""Will the card holder's bank say yes? Test card numbers as merchants know them, and the other two profiles."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """What the issuer will say: nothing but yes when `decline` is empty."""

    decline: str = ""
    is_challenge: bool = False  # said once the card holder has proved who they are
    is_on_inquiry: bool = False  # said when somebody asks


@dataclass(frozen=True)
class TestCard:
    """A card number with a known fate."""

    number: str
    meaning: str
    verdict: Verdict = Verdict()


TEST_CARDS = (
    TestCard("4242424242424242", "Succeeds (Visa); so does any other valid number"),
    TestCard("5555555555554444", "Succeeds (Mastercard)"),
    TestCard("378282246310005", "Succeeds (American Express)"),
    TestCard("4000000000000002", "Declined, no reason given", Verdict("do_not_honor")),
    TestCard("4000000000009995", "Declined: insufficient funds", Verdict("insufficient_funds")),
    TestCard("4000000000009987", "Declined: lost card", Verdict("lost_card")),
    TestCard("4000000000009979", "Declined: stolen card", Verdict("stolen_card")),
    TestCard("4000000000000069", "Declined: expired card", Verdict("expired_card")),
    TestCard("4000000000000127", "Declined: incorrect CVC", Verdict("incorrect_cvc")),
    TestCard("4000000000000119", "Declined: processing error, may be tried elsewhere", Verdict("processing_error")),
    TestCard("4000002500003155", "3-D Secure: the card holder approves or fails on a page", Verdict(is_challenge=True)),
    TestCard("4000000000000259", "Succeeds, and is disputed later"),
)
_BY_NUMBER: Mapping[str, Verdict] = {card.number: card.verdict for card in TEST_CARDS}
_BY_AMOUNT: Mapping[int, Verdict] = {
    1: Verdict("do_not_honor"),
    2: Verdict("insufficient_funds"),
    24: Verdict(is_on_inquiry=True),
}


def judge(profile: str, card_number: str, amount_minor: int) -> Verdict:
    """What the issuer says to a charge of so many minor units, under a profile of `settings.PROFILES`."""
    if profile == "always_yes":
        return Verdict()
    if profile == "by_amount":
        return _BY_AMOUNT.get(amount_minor, Verdict())
    if not is_luhn_valid(card_number):
        return Verdict("invalid_card")
    return _BY_NUMBER.get(card_number, Verdict())


def is_luhn_valid(number: str) -> bool:
    """Whether the check digit fits (ISO/IEC 7812-1, annex B). `number` is ASCII digits."""
    digits = [int(digit) for digit in reversed(number)]
    return sum(digits[::2]) % 10 == -sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2]) % 10
