"""The alert rules for Prometheus, held against a real cluster and run on made-up nights."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import yaml

from daskgmm import GaussianMixture
from daskgmm.monitoring import install
from tests.support.clusters import in_threads
from tests.support.paths import DEPLOY
from tests.support.scraping import scrape

FILE = DEPLOY / "prometheus" / "alerts.yaml"
RULES = {rule["alert"]: rule for rule in yaml.safe_load(FILE.read_text())["groups"][0]["rules"]}
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="Prometheus is not installed"
)


@pytest.fixture(scope="module")
def told():
    """All that the scheduler tells after a fit."""
    with in_threads() as client:
        install(client)
        rows = np.random.default_rng(0).random((99, 2))
        GaussianMixture(2, random_state=0, subsample=None).fit(rows)
        return scrape(client.cluster.scheduler.http_server.port)


@pytest.mark.parametrize("rule", RULES)
def test_rules_name_metrics_labels_and_values_that_there_are(told, rule):
    query = RULES[rule]["expr"]
    names = set(re.findall(r"daskgmm_\w+", query))
    assert names
    assert names <= {name for name, _ in told}
    known = {label for name, labels in told if name in names for label in labels}
    labels = {label for label, _ in known}
    grouped = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", query)
    asked = {label.strip() for one in grouped for label in one.split(",") if label.strip()}
    assert asked <= labels
    shown = re.findall(r"\$labels\.(\w+)", str(RULES[rule]["annotations"]))
    assert set(shown) <= labels
    outcomes = re.findall(r'outcome=~?"([^"]*)"', query)
    assert {one for each in outcomes for one in each.split("|")} <= {
        value for label, value in known if label == "outcome"
    }


def series(name, values, **labels):
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def of_run(run, bound, *, since=0, running=False, k=8):
    """The series of a run, which begins so many minutes after the others."""
    gap = f"_x{since} " if since else ""
    info = {"run": run, "components": k, "covariance": "full"}
    return [
        series("daskgmm_fit_info", f"{gap}1x300", **info),
        series("daskgmm_lower_bound", f"{gap}{bound}x300", run=run),
        series("daskgmm_running", f"{gap}{int(running)}x300", run=run),
        series("daskgmm_iteration", f"{gap}9x300", run=run),
        series("daskgmm_pass_seconds", f"{gap}20x300", run=run),
    ]


CASES = {
    "failed": (
        [series("daskgmm_fits_total", "0x30 1x60", outcome="failed")],
        {"DaskgmmFitFailed": [{"outcome": "failed"}]},
    ),
    "max_iter": (
        [series("daskgmm_fits_total", "2x30 3x60", outcome="max_iter")],
        {"DaskgmmFitNotConverged": [{}]},
    ),
    "good": (
        [
            series("daskgmm_fits_total", "2x30 3x60", outcome="converged"),
            series("daskgmm_fits_total", "0x100", outcome="failed"),
            *of_run("a", -3.0),
            *of_run("b", -3.1, since=60),
            *of_run("c", -5.0, since=60, k=4),
        ],
        {},
    ),
    "stuck": (of_run("a", -3.0, running=True), {"DaskgmmFitStuck": [{"run": "a"}]}),
    "worse": (
        [*of_run("a", -3.0), *of_run("b", -3.3, since=60)],
        {"DaskgmmLowerBoundFell": [{"run": "b", "components": "8", "covariance": "full"}]},
    ),
}


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize("case", CASES)
def test_alerts_are_raised_when_they_should_be_and_no_others(tmp_path, case):
    given, raised = CASES[case]
    expected = [
        {
            "eval_time": "1h25m",
            "alertname": name,
            "exp_alerts": [
                {"exp_labels": rule["labels"] | labels} for labels in raised.get(name, [])
            ],
        }
        for name, rule in RULES.items()
        if name != "DaskgmmNoFit"  # it looks back for longer
    ]
    check(tmp_path, given, expected)


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize("after", ["1x3000", "1x60 _x3000"], ids=["idle", "gone"])
def test_a_night_without_a_fit_is_told(tmp_path, after):
    given = [series("daskgmm_fits_total", f"0x10 {after}", outcome="converged")]
    labels = RULES["DaskgmmNoFit"]["labels"]
    expected = [
        {"eval_time": time, "alertname": "DaskgmmNoFit", "exp_alerts": alerts}
        for time, alerts in (("25h", []), ("29h", [{"exp_labels": labels}]))
    ]
    check(tmp_path, given, expected)


def check(tmp_path, given, expected):
    """Have Prometheus run the rules on series; it compares labels, and texts where they are."""
    shutil.copy(FILE, tmp_path / "alerts.yaml")
    rules = yaml.safe_load(FILE.read_text())
    for rule in rules["groups"][0]["rules"]:
        del rule["annotations"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    case = {"interval": "1m", "input_series": given, "alert_rule_test": expected}
    (tmp_path / "test.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [case]})
    )
    for command in (["check", "rules", "alerts.yaml"], ["test", "rules", "test.yaml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
