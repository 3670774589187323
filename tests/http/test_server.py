import resource

import pytest

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
