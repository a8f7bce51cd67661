"""What would the apps of the demo people show now? They have none: their codes are computed here (RFC 6238)."""

import base64
import hmac
import struct
import time

from checkout.launch.errors import LaunchError
from checkout.launch.running import Running

STEP_SECONDS = 30


def codes(running: Running) -> int:
    """Print the code of each of the demo's people, and for how long it is good; returns 0."""
    logins = [login for login in running.facts.get("logins", {}).values() if login.get("secret")]
    if not logins:
        raise LaunchError("The demo's people set up apps of their own here; only those know the codes.")
    now = time.time()
    for login in logins:
        print(f"  {login['username']:<12}{code_at(login['secret'], now)}")
    print(f"  good for {STEP_SECONDS - int(now) % STEP_SECONDS} seconds, each once")
    return 0


def code_at(secret: str, seconds: float) -> str:
    """The six digits for a base32 secret at a time in seconds since 1970."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(seconds) // STEP_SECONDS), "sha1")
    at = digest[-1] & 15
    number: int = struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"
