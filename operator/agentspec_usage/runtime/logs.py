"""Log lines that a machine can read: JSON, or ``key=value`` text for people at a terminal.

What a line says is in ``extra`` (counts, identities, reasons), its message is a constant. A value
from outside cannot forge a line: control characters are escaped in both forms. kopf's own loggers
go through the same handler, with the object that they speak of; its line per event and object is
noise and left out.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any, Literal, TextIO

from agentspec_usage.runtime.clock import to_rfc3339

__all__ = ["JsonFormatter", "TextFormatter", "configure_logging"]

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_KOPF_INTERNAL = frozenset({"k8s_skip", "k8s_ref", "settings"})
_PLAIN = re.compile(r"[^\s\"'=\x00-\x1f\x7f-\x9f]+")
_LONGEST_VALUE = 4096


_TOO_TALKATIVE = ("kopf.objects", "httpx", "httpcore")
"""A line for each object or each request, with whole URLs: a line a tick says nothing."""


def configure_logging(form: Literal["json", "text"], level: str, stream: TextIO) -> None:
    """Send every logger of the process to ``stream``, from ``level`` up, and nowhere else."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    for earlier in root.handlers[:]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _TOO_TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then what ``extra`` brought."""

    def format(self, record: logging.LogRecord) -> str:
        line = {**_head(record), "message": record.getMessage(), **_extra(record)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, separators=(",", ":"), default=_bounded)


class TextFormatter(logging.Formatter):
    """``time LEVEL logger: message key=value``, tracebacks below."""

    def format(self, record: logging.LogRecord) -> str:
        head = _head(record)
        line = (
            f"{head['time']} {record.levelname:<7} {record.name}: {_escaped(record.getMessage())}"
        )
        for key, value in _extra(record).items():
            text = _bounded(value)
            line += f" {key}={text if _PLAIN.fullmatch(text) else json.dumps(text)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _head(record: logging.LogRecord) -> dict[str, str]:
    return {
        "time": to_rfc3339(round(record.created * 1000)),
        "level": record.levelname.lower(),
        "logger": record.name,
    }


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    fields = {
        key: _bounded(value) if isinstance(value, str) else value
        for key, value in vars(record).items()
        if key not in _OWN and key not in _KOPF_INTERNAL
    }
    reference = getattr(record, "k8s_ref", None)
    if isinstance(reference, Mapping):
        fields["namespace"] = reference.get("namespace") or ""
        fields["agent"] = reference.get("name") or ""
    return fields


def _bounded(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}… ({len(text)} long)"


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
