"""Log lines are one line each, say what ``extra`` holds, and cannot be forged."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from agentspec_usage.runtime.logs import JsonFormatter, TextFormatter, configure_logging


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The process's root logger, put back as it was."""
    logger = logging.getLogger()
    others = [logging.getLogger(name) for name in ("kopf.objects", "httpx", "httpcore")]
    handlers, level, levels = logger.handlers[:], logger.level, [other.level for other in others]
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)
    for other, before in zip(others, levels, strict=True):
        other.setLevel(before)
    logging.captureWarnings(capture=False)


def record(message: str = "pod gone", **extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "agentspec", "levelno": logging.INFO, "levelname": "INFO", "msg": message}
    )
    made.created = 1_793_521_800.125
    vars(made).update(extra)
    return made


def test_a_json_line_has_the_time_the_level_the_message_and_each_extra() -> None:
    line = json.loads(JsonFormatter().format(record(pod="web-1", count=3)))

    assert line == {
        "time": "2026-11-01T08:30:00.125Z",
        "level": "info",
        "logger": "agentspec",
        "message": "pod gone",
        "pod": "web-1",
        "count": 3,
    }


def test_a_text_line_quotes_what_has_spaces() -> None:
    line = TextFormatter().format(record(pod="web-1", reason="no answer"))

    assert line == (
        '2026-11-01T08:30:00.125Z INFO    agentspec: pod gone pod=web-1 reason="no answer"'
    )


@pytest.mark.parametrize(
    "formatter",
    [pytest.param(JsonFormatter(), id="json"), pytest.param(TextFormatter(), id="text")],
)
def test_a_value_cannot_forge_a_line_or_move_the_cursor(formatter: logging.Formatter) -> None:
    hostile = 'x\n2026-11-01 ERROR forged\r\x1b[2J\x85 "y"'

    line = formatter.format(record(f"name {hostile}", name_of_pod=hostile))

    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


@pytest.mark.parametrize(
    "formatter",
    [pytest.param(JsonFormatter(), id="json"), pytest.param(TextFormatter(), id="text")],
)
def test_a_value_without_end_is_cut(formatter: logging.Formatter) -> None:
    assert len(formatter.format(record(value="x" * 1_000_000))) < 5_000


def test_a_line_of_kopf_names_its_object_and_leaves_its_settings_out() -> None:
    line = json.loads(
        JsonFormatter().format(
            record(k8s_ref={"namespace": "team", "name": "web"}, k8s_skip=True, settings=object())
        )
    )

    assert (line["namespace"], line["agent"]) == ("team", "web")
    assert line.keys().isdisjoint({"k8s_skip", "k8s_ref", "settings"})


def test_an_exception_is_in_the_line() -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        failed = record(exc_info=(ValueError, error, error.__traceback__))

    assert "ValueError: boom" in json.loads(JsonFormatter().format(failed))["exception"]
    assert "ValueError: boom" in TextFormatter().format(failed)


def test_configuring_twice_writes_each_line_once_and_from_the_level_up(
    root: logging.Logger,
) -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("json", "info", first)
    configure_logging("json", "warning", second)

    logging.getLogger("anything").info("quiet")
    logging.getLogger("anything").warning("loud")

    assert first.getvalue() == ""
    assert [json.loads(line)["message"] for line in second.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize("name", ["kopf.objects", "httpx", "httpcore.http11"])
def test_a_line_per_object_or_request_is_left_out_and_warnings_are_not(
    root: logging.Logger, name: str
) -> None:
    stream = io.StringIO()
    configure_logging("text", "debug", stream)

    logging.getLogger(name).info("POST http://plane/?key=secret succeeded")
    logging.getLogger(name).warning("it failed")

    assert "succeeded" not in stream.getvalue()
    assert "failed" in stream.getvalue()
