import json
import logging
import sys

import orjson
import pytest

from app.system.log_format import (
    JsonFormatter,
    TextFormatter,
    add_log_fields,
    configure_logging,
    fields,
    restore_log_fields,
)

ANY_TEXT = ["a\nb\r\nc", "\x00\x1b[31m\x7f", "\ud800 alone", "\u2028\u2029\x85", '"quoted" \\', "日本語 🦁", "b\udcff"]


def record(message: object, *arguments: object, **attributes: object) -> logging.LogRecord:
    made = logging.LogRecord("app.test", logging.INFO, __file__, 1, message, arguments, None)
    made.__dict__.update(attributes)
    return made


@pytest.mark.parametrize("text", ANY_TEXT)
def test_json_is_one_valid_line_for_any_text(text: str) -> None:
    line = JsonFormatter().format(record("of %s", text, **fields(value=text)))
    assert len(line.splitlines()) == 1 and line.isascii()
    read = orjson.loads(line)  # refuses lone surrogates, as most parsers do
    assert read["message"] == f"of {read['value']}"
    if text.isprintable():
        assert read["value"] == text


def test_json_has_the_fields_of_record_and_context_and_the_traceback() -> None:
    token = add_log_fields(request_id="r-1", job_id="outer")
    try:
        raise ValueError("wrong\nvalue")
    except ValueError:
        made = record("failed", **fields(job_id="j-1", ms=1.5, nan=float("nan"), other=[1], missing=None))
        made.exc_info = sys.exc_info()
    line = json.loads(JsonFormatter().format(made))
    restore_log_fields(token)
    assert line.pop("time").endswith("+00:00")
    assert line.pop("exception").endswith("ValueError: wrong\nvalue")
    assert line == {
        "level": "info",
        "logger": "app.test",
        "message": "failed",
        "request_id": "r-1",
        "job_id": "j-1",
        "ms": 1.5,
        "nan": "nan",
        "other": "[1]",
    }
    assert "request_id" not in json.loads(JsonFormatter().format(record("later")))


@pytest.mark.parametrize("text", ANY_TEXT)
def test_a_message_cannot_forge_a_line_of_text(text: str) -> None:
    line = TextFormatter("%(levelname)s %(message)s").format(record("of %s", text, **fields(value=text)))
    assert line.startswith("INFO of ") and " value=" in line
    assert len(line.splitlines()) == 1


def test_a_process_logs_its_own_fields(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as a process begins
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    configure_logging("warning", "json", job_id="j-1", attempt=2)
    logging.getLogger("app.test").info("hidden")
    logging.getLogger("app.test").warning("shown")
    configure_logging("warning", "json")  # takes them back for other tests
    line = json.loads(capsys.readouterr().err)
    assert (line["message"], line["job_id"], line["attempt"]) == ("shown", "j-1", 2)
