"""Can somebody who did not start the platform find it and work on it?"""

import json
from pathlib import Path

import pytest

from checkout.launch.errors import LaunchError
from checkout.launch.keys import Keyring
from checkout.launch.running import Running


@pytest.fixture
def run_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a platform wrote down, its secrets beside it; the environment has none."""
    for name in Keyring(tmp_path / "secrets.json").complete({}):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "run.json"
    facts = {"database_url": "postgres://nobody:none@127.0.0.1:1/none", "redis_url": "redis://127.0.0.1:1/0"}
    path.write_text(json.dumps(facts))
    return path


def test_where_nothing_runs_that_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="make run"):
        Running(tmp_path / "run.json")


def test_a_management_command_gets_the_platforms_own_secrets_and_addresses(run_file: Path) -> None:
    program = (
        "from django.conf import settings as s;"
        "print(s.SECRET_KEY, s.FERNET_KEYS[0], s.DATABASES['default']['PORT'], s.REDIS_URL, s.SETTINGS_MODULE)"
    )

    done = Running(run_file).manage(["shell", "--no-imports", "--command", program], capture=True)

    kept = json.loads(run_file.with_name("secrets.json").read_text())
    expected = [kept["SECRET_KEY"], kept["FERNET_KEYS"], "1", "redis://127.0.0.1:1/0", "checkout.settings.local"]
    assert done.stdout.split()[-5:] == expected, done.stderr


def test_what_a_command_says_at_its_end_is_passed_on(run_file: Path) -> None:
    done = Running(run_file).manage(["no_such_command"], capture=True)

    assert done.returncode != 0
    assert "no_such_command" in done.stderr
