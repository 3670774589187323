"""What can be known of the image and the compose file without an engine to run them."""

import fnmatch
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


def test_compose_services_build_the_image_and_share_the_volumes(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"redis", "api", "worker", "api-gpu", "worker-gpu"}
    for name in set(services) - {"redis"}:
        service = services[name]
        assert service["build"]["context"] == "."
        assert "image" not in service  # a tag that two services build is exported twice, and may clash
        assert service["volumes"] == ["model_store:/srv/cloze/model_store", "var:/srv/cloze/var"]
        assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}
        assert service["environment"]["CLOZE_REDIS_URL"] == "redis://redis:6379/0"
    assert set(compose["volumes"]) == {"redis", "model_store", "var"}


def test_compose_roles(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for kind in ("", "-gpu"):
        assert services[f"api{kind}"]["command"] == ["cloze", "serve"]
        assert services[f"worker{kind}"]["command"] == ["cloze", "worker"]
        assert "ports" not in services[f"worker{kind}"]  # scalable: replicas cannot share a port
    assert services["worker"]["deploy"]["replicas"] == 1
    assert "container_name" not in services["worker"]


def test_gpu_services_reserve_a_gpu_and_start_only_on_demand(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name.endswith("-gpu"):
            assert service["profiles"] == ["gpu"]
            assert service["build"]["args"] == {"TORCH_INDEX": "${TORCH_INDEX_GPU:-}"}
            [device] = service["deploy"]["resources"]["reservations"]["devices"]
            assert device["capabilities"] == ["gpu"]
        else:
            assert "profiles" not in service


def test_redis_is_durable(compose: dict[str, Any]) -> None:
    redis = compose["services"]["redis"]
    assert redis["command"][1:5] == ["--appendonly", "yes", "--appendfsync", "always"]
    assert redis["volumes"] == ["redis:/data"]
    assert "ports" not in redis
    assert redis["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]


def test_every_variable_is_a_setting(compose: dict[str, Any]) -> None:
    known = {f"CLOZE_{name.upper()}" for name in Settings.model_fields}
    for service in compose["services"].values():
        assert set(service.get("environment", {})) <= known
    assert set(re.findall(r"\b(CLOZE_\w+)=", DOCKERFILE)) <= known


def test_the_image_runs_as_nobody_special_and_checks_its_health() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert DOCKERFILE.count("\nFROM ") == 2
    assert "\nUSER cloze\n" in final
    assert "HEALTHCHECK" in final and "/health" in final
    assert "curl" not in final
    assert final.index("install --yes --no-install-recommends redis-server") < final.index("\nUSER cloze\n")
    assert "ARG TORCH_INDEX=\n" in DOCKERFILE


def test_the_image_may_listen_without_keys_and_compose_publishes_to_this_machine_alone(compose: dict[str, Any]) -> None:
    assert "CLOZE_HOST=0.0.0.0" in DOCKERFILE
    assert "CLOZE_ALLOW_OPEN=1" in DOCKERFILE
    for name in ("api", "api-gpu"):
        assert compose["services"][name]["ports"] == ["127.0.0.1:${CLOZE_PORT:-8000}:8000"]


def test_what_the_image_copies_is_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for words in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in words.split()[:-1]
        if not source.startswith("--")
    }
    assert lines[0] == "*"
    assert copied == allowed
    assert not any(fnmatch.fnmatch(source, "var*") for source in copied)
