"""The first key, which `cloze keys create --local` writes to the server's Redis."""

import json

import pytest
from typer.testing import CliRunner

from app.access.key_store import KeyStore
from app.access.keys import hash_secret
from app.cli import app
from app.errors import AppError
from app.jobs.connection import Client, EmbeddedRedis
from tests.fakes.redis import redis, redis_server  # noqa: F401


@pytest.fixture(autouse=True)
def _settings(redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("CLOZE_REDIS_URL", redis_server.url)


def test_the_first_key_is_made_without_a_key(redis: Client) -> None:  # noqa: F811
    options = ["--scope", "admin", "--jobs", "3", "--local", "--json"]
    done = CliRunner().invoke(app, ["keys", "create", "ops", *options])

    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    (key,) = KeyStore(redis).list()
    assert (key.id, key.digest, key.limits.jobs) == (made["id"], hash_secret(made["key"].encode()), 3)


@pytest.mark.parametrize("scope", ["predict", "everything"])
def test_what_cannot_be_made_is_explained(redis: Client, scope: str) -> None:  # noqa: F811
    done = CliRunner().invoke(app, ["keys", "create", "ops", "--scope", scope, "--local"])

    assert isinstance(done.exception, AppError)
    assert KeyStore(redis).list() == []
