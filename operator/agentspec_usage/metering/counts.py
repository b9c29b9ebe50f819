"""The count vector: what one or many model calls used, as whole numbers with laws.

One vector carries every number that a price can depend on. Two of them include others, as
OpenTelemetry defines them (``gen_ai.usage.input_tokens``, ``gen_ai.usage.output_tokens``):

* ``input`` is **all** prompt tokens: uncached + cache read + cache write.
* ``output`` is **all** completion tokens, reasoning among them.

So ``total`` is ``input + output`` and nothing else is ever added to it. Likewise ``calls`` counts
every call, and ``unmetered_calls`` those of them whose usage could not be read.

Vectors form a commutative monoid under ``+`` (with ``ZERO``) and a lattice under ``join`` and
``meet``, all component by component; ``increase_since`` is the truncated difference that undoes
``+``. Sums saturate at 2^53 - 1, the largest integer that every JSON reader keeps exact; a
saturated component says so through ``saturated``, because a number that stopped counting is a lower
bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from operator import add

__all__ = ["COMPONENTS", "MAX_COUNT", "ZERO", "TokenCounts", "counts_of", "sum_counts"]

MAX_COUNT = 2**53 - 1
"""The largest count: beyond it a JSON reader in JavaScript, Go's float64 or CEL would round."""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """What calls used. Every field is an int, 0 … ``MAX_COUNT``; tokens, except for the calls."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_30m: int = 0
    cache_write_1h: int = 0
    cache_write_12h: int = 0
    cache_write_unspecified: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0
    image_in: int = 0
    image_out: int = 0
    calls: int = 0
    unmetered_calls: int = 0

    @property
    def total(self) -> int:
        """Input plus output tokens, saturating."""
        return min(self.input + self.output, MAX_COUNT)

    @property
    def cache_write(self) -> int:
        """Tokens written to a cache, of every time to live, saturating."""
        written = (
            self.cache_write_5m
            + self.cache_write_30m
            + self.cache_write_1h
            + self.cache_write_12h
            + self.cache_write_unspecified
        )
        return min(written, MAX_COUNT)

    @property
    def saturated(self) -> bool:
        """Whether a component reached the bound, so that the vector is only a lower bound."""
        return any(value >= MAX_COUNT for value in self.as_tuple())

    def as_tuple(self) -> tuple[int, ...]:
        """The components in the order of the fields."""
        return (
            self.input,
            self.output,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_30m,
            self.cache_write_1h,
            self.cache_write_12h,
            self.cache_write_unspecified,
            self.reasoning,
            self.audio_in,
            self.audio_out,
            self.image_in,
            self.image_out,
            self.calls,
            self.unmetered_calls,
        )

    def __add__(self, other: TokenCounts) -> TokenCounts:
        sums = list(map(add, self.as_tuple(), other.as_tuple()))
        if max(sums) > MAX_COUNT:
            sums = [min(value, MAX_COUNT) for value in sums]
        return TokenCounts(*sums)

    def join(self, other: TokenCounts) -> TokenCounts:
        """The component-wise maximum: what is known after two readings of one growing vector."""
        return TokenCounts(*map(max, self.as_tuple(), other.as_tuple()))

    def meet(self, other: TokenCounts) -> TokenCounts:
        """The component-wise minimum."""
        return TokenCounts(*map(min, self.as_tuple(), other.as_tuple()))

    def increase_since(self, earlier: TokenCounts) -> TokenCounts:
        """How much each component grew since ``earlier``; one that fell counts as 0."""
        return TokenCounts(
            *[max(a - b, 0) for a, b in zip(self.as_tuple(), earlier.as_tuple(), strict=True)]
        )

    def covers(self, other: TokenCounts) -> bool:
        """Whether no component of ``other`` exceeds this vector's."""
        return all(a >= b for a, b in zip(self.as_tuple(), other.as_tuple(), strict=True))

    def __bool__(self) -> bool:
        return any(self.as_tuple())


ZERO = TokenCounts()

COMPONENTS: tuple[str, ...] = tuple(field.name for field in fields(TokenCounts))
"""The component names, in the order of ``TokenCounts.as_tuple``."""


def counts_of(parts: Mapping[int, int]) -> TokenCounts:
    """The vector with these components, by their positions in ``COMPONENTS``, and no others."""
    values = [0] * len(COMPONENTS)
    for position, value in parts.items():
        values[position] = value
    return TokenCounts(*values)


def sum_counts(vectors: Iterable[TokenCounts]) -> TokenCounts:
    """The saturating sum of any number of vectors; ``ZERO`` of none."""
    # Component by component, in one pass of the interpreter's own over each.
    components = zip(*[vector.as_tuple() for vector in vectors], strict=True)
    return TokenCounts(*[min(sum(values), MAX_COUNT) for values in components])
