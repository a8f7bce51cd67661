"""How is the simulator started? `python -m gateways.simulator --config PATH`; see `settings` for the file.

The first line on standard output is a JSON object with the addresses, so that whoever asked for port 0 learns them.
"""

import argparse
import asyncio
import json
import signal
from pathlib import Path

from gateways.simulator.book import Book
from gateways.simulator.control import ControlServer
from gateways.simulator.house import House, bound
from gateways.simulator.settings import Config


async def serve(config: Config) -> None:
    """Run until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    # The control port is taken first, as the gateways send card holders there, and opened last: it says "ready".
    control_socket = bound(config.control_host, config.control_port)
    host, port = control_socket.getsockname()[:2]
    control_url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    house = House(Book(config.book), host=config.control_host, control_url=control_url, seed=config.seed)
    control = ControlServer(house, control_socket)
    try:
        for settings in config.gateways:
            await house.add(settings)
        await control.start()
        urls = {code: gateway.url for code, gateway in house.gateways.items()}
        print(json.dumps({"control": control_url, "gateways": urls}), flush=True)
        await stopped.wait()
    finally:
        await control.stop()
        await house.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m gateways.simulator", description="Pretend payment gateways.")
    parser.add_argument("--config", type=Path, required=True, help="path of the JSON configuration file")
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(Config.parse(json.loads(arguments.config.read_bytes()))))
    except (OSError, ValueError) as refusal:
        parser.error(f"{arguments.config}: {refusal}")


if __name__ == "__main__":
    main()
