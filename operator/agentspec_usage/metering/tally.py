"""A tally: totals and, beside them, what each model had of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.models import MAX_MODELS, ModelKey, most_used

__all__ = ["EMPTY", "Tally"]


@dataclass(frozen=True, slots=True)
class Tally:
    """Totals, always whole; ``models`` may lack what was never known or had to be dropped."""

    totals: TokenCounts = ZERO
    models: Mapping[ModelKey, TokenCounts] = field(default_factory=dict)

    def __add__(self, other: Tally) -> Tally:
        """Both together, keeping at most ``MAX_MODELS`` of the most used models."""
        if not other:
            return self
        models = dict(self.models)
        for key, counts in other.models.items():
            models[key] = models[key] + counts if key in models else counts
        if len(models) > MAX_MODELS:
            models = most_used(models, MAX_MODELS)
        return Tally(self.totals + other.totals, models)

    def __bool__(self) -> bool:
        return bool(self.totals) or bool(self.models)


EMPTY = Tally()
