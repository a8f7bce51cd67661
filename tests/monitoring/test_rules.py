"""Do the alerts and the dashboard speak of what there is? Every metric they name is told, every runbook is there."""

import json
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from checkout import metrics

ROOT = Path(settings.BASE_DIR)
RULES = ROOT / "ops" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "ops" / "grafana" / "checkout.json"
NAME = re.compile(r"\bcheckout_[a-z0-9_]+")
LABEL = re.compile(r"(checkout_[a-z0-9_]+)\{([^}]*)\}")


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboard_expressions() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


@pytest.fixture
def told(client, db) -> dict[str, set[str]]:
    """The names that are told, each with its labels, after a request has been timed."""
    metrics.FIGURES.forget()
    client.get("/health/live")
    families = {family.name: family for family in metrics.REGISTRY.collect()}
    names = {name: set(getattr(family, "_labelnames", ())) for name, family in families.items()}
    for sample in families["checkout_request_seconds"].samples:
        names.setdefault(sample.name, set()).update(sample.labels)
    metrics.FIGURES.forget()
    return names


@pytest.mark.parametrize(
    "expression", [*(alert["expr"] for alert in alerts()), *dashboard_expressions()], ids=lambda text: text[:60]
)
def test_every_metric_that_is_asked_for_is_told(expression, told) -> None:
    names = NAME.findall(expression)
    assert names
    assert set(names) <= told.keys()
    for name, conditions in LABEL.findall(expression):
        assert set(re.findall(r"(\w+)\s*[=!]", conditions)) <= told[name]


def test_every_figure_is_looked_at_by_somebody(told) -> None:
    asked = " ".join([*(alert["expr"] for alert in alerts()), *dashboard_expressions()])
    assert {name for name in told if not name.startswith("checkout_request")} <= set(NAME.findall(asked))


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_has_words_a_severity_and_a_runbook(alert) -> None:
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert alert["annotations"]["summary"]
    page = (ROOT / alert["annotations"]["runbook"]).read_text()
    assert all(f"**{part}**" in page for part in ("What it means.", "What to look at.", "What to do."))


def test_every_runbook_belongs_to_an_alert_and_links_to_pages_that_exist() -> None:
    folder = ROOT / "docs" / "runbooks"
    pages = {f"docs/runbooks/{path.name}" for path in folder.glob("*.md")}
    assert pages == {alert["annotations"]["runbook"] for alert in alerts()}
    for path in folder.glob("*.md"):
        assert [link for link in re.findall(r"\]\(([^)]+)\)", path.read_text()) if not (folder / link).exists()] == []


def test_prometheus_accepts_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        warnings.warn("promtool is not on PATH: the rules were not checked by Prometheus itself", stacklevel=1)
        pytest.skip("promtool is not on PATH (Debian: apt-get install prometheus)")
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
