"""What is measured, and how?

    make bench                         how fast is a payment: everything, about three minutes
    python -m bench --seconds 5        shorter
    python -m bench resilience         what a merchant notices when notices pour in, or Redis hangs or is gone

The platform runs with the processes of `make run`, client and simulated gateways on the same machine.
"""

import argparse
from typing import Protocol

from bench import resilience, throughput
from bench.installation import Installation, installation


class Scene(Protocol):
    """What is measured in one go."""

    def measure(self, installed: Installation, *, seconds: float, runs: int) -> None:
        """Measure, and print the table."""


SCENES: dict[str, Scene] = {"throughput": throughput, "resilience": resilience}


def main() -> None:
    """Start a platform and measure it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", nargs="?", choices=SCENES, default="throughput")
    parser.add_argument("--seconds", type=float, default=10, help="how long each figure is measured")
    parser.add_argument("--runs", type=int, default=3, help="how often")
    options = parser.parse_args()
    with installation() as installed:
        SCENES[options.scene].measure(installed, seconds=options.seconds, runs=options.runs)


if __name__ == "__main__":
    main()
