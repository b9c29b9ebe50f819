"""Which of the ids that providers give their responses can name one call among all."""

from __future__ import annotations

__all__ = ["unique_response_id"]

_UNIQUE = 16
"""Characters of an id after its prefix from which on it is taken as unique: OpenAI's, Anthropic's
and vLLM's have 22 and more; a server that counts (``chatcmpl-17``) has a few."""


def unique_response_id(response_id: object) -> str:
    """``response_id`` where it can name one call among all, else ""."""
    if not isinstance(response_id, str) or len(response_id) > 128:
        return ""
    prefix, _, tail = response_id.replace("-", "_").partition("_")
    return response_id if len(tail or prefix) >= _UNIQUE else ""
