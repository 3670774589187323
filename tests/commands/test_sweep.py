"""Parameters of `cloze sweep`, and how it follows a sweep."""

from typing import Any

import httpx
import pytest

from app.commands.client import ApiClient
from app.commands.sweep import parse_parameter, watch_sweep
from app.errors import InvalidValue


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("learning_rate=1e-4,1e-3", [1e-4, 1e-3]),
        ("learning_rate=1e-5..1e-2:log", {"min": 1e-5, "max": 1e-2, "scale": "log"}),
        ("weight_decay=0..0.1", {"min": 0.0, "max": 0.1}),
        ("schedule=linear, cosine", ["linear", "cosine"]),
        ("deduplicate=off,true", ["off", True]),
        ("model=a..b", ["a..b"]),
    ],
)
def test_values_and_ranges(text: str, value: Any) -> None:
    assert parse_parameter(text) == (text.partition("=")[0], value)


@pytest.mark.parametrize("text", ["learning_rate", "=1", "learning_rate=", "a=1.2.3..4"])
def test_what_is_no_parameter(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_parameter(text)


def test_a_sweep_is_followed_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    common = {"id": "ftjob-1", "count": 2, "parameters": ["learning_rate"], "measure": "loss"}
    job = {"id": "ftjob-2", "rank": 1, "status": "succeeded", "value": 2.5, "settings": {"learning_rate": 1e-3}}
    answers = [
        {**common, "status": "running", "ended": 1, "jobs": [], "fine_tuned_model": None},
        {**common, "status": "succeeded", "ended": 2, "jobs": [job], "fine_tuned_model": "best@1"},
    ]
    slept: list[float] = []
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answers[len(slept)]))
    with ApiClient("http://cloze", transport=transport) as client:
        assert watch_sweep(client, "ftjob-1", as_json=False, sleep=slept.append) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["job\trank\tstatus\tloss\tlearning_rate", "ftjob-2\t1\tsucceeded\t2.5\t0.001"]
    assert "1 of 2 jobs have ended" in err
    assert "published best@1" in err
