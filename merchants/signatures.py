"""How does a merchant know that a webhook is ours? It is signed, as the Standard Webhooks specification says.

HMAC-SHA256 over `id.timestamp.body`, in base64, each signature as `v1,…`; several stand side by side, separated by a
space, while an old secret still holds.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

PREFIX = "whsec_"
_SECRET_BYTES = 32  # the specification asks for 24 to 64
_TOLERANCE_SECONDS = 300


def new_secret() -> str:
    """A fresh secret, `whsec_` and 256 random bits in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature, `v1,…`; the timestamp is in seconds since 1970."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def signed_headers(live_secrets: Iterable[str], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of the specification, with a signature by each secret."""
    signatures = (sign(secret, message_id=message_id, timestamp=timestamp, body=body) for secret in live_secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def is_authentic(secret: str, headers: Mapping[str, str], body: bytes, *, now: float) -> bool:
    """Whether a message is signed with the secret and not older or newer than five minutes. `now` is in seconds.

    Header names are in lower case.
    """
    stamp = headers.get("webhook-timestamp", "")
    if not (stamp.isascii() and stamp.isdecimal()) or abs(int(stamp) - now) > _TOLERANCE_SECONDS:
        return False
    expected = sign(secret, message_id=headers.get("webhook-id", ""), timestamp=int(stamp), body=body)
    return any(
        hmac.compare_digest(expected.encode(), given.encode())
        for given in headers.get("webhook-signature", "").split(" ")
    )
