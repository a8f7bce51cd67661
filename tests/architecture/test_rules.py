"""Do the rules hold that no type checker knows? Read from the source itself."""

import ast
import importlib
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pytest
from django.conf import settings
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from checkout.celery import app

ROOT = Path(settings.BASE_DIR)
PACKAGES = ("checkout", "merchants", "gateways", "ledger", "payments")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "core", "manager", "handlers"}
NOT_FOR_SERVICES = {"celery", "rest_framework", "aiohttp", "httpx", "requests"}
NOT_FOR_SERVICES |= {f"django.{name}" for name in ("http", "forms", "shortcuts", "views", "urls", "contrib.admin")}


def sources(*, tests: bool = False) -> Iterator[tuple[Path, ast.Module]]:
    """Every module of the project by its path below the root, with its syntax tree."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if "migrations" not in relative.parts and (tests or "tests" not in relative.parts):
                yield relative, ast.parse(path.read_text())


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def deferred_names() -> set[str]:
    """The names of tasks that `defer` or `ring` is called with; a constant is looked up in its module."""
    names = set()
    for path, tree in sources():
        for node in ast.walk(tree):
            is_call = (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("defer", "ring")
            )
            if not is_call or path == Path("checkout/kit/defer.py"):
                continue
            (argument,) = node.args
            if isinstance(argument, ast.Constant):
                names.add(argument.value)
            else:
                dotted = ast.unparse(argument).split(".")
                names.add(reduce(getattr, dotted, importlib.import_module(module_name(path))))
    return names


def test_every_deferred_name_is_a_task() -> None:
    app.loader.import_default_modules()
    names = deferred_names()
    assert names >= {"payments.run_due", "payments.apply_notices"}
    assert names <= app.tasks.keys()


def test_every_routed_or_scheduled_name_is_a_task() -> None:
    app.loader.import_default_modules()
    scheduled = {row["task"] for row in settings.CELERY_BEAT_SCHEDULE.values()}
    assert scheduled | settings.CELERY_TASK_ROUTES.keys() <= app.tasks.keys()


def test_no_task_has_a_soft_time_limit() -> None:
    """It would raise between any two instructions, also half-way out of a transaction: then every later one of this
    process runs inside what was never ended. A process over its hard limit is killed, and that is safe."""
    app.loader.import_default_modules()
    assert app.conf.task_soft_time_limit is None
    assert [name for name, task in app.tasks.items() if task.soft_time_limit] == []
    assert app.conf.task_time_limit


def test_services_know_nothing_of_http_forms_or_celery() -> None:
    found = [
        f"{path}: {name}"
        for path, tree in sources()
        if path.parts[1] in ("services", "services.py")
        for name in imported(tree)
        if any(name == banned or name.startswith(f"{banned}.") for banned in NOT_FOR_SERVICES)
    ]
    assert found == []


def test_a_status_with_a_table_moves_only_by_its_table() -> None:
    """Whoever assigns `.status` in payments, or updates it in a query, goes past the table; notices have none."""
    found = []
    for path, tree in sources():
        if path.parts[0] != "payments":
            continue
        for node in ast.walk(tree):
            assigned = [*getattr(node, "targets", []), getattr(node, "target", None)]
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and any(
                isinstance(target, ast.Attribute) and target.attr == "status" for target in assigned
            ):
                found.append(f"{path}:{node.lineno}")
            is_update = (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update"
            )
            if is_update:
                found += [
                    f"{path}:{node.lineno}"
                    for keyword in node.keywords
                    if keyword.arg == "status" and not ast.unparse(keyword.value).startswith("Notice.Status.")
                ]
    assert found == []


def test_file_names_answer_a_question() -> None:
    assert [str(path) for path, _ in sources(tests=True) if path.stem in FORBIDDEN_NAMES] == []


def test_imports_keep_to_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(cache_dir=None) == EXIT_STATUS_SUCCESS
