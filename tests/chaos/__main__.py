"""How are rounds run? `python -m tests.chaos --rounds 30 --seed 1 --payments 1000`, or `make chaos`.

Prints one line per round. Exit code 1 if a round left anything doubled, lost, open or different; its evidence stays
under var/chaos, and its seed alone runs it again. `--report FILE` prints the table of a run's figures.
"""

import argparse
import logging
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from checkout.launch.files import ROOT, private_directory
from tests.chaos import results
from tests.chaos.rig import Rig

RUNS = ROOT / "var" / "chaos"


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each further one counts up")
    parser.add_argument("--payments", type=int, default=1000, help="per round")
    parser.add_argument("--keep", action="store_true", help="keep the evidence of clean rounds too")
    parser.add_argument("--report", type=Path, metavar="FILE", help="print the table of a results.jsonl and end")
    arguments = parser.parse_args()
    if arguments.report:
        print(results.table(results.read(arguments.report)))
        return 0
    signal.signal(signal.SIGTERM, _end)
    logging.getLogger("checkout.launch").setLevel(logging.ERROR)
    folder = private_directory(RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}-seed{arguments.seed}")
    return run(folder, rounds=arguments.rounds, seed=arguments.seed, payments=arguments.payments, keep=arguments.keep)


def run(folder: Path, *, rounds: int, seed: int, payments: int, keep: bool) -> int:
    """Run rounds on one platform, one after another; the exit code."""
    failed = []
    with Rig(folder) as rig:
        from tests.chaos.judge import Judge  # only now is there a database to import models for
        from tests.chaos.rounds import configure, play

        configure(rig)
        judge = Judge(rig.book)
        for number in range(rounds):
            evidence = folder / f"round-{number + 1}-seed-{seed + number}"
            result = play(rig, judge, seed=seed + number, payments=payments, folder=evidence)
            result.save(folder / "results.jsonl")
            print(f"round {number + 1}/{rounds}: {result.line()}", flush=True)
            if not result.is_clean:
                failed.append(result.seed)
                print(f"  evidence in {evidence}; again: make chaos ROUNDS=1 SEED={result.seed} PAYMENTS={payments}")
            elif not keep:
                shutil.rmtree(evidence)
    if not (failed or keep):
        shutil.rmtree(folder / "platform")
        rig.book.unlink()
    print(f"figures in {folder / 'results.jsonl'}")
    return 1 if failed else 0


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
