"""How does a test begin without the connections of the one before? It throws the sender's event loop away."""

import asyncio

from merchants import sender


def discard_loop() -> None:
    """Close the event loop and its connections: calls in flight are lost, the next one starts afresh."""
    with sender._lock:
        current, sender._current = sender._current, None
    if current is not None:
        asyncio.run_coroutine_threadsafe(_close(current), current.loop)


async def _close(loop: sender._Loop) -> None:
    for session in loop.sessions.values():
        await session.close()
    loop._threads.shutdown(wait=False, cancel_futures=True)
    loop.loop.stop()
