"""Simulated model calls: what providers' responses say was used, and what their bills add up to.

The sequence depends on the seed alone, so a run can be repeated. ``used`` is summed here and
nowhere else: it is the truth that the demo holds against kubectl, and no code of the meter takes
part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey, context_class

__all__ = ["Call", "SimulatedModels"]


@dataclass(frozen=True, slots=True)
class Call:
    """One model call that was answered."""

    series: SeriesKey
    counts: TokenCounts


@dataclass(frozen=True, slots=True)
class _Model:
    """``caches`` says whether the provider reports tokens of its prompt cache, ``reasons`` of its
    reasoning."""

    provider: str
    name: str
    caches: bool = False
    reasons: bool = False


_MODELS: Sequence[_Model] = (
    _Model("anthropic", "claude-sonnet-4-5", caches=True),
    _Model("openai", "gpt-5-mini", caches=True, reasons=True),
    _Model("azure", "gpt-5-mini", reasons=True),
    _Model("google", "gemini-2.5-flash"),
)


class SimulatedModels:
    """The models that one process calls."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        # Each agent prefers other models, as real ones do.
        self._weights = [self._random.randint(1, 9) for _ in _MODELS]
        self.used = 0

    def call(self) -> Call:
        """Call one of them."""
        draw = self._random
        model = draw.choices(_MODELS, self._weights)[0]
        prompt = draw.randint(200, 4_000)
        completion = draw.randint(20, 900)
        cached = draw.randint(0, prompt // 2) if model.caches else 0
        written = draw.randint(0, prompt // 4) if model.caches else 0
        thought = draw.randint(0, completion // 2) if model.reasons else 0
        self.used += prompt + completion
        return Call(
            SeriesKey(model.provider, model.name, context_class=context_class(prompt)),
            # The input includes what was cached, the output what was reasoned: they are never
            # added again.
            TokenCounts(
                input=prompt,
                output=completion,
                cache_read=cached,
                cache_write_5m=written,
                reasoning=thought,
                calls=1,
            ),
        )
