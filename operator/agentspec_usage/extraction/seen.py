"""Which stored responses were counted: a usage that is read again was not used again.

A response that the provider keeps can be read by its id any number of times, and one that is worked
on in the background shows its usage only there. So the first usage that is seen of an id counts,
whoever shows it, and an id is remembered for as long as providers keep responses.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

__all__ = ["MAX_SEEN", "REMEMBER_MS", "SeenResponses"]

REMEMBER_MS = 30 * 24 * 60 * 60 * 1000
"""Thirty days: OpenAI keeps a response that long."""

MAX_SEEN = 100_000
"""Ids remembered, about 200 bytes each. Beyond it the oldest leave sooner than their time: what is
read of them after that counts again."""


class SeenResponses:
    """The state after the notes so far; times are the caller's, in ms. Not thread-safe.

    It is a function of what was noted, in order: a shell that keeps a file notes again what it
    wrote, or the ``entries`` of a snapshot.
    """

    def __init__(self) -> None:
        self._at: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._at)

    def first_usage(self, provider: str, response_id: str, at: int) -> bool:
        """Whether the usage of this response is seen for the first time; it is remembered.

        A response without an id that can name it is always new.
        """
        if not response_id:
            return True
        return self.note(_name(provider, response_id), at)

    def has(self, provider: str, response_id: str) -> bool:
        """Whether the usage of this response was seen; remembers nothing."""
        return _name(provider, response_id) in self._at

    def note(self, name: bytes, at: int) -> bool:
        """Remember a name of ``entries``; whether it was not known."""
        known = name in self._at
        if not known:
            self._at[name] = at
            self._forget(at)
        return not known

    def entries(self) -> Iterator[tuple[bytes, int]]:
        """What is remembered, the oldest first: 16 bytes that stand for an id, and since when."""
        return iter(self._at.items())

    def _forget(self, now: int) -> None:
        # In the order in which they were noted: the first that is young enough ends the search. A
        # clock that stepped back keeps some longer, which does no harm.
        while self._at:
            oldest = next(iter(self._at))
            if len(self._at) <= MAX_SEEN and now - self._at[oldest] <= REMEMBER_MS:
                break
            del self._at[oldest]


def _name(provider: str, response_id: str) -> bytes:
    return blake2b(f"{provider}\0{response_id}".encode(errors="replace"), digest_size=16).digest()
