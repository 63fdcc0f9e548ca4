"""Alerts and the dashboard, against promtool and against what a running locumd really serves.

Every metric that a rule or a panel names has to be served, every alert has to have a case in which it
fires and one in which it is silent, and a runbook. The cases that fire are written here, as data.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "foreign"))

from installation import install  # noqa: E402
from stage import Locumd, tell  # noqa: E402

RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
SILENT = ROOT / "deploy" / "prometheus" / "alerts_test.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "locum.json"
# Whom an alert is for: somebody now, or somebody in the morning.
FOR = {"page", "ticket"}
# Made by Prometheus itself, for every target.
OF_PROMETHEUS = {"up"}
# What a histogram is served as.
SUFFIXES = ("_bucket", "_sum", "_count")
METRIC = re.compile(r"\b((?:locum|grpc|process)_[a-z_]+|up)\b(?=\s*[{\[])")

ISSUE = 'grpc_service="locum.broker.v1.TokenService",grpc_method="IssueToken"'
REVOKE = 'grpc_service="locum.admin.v1.RevocationService",grpc_method="Revoke"'
# Alert: when it has to fire, and what makes it (a series without its usual labels, and its values).
FIRING: dict[str, tuple[str, list[tuple[str, str, str]]]] = {
    "LocumDown": ("5m", [("up", "", "0x20")]),
    "LocumRestarting": ("10m", [("process_start_time_seconds", "", "1+100x4 500x20")]),
    "LocumReaperBehind": ("5m", [("locum_reaper_lag_seconds", "", "3x20")]),
    "LocumCommitSlow": (
        "20m",
        [
            ("locum_journal_commit_seconds_bucket", f'le="{le}"', f"0+{rate}x60")
            for le, rate in (("0.5", 900), ("1.0", 1000), ("+Inf", 1000))
        ],
    ),
    "LocumRevocationSlow": (
        "10m",
        [
            ("grpc_server_handling_seconds_bucket", f'{REVOKE},le="{le}"', f"0+{rate}x60")
            for le, rate in (("2.5", 0), ("10.0", 10), ("+Inf", 10))
        ],
    ),
    "LocumDegraded": ("5m", [("locum_warnings", "", "1x20")]),
    "LocumInternalErrors": ("10m", [("grpc_server_handled_total", f'{ISSUE},grpc_code="INTERNAL"', "0+1x60")]),
    "LocumOverloaded": (
        "20m",
        [
            ("grpc_server_handled_total", f'{ISSUE},grpc_code="{code}"', f"0+{rate}x60")
            for code, rate in (("OK", 90), ("RESOURCE_EXHAUSTED", 10))
        ],
    ),
    "LocumDenialsSurge": (
        "100m",
        [("locum_token_requests_total", 'result="denied",reason="POLICY_DENIED"', "0+3x140 423+600x80")],
    ),
    "LocumHandshakesFail": ("20m", [("locum_connections_total", 'result="handshake_failed"', "0+60x60")]),
    "LocumConnectionsRefused": ("20m", [("locum_connections_total", 'result="accept_failed"', "0+1x60")]),
    "LocumArchiveBehind": ("20m", [("locum_archive_behind_events", "", "0 1200+10x60")]),
    "LocumHistoryWitnessed": ("12m", [("locum_feed_history_witnesses_total", "", "0x20 1x40")]),
    "LocumFollowersCut": ("40m", [("locum_feed_followers_cut_total", "", "0+1x100")]),
    "LocumTracesLost": ("30m", [("locum_spans_total", 'result="given_up"', "0+60x80")]),
    "LocumCertificateExpires": ("10m", [("locum_certificate_expiry_timestamp_seconds", "", "90000x40")]),
}

Problems = list[str]


def rules() -> dict[str, dict]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def firing_cases(names: Iterable[str], rule_file: Path) -> str:
    """A file for promtool in which each of these alerts has to fire."""
    tests = []
    for name in names:
        at, series = FIRING[name]
        labels = 'job="locum",instance="a"'
        inputs = [
            {"series": f"{metric}{{{labels}{',' if more else ''}{more}}}", "values": values}
            for metric, more, values in series
        ]
        tests.append({"name": name, "interval": "30s", "input_series": inputs, "promql_expr_test": [
            {"expr": f'count(ALERTS{{alertname="{name}",alertstate="firing",instance="a"}})', "eval_time": at,
             "exp_samples": [{"labels": "{}", "value": 1}]},
        ]})  # fmt: skip
    return yaml.safe_dump({"rule_files": [str(rule_file)], "evaluation_interval": "30s", "tests": tests})


def deaf(promtool: Path, folder: Path, name: str) -> bool:
    """Whether the case of this alert fails where the alert never fires."""
    content = yaml.safe_load(RULES.read_text())
    for group in content["groups"]:
        for rule in group["rules"]:
            if rule["alert"] == name:
                rule["expr"] = "vector(0) > 1"
    (folder / "deaf.yaml").write_text(yaml.safe_dump(content))
    (folder / "case.yaml").write_text(firing_cases([name], folder / "deaf.yaml"))
    return bool(ran(promtool, "test", "rules", folder / "case.yaml"))


def by_promtool(promtool: Path, folder: Path, alerts: dict[str, dict]) -> Problems:
    problems = ran(promtool, "check", "rules", RULES) + ran(promtool, "test", "rules", SILENT)
    cases = folder / "firing.yaml"
    cases.write_text(firing_cases(FIRING, RULES))
    problems += ran(promtool, "test", "rules", cases)
    tested = yaml.safe_load(SILENT.read_text())["tests"]
    silent = {case["alertname"] for test in tested for case in test["alert_rule_test"]}
    for what, named_by_cases in (("fires", set(FIRING)), ("is silent", silent)):
        problems += [f"{name} has no case in which it {what}" for name in alerts.keys() - named_by_cases]
    problems += [f"nobody notices a {name} that never fires" for name in FIRING if not deaf(promtool, folder, name)]
    return problems


def ran(*command: str | Path) -> Problems:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [f"{command[1]} {command[2]}: {done.stdout}{done.stderr}"] if done.returncode else []


def served(locumd: Path, folder: Path) -> set[str]:
    """The names of the metrics that a locumd serves after a story."""
    process = Locumd(locumd, install(folder / "locum"))
    try:
        addresses = process.listening()
        if tell(folder / "locum", addresses):
            raise SystemExit("the story does not hold")
        with urllib.request.urlopen(f"http://{addresses['metrics']}/metrics", timeout=20) as answer:  # noqa: S310
            text = answer.read().decode()
    finally:
        process.stop()
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        names |= {name + suffix for suffix in SUFFIXES} if kind == "histogram" else {name}
    return names


def named(expressions: dict[str, str], names: set[str]) -> Problems:
    problems = []
    for where, expression in expressions.items():
        metrics = set(METRIC.findall(expression))
        if not metrics:
            problems.append(f"{where} names no metric: {expression}")
        problems += [f"{where}: nobody serves `{metric}`" for metric in sorted(metrics - names - OF_PROMETHEUS)]
    return problems


def panels(dashboard: dict) -> dict[str, str]:
    """Every query of the dashboard, variables put in."""
    found = {}
    for panel in dashboard["panels"]:
        for at, target in enumerate(panel.get("targets", [])):
            expression = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            found[f"panel `{panel['title']}` {at}"] = expression
    return found


def of_dashboard(promtool: Path, folder: Path) -> Problems:
    """Grafana's own rules that a file can break, and each query parsed by promtool."""
    dashboard = json.loads(DASHBOARD.read_text())
    queries = panels(dashboard)
    ids = [panel["id"] for panel in dashboard["panels"]]
    problems = [] if len(ids) == len(set(ids)) and queries else ["panels without ids of their own, or none"]
    places = [tuple(panel["gridPos"][key] for key in "xywh") for panel in dashboard["panels"]]
    problems += [f"panel at {place} leaves the grid" for place in places if place[0] + place[2] > 24]
    file = folder / "queries.yaml"
    recorded = [{"record": f"panel:{at}", "expr": query} for at, query in enumerate(queries.values())]
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    return problems + ran(promtool, "check", "rules", file)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--promtool", type=Path, required=True)
    parser.add_argument("locumd", type=Path)
    told = parser.parse_args()
    alerts = rules()
    with tempfile.TemporaryDirectory(prefix="locum-alerts-") as name:
        folder = Path(name)
        problems = by_promtool(told.promtool, folder, alerts)
        names = served(told.locumd, folder)
        problems += named({name: rule["expr"] for name, rule in alerts.items()}, names)
        problems += of_dashboard(told.promtool, folder)
        queries = panels(json.loads(DASHBOARD.read_text()))
        problems += named(queries, names)
        if not named({"made up": "rate(locum_unheard_of_total{}[5m])"}, names):
            problems.append("a metric that nobody serves is not noticed")
    problems += [f"{name} is for nobody" for name, rule in alerts.items() if rule["labels"]["severity"] not in FOR]
    problems += [f"{name} has no runbook" for name, rule in alerts.items() if len(rule["annotations"]["runbook"]) < 80]
    print(*(problems or [f"{len(alerts)} alerts and {len(queries)} queries hold"]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
