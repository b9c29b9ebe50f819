"""Answers of the proxy's own: JSON that the providers' clients show as an error of theirs.

``error.message`` is where OpenAI's and Anthropic's clients look alike. The texts are constants:
what a client or an upstream wrote is repeated nowhere.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from agentspec_usage.sidecar.calls import Refusal
from agentspec_usage.sidecar.proxy.forwarding import OUR_REQUEST_ID, REQUEST_ID

__all__ = [
    "BROKEN_OFF",
    "BUSY",
    "GARBLED",
    "LATE_BODY",
    "LATE_HEAD",
    "SHUTTING_DOWN",
    "SILENT",
    "UNKNOWN_PATH",
    "UNREACHABLE",
    "own_refusal",
    "refusal_bytes",
]


def own_refusal(status: int, kind: str, message: str) -> Refusal:
    """What the proxy itself refuses."""
    error = {"type": kind, "message": message, "from": "agentspec-usage"}
    return Refusal({"type": "error", "error": error}, status)


BUSY = own_refusal(503, "busy", "the proxy has as many connections as it may")
UNKNOWN_PATH = own_refusal(404, "unknown_path", "no upstream is configured for this path")
LATE_HEAD = own_refusal(408, "timeout", "the request's head did not arrive in time")
LATE_BODY = own_refusal(408, "timeout", "the request's body did not arrive in time")
UNREACHABLE = own_refusal(502, "upstream_unreachable", "no connection to the upstream")
GARBLED = own_refusal(502, "upstream_error", "the upstream's answer is not valid HTTP")
BROKEN_OFF = own_refusal(502, "upstream_error", "the upstream closed before its answer was whole")
SILENT = own_refusal(504, "upstream_timeout", "the upstream kept silent for too long")
SHUTTING_DOWN = own_refusal(503, "shutting_down", "the proxy is shutting down")


def refusal_bytes(
    why: Refusal, *, request_id: str = "", close: bool, head_only: bool = False
) -> bytes:
    """A whole answer. ``head_only`` for a HEAD request."""
    body = json.dumps(why.document, separators=(",", ":")).encode()
    lines = [
        f"HTTP/1.1 {why.status} {HTTPStatus(why.status).phrase}".encode(),
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
    ]
    if request_id:
        named = request_id.encode("ascii")
        lines += [b"%b: %b" % (name, named) for name in (REQUEST_ID, OUR_REQUEST_ID)]
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if head_only else body)
