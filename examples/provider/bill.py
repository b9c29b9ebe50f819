"""What each call used, and what each customer used in all.

The bill is added up here and nowhere else: no code of the meter takes part in it. So it is what
kubectl, the control plane and the agents themselves are held against.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

__all__ = ["Account", "Bill", "Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """One call. ``prompt`` includes what was read from and written to a cache, ``completion``
    includes reasoning.
    """

    prompt: int
    cached: int
    written: int
    completion: int
    reasoning: int

    @property
    def total(self) -> int:
        return self.prompt + self.completion


@dataclass(slots=True)
class Account:
    """One customer, known by an API key."""

    calls: int = 0
    tokens: int = 0


class Bill:
    """Draws what calls used and keeps the sums. Of one key the sequence is always the same."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def call(self, key: str) -> Usage:
        """One more call of ``key``."""
        account = self.accounts.setdefault(key, Account())
        draw = Random(f"{key} {account.calls}")
        prompt, completion = draw.randint(200, 4_000), draw.randint(20, 900)
        usage = Usage(
            prompt=prompt,
            cached=draw.randint(0, prompt // 2),
            written=draw.randint(0, prompt // 4),
            completion=completion,
            reasoning=draw.randint(0, completion // 2),
        )
        account.calls += 1
        account.tokens += usage.total
        return usage
