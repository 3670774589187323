import resource

import pytest

from app.http.access_log import redact
from app.http.server import MAX_DESCRIPTORS, connections_within, raise_descriptor_limit


@pytest.mark.parametrize(
    ("descriptors", "wanted", "connections"), [(20_000, 8192, 8192), (1024, 8192, 768), (64, 8192, 32), (1, 10, 1)]
)
def test_some_descriptors_are_left_for_other_things(descriptors: int, wanted: int, connections: int) -> None:
    assert connections_within(descriptors, wanted) == connections


def test_the_limit_of_open_files_is_raised_to_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    assert raise_descriptor_limit() == 4096
    limits.append((1024, resource.RLIM_INFINITY))
    assert raise_descriptor_limit() == limits[-1][0] == MAX_DESCRIPTORS

    def refuse(*_: object) -> None:
        raise ValueError

    limits.append((1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_descriptor_limit() == 1024


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/v1/models?api_key=sk-1&limit=2", "/v1/models?api_key=[redacted]&limit=2"),
        ("/x?a=1&Access-Token=abc", "/x?a=1&Access-Token=[redacted]"),
        ("/x?key=a&key=b", "/x?key=[redacted]&key=[redacted]"),
        ("/x?password=", "/x?password=[redacted]"),
        ("/keys/a?model=cloze-text&truncate=true", "/keys/a?model=cloze-text&truncate=true"),
    ],
)
def test_secrets_are_kept_out_of_the_log(path: str, logged: str) -> None:
    assert redact(path) == logged
