"""Prices and counts for the tests of ``pricing``."""

from __future__ import annotations

from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.pricing.rates import Rates, UnitPrices, price_tier

MICRO = 10**6
"""A dollar a million tokens is a millionth of a dollar for one: this many times 10^-12."""


def prices(*tiers: tuple[int, Rates], units: tuple[tuple[str, int, int], ...] = ()) -> UnitPrices:
    """Unit prices of tiers given as (above, rates)."""
    return UnitPrices(
        sku="acme/model",
        price_id="acme/model@1970-01-01T00:00Z",
        currency="USD",
        tiers=tuple(price_tier(above, rates) for above, rates in tiers),
        units=units,
    )


_rate = st.integers(0, 10**9)
_own = st.none() | _rate

any_rates = st.builds(
    Rates,
    input=_rate,
    output=_rate,
    cache_read=_own,
    cache_write=_own,
    cache_write_5m=_own,
    cache_write_1h=_own,
    reasoning=_own,
    audio_in=_own,
    audio_out=_own,
    image_in=_own,
    image_out=_own,
    call=_own,
)


@st.composite
def lawful_counts(draw: st.DrawFn) -> TokenCounts:
    """A vector whose parts are within their wholes and do not overlap; calls that were metered."""
    part = st.integers(0, 10**6)
    inputs = {
        name: draw(part)
        for name in (
            "cache_read",
            "cache_write_5m",
            "cache_write_1h",
            "cache_write_unspecified",
            "audio_in",
            "image_in",
        )
    }
    outputs = {name: draw(part) for name in ("reasoning", "audio_out", "image_out")}
    return TokenCounts(
        input=sum(inputs.values()) + draw(part),
        output=sum(outputs.values()) + draw(part),
        calls=draw(st.integers(1, 1000)),
        **inputs,
        **outputs,
    )
