"""Answers that a gateway repeats from its own cache: the provider used no tokens for them.

A gateway says so in a header. The usage that it repeats is of the call that filled the cache.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["is_repeated"]

_STATUS = (
    "cf-aig-cache-status",  # Cloudflare AI Gateway
    "helicone-cache",
    "x-openrouter-cache-status",
    "x-portkey-cache-status",
)
"""Headers that say HIT, some with a word before it (``SEMANTIC HIT``)."""

_KEY = "x-litellm-cache-key"
"""LiteLLM names the key of what it found, and of nothing else."""


def is_repeated(headers: Mapping[str, str]) -> bool:
    """Whether a response with these headers (names in lower case) came from a gateway's cache."""
    if headers.get(_KEY):
        return True
    return any("HIT" in headers.get(name, "").upper().split() for name in _STATUS)
