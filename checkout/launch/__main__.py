"""`python -m checkout.launch run | test | demo | code | manage | alone | secrets`; what follows `--` is passed on."""

import argparse
import sys
from pathlib import Path

from checkout.launch import keys
from checkout.launch.alone import alone
from checkout.launch.codes import codes
from checkout.launch.demo import demo
from checkout.launch.errors import LaunchError
from checkout.launch.run import run
from checkout.launch.running import RUN_FILE, Running
from checkout.launch.testing import test


def main() -> int:
    """Do what the command line says and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m checkout.launch", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="bring everything up on this machine, with a demo merchant and simulated gateways")
    tests = commands.add_parser("test", help="run pytest against a private PostgreSQL and Redis")
    tests.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="for pytest, after --")
    stories = commands.add_parser("demo", help="tell a story of payments on the platform that runs")
    apps = commands.add_parser("code", help="print the one-time codes of the demo's people on the platform that runs")
    management = commands.add_parser("manage", help="run a management command on the platform that runs")
    management.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="for manage.py, after --")
    single = commands.add_parser("alone", help="run a management command on a private database, thrown away afterwards")
    single.add_argument("arguments", nargs="+", metavar="ARGUMENT", help="for manage.py, after --")
    for command in (stories, apps, management):
        command.add_argument("--run-file", type=Path, default=RUN_FILE, help="where the platform says what it is")
    commands.add_parser("secrets", help="print new secrets in the form of a .env file")
    arguments = parser.parse_args()
    try:
        if arguments.command == "run":
            run()
        elif arguments.command == "test":
            return test(arguments.arguments)
        elif arguments.command == "alone":
            return alone(arguments.arguments)
        elif arguments.command == "demo":
            return demo(Running(arguments.run_file))
        elif arguments.command == "code":
            return codes(Running(arguments.run_file))
        elif arguments.command == "manage":
            return Running(arguments.run_file).manage(arguments.arguments).returncode
        else:
            print("\n".join(f"{name}={value}" for name, value in keys.fresh().items()))
    except LaunchError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
