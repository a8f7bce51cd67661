"""Who asks? One client, for all that the platform and the gateway behind it can be asked over HTTP."""

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from bench.installation import Installation

CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvv": "123"}


class Client:
    """A merchant's software, a gateway's, and whoever steers the simulator."""

    def __init__(self, session: aiohttp.ClientSession, installed: Installation, gateway_url: str) -> None:
        self.session = session
        self.installed = installed
        self.gateway_url = gateway_url

    async def create(self, prefer: str) -> tuple[int, dict[str, Any]]:
        """Create and confirm a payment; returns the HTTP status and the document, whatever they are."""
        body = {"amount": 1099, "currency": "EUR", "country": "DE", "payment_method": {"type": "card", "card": CARD}}
        headers = {**self._headers(), "Idempotency-Key": uuid.uuid4().hex, "Prefer": prefer}
        async with self.session.post(f"{self.installed.api_url}/v1/payments", json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def pay(self) -> None:
        """A payment through the platform, until its outcome is known."""
        status, payment = await self.create("wait=20")
        assert (status, payment["status"]) == (201, "captured"), payment

    async def accept(self) -> str:
        """A payment that is only accepted; its outcome follows. Returns its id."""
        status, payment = await self.create("respond-async")
        assert status == 202, payment
        return str(payment["id"])

    async def payment(self, payment_id: str) -> dict[str, Any]:
        """A payment as it is now."""
        url, headers = f"{self.installed.api_url}/v1/payments/{payment_id}", self._headers()
        async with self.session.get(url, headers=headers) as answer:
            payment: dict[str, Any] = await answer.json()
            assert answer.status == 200, payment
            return payment

    async def charge(self) -> None:
        """The same charge at the gateway itself."""
        reference = uuid.uuid4().hex
        body = {"reference": reference, "amount": 1099, "currency": "EUR", "capture": True, "card": CARD}
        headers = {"Authorization": f"Bearer {self.installed.north['api_key']}", "Idempotency-Key": reference}
        async with self.session.post(f"{self.gateway_url}/v1/charges", json=body, headers=headers) as answer:
            assert (await answer.json())["status"] == "approved"

    async def notify(self, reference: str) -> None:
        """A new notice of the gateway: it has approved what we know by that reference."""
        charge: dict[str, Any] = {"id": "ch_1", "object": "charge", "reference": reference, "status": "approved"}
        charge |= {"decline": None, "amount": 1099, "currency": "EUR", "captured": True}
        body = json.dumps({"id": uuid.uuid4().hex, "type": "charge.approved", "created": 1, "data": charge}).encode()
        now, secret = int(time.time()), self.installed.north["notice_secret"].encode()
        signature = hmac.digest(secret, f"{now}.".encode() + body, hashlib.sha256).hex()
        headers = {"Content-Type": "application/json", "Simulator-Signature": f"t={now},v1={signature}"}
        url = f"{self.installed.api_url}/v1/notices/north"
        async with self.session.post(url, data=body, headers=headers) as answer:
            assert (answer.status, await answer.json()) == (200, {"received": 1})

    async def quiet(self) -> None:
        """Wait until nothing is due any more, so that one figure's backlog does not slow the next."""
        calm = 0
        while calm < 5:
            await asyncio.sleep(0.5)
            async with self.session.get(f"{self.installed.api_url}/health/ready") as answer:
                calm = calm + 1 if (await answer.json())["oldest_due_seconds"] == 0 else 0

    async def steer(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """What the simulator's control port answers."""
        async with self.session.request(method, self.installed.control_url + path, json=body) as answer:
            return await answer.json()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.installed.api_key}"}


@asynccontextmanager
async def opened(installed: Installation, **north: Any) -> AsyncIterator[Client]:
    """A client of a running platform, with settings for the simulated gateway that it charges at."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        client = Client(session, installed, "")
        client.gateway_url = (await client.steer("PATCH", "/gateways/north", north))["url"]
        yield client
