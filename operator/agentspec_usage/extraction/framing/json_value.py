"""The one boundary between bytes of strangers and the standard library's JSON.

It exists because ``json.loads`` fails in several ways: for what is no JSON or no UTF-8 and for
absurdly long numbers (ValueError), and for what is nested too deeply (RecursionError).
"""

from __future__ import annotations

import json

from agentspec_usage.errors import WireError

__all__ = ["read_json"]


def read_json(data: bytes) -> object:
    """The value of one whole JSON document. Raises WireError, and nothing else."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError("", "a JSON document") from error
    return value
