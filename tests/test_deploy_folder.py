"""deploy/: it parses, and names only settings and metrics that exist. Tools that are installed check the rest."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import __version__
from app.settings import Settings
from scripts.manifests import CHART, MANIFESTS, render

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
FILES = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()]
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "cloze.json").read_text(encoding="utf-8"))

# What a release may set, for every branch of the templates.
EVERYTHING = {
    "api": {"gpus": 1, "nodeSelector": {"pool": "gpu"}, "autoscaling": {"enabled": True}},
    "worker": {"gpus": 1, "tolerations": [{"operator": "Exists"}], "autoscaling": {"enabled": True}},
    "prometheus": {"serviceMonitor": {"enabled": True, "labels": {"release": "monitoring"}}},
    "ingress": {"enabled": True, "tlsSecret": "tls"},
    "networkPolicy": {"from": [{"namespaceSelector": {}}]},
}
EXTERNAL = {
    "redis": {"existingSecret": "redis"},
    "apiKeys": {"existingSecret": "", "allowOpen": True},
    "storage": {"var": {"existingClaim": "var"}, "models": {"existingClaim": "models", "seed": False}},
    "networkPolicy": {"enabled": False},
}


_HISTOGRAM = ("_bucket", "_sum", "_count")


def documents(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


def by_name(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in documents(text)}


def queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in ALERTS)
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (each["definition"] for each in DASHBOARD["templating"]["list"] if "definition" in each)
    yield (CHART / "templates" / "autoscaling.yaml").read_text(encoding="utf-8")


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_yaml_parses() -> None:
    for path in FILES:
        if path.suffix == ".yaml" and "templates" not in path.parts:
            assert documents(path.read_text(encoding="utf-8")), path


def test_settings_exist() -> None:
    known = {f"CLOZE_{name.upper()}" for name in Settings.model_fields}
    found = {path: set(re.findall(r"\bCLOZE_[A-Z][A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))) for path in FILES}
    assert not {str(path): names - known for path, names in found.items() if names - known}


def test_queries_use_metrics_that_exist() -> None:
    # tests/api/test_metrics.py compares the table with what a server has.
    types = dict(re.findall(r"^\| `((?:cloze|process)_\w+)` \| (\w+) \|", OPERATIONS, re.MULTILINE))
    series = {name for name, kind in types.items() if kind != "histogram"}
    series |= {f"{name}{end}" for name, kind in types.items() if kind == "histogram" for end in _HISTOGRAM}
    assert len(series) > 40
    used = {name for query in queries() for name in re.findall(r"\b(?:cloze|process)_\w+", query)}
    assert used <= series


def test_every_alert_has_a_part_of_the_runbook() -> None:
    titles = re.findall(r"^### (.*)$", OPERATIONS, re.MULTILINE)
    headings = {title.lower().replace(" ", "-") for title in titles}
    for rule in ALERTS:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operations.md" and anchor in headings, rule["alert"]
        assert rule["annotations"]["summary"].endswith(".")
        assert f"`{rule['alert']}`" in OPERATIONS


def test_manifests_are_safe_and_stop_gracefully() -> None:
    found = by_name(MANIFESTS.read_text(encoding="utf-8"))
    for (kind, name), each in found.items():
        if kind not in ("Deployment", "StatefulSet"):
            continue
        pod = each["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == (999 if "redis" in name else 10001)
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
    api = found["Deployment", "cloze-api"]["spec"]["template"]["spec"]
    [server] = api["containers"]
    assert server["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert server["livenessProbe"]["httpGet"]["path"] == server["startupProbe"]["httpGet"]["path"] == "/health"
    assert api["terminationGracePeriodSeconds"] > Settings.model_fields["stop_seconds"].default + 5 + 3
    assert found["Deployment", "cloze-worker"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 45
    [redis] = found["StatefulSet", "cloze-redis"]["spec"]["template"]["spec"]["containers"]
    assert redis["args"][1:5] == ["--appendonly", "yes", "--appendfsync", "always"]
    assert found["NetworkPolicy", "cloze-redis"]["spec"]["egress"] == []


def test_the_manifests_are_those_of_the_chart() -> None:
    pytest.importorskip("helm_python")
    text = MANIFESTS.read_text(encoding="utf-8")
    assert text.endswith(render()), "run python -m scripts.manifests"


@pytest.mark.parametrize("values", [{}, EVERYTHING, EXTERNAL], ids=["defaults", "everything", "external"])
def test_the_chart_is_valid(values: dict[str, Any]) -> None:
    helm = pytest.importorskip("helm_python")
    schemas = pytest.importorskip("kubernetes_validate")
    assert not helm.lint(str(CHART))["errors"]
    kinds = set()
    for each in documents(render(values)):
        kinds.add(each["kind"])
        if each["apiVersion"].partition("/")[0] not in ("keda.sh", "monitoring.coreos.com"):
            schemas.validate(each, "1.31", strict=True)
    assert ("ScaledObject" in kinds) == ("ServiceMonitor" in kinds) == ("Ingress" in kinds) == (values is EVERYTHING)
    assert ("StatefulSet" in kinds) == ("PersistentVolumeClaim" in kinds) == (values is not EXTERNAL)


def test_the_chart_runs_this_version() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"] == __version__


def test_the_chart_is_not_open_by_accident() -> None:
    helm = pytest.importorskip("helm_python")
    with pytest.raises(helm.HelmError, match="without API keys"):
        render({"apiKeys": {"existingSecret": ""}})


def run(*command: str) -> str:
    """The output of a tool, which has to succeed. The test is skipped where the tool is not installed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    key, certificate = tmp_path / "cloze.key", tmp_path / "cloze.pem"
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", "/CN=cloze", "-keyout", str(key), "-out", str(certificate)),
    )
    server = (DEPLOY / "nginx" / "cloze.conf").read_text(encoding="utf-8")
    server = server.replace("/etc/ssl/cloze.pem", str(certificate)).replace("/etc/ssl/cloze.key", str(key))
    paths = "".join(f"{each}_temp_path {tmp_path}; " for each in ("proxy", "client_body", "fastcgi", "uwsgi", "scgi"))
    whole = f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; {paths}\n{server} }}"
    (tmp_path / "nginx.conf").write_text(whole)
    assert "successful" in run("nginx", "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"))


def test_caddy_accepts_its_configuration() -> None:
    assert "Valid configuration" in run(
        "caddy", "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "caddy" / "Caddyfile")
    )


def test_prometheus_accepts_the_alerts() -> None:
    assert "SUCCESS" in run("promtool", "check", "rules", str(DEPLOY / "prometheus" / "alerts.yaml"))


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    units = []
    for path in (DEPLOY / "systemd").glob("*.service"):
        units.append(tmp_path / path.name.replace("@", "@1"))
        # It looks for the command, the user and the documentation of the machine that it runs on.
        text = path.read_text(encoding="utf-8").replace("/opt/cloze/bin/cloze", shutil.which("true") or "/bin/true")
        units[-1].write_text(re.sub(r"(?m)^(User|Group)=.*\n", "", text))
    output = run("systemd-analyze", "verify", *map(str, units))
    assert not [line for line in output.splitlines() if any(unit.name in line for unit in units)]
