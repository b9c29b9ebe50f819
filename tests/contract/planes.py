"""A control plane that takes every kind of credential, has prices, and is limited by nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.controlplane.processes import ControlPlane, control_plane

__all__ = ["OPERATOR", "open_control_plane"]

_PRICES = """
currency: USD
entries:
  - match: {provider: openai, model: "model-*"}
    from: 2020-01-01
    tiers: [{aboveInputTokens: 0, input: "1.25", output: "10"}]
"""

_OPERATOR_KEY = "the operator's key of the tests"

OPERATOR = {"Authorization": f"Bearer {_OPERATOR_KEY}"}
"""What the operator shows."""


@contextmanager
def open_control_plane(directory: Path) -> Iterator[ControlPlane]:
    """A control plane that runs until the end of the block."""
    operator_key = directory / "operator-key"
    operator_key.write_text(_OPERATOR_KEY)
    prices = directory / "prices.yaml"
    prices.write_text(_PRICES)
    with control_plane(
        directory,
        f"--price-book={prices}",
        f"--operator-key-file={operator_key}",
        "--request-rate=100000",
        "--request-burst=100000",
        "--instance-burst=1000000",
        "--heartbeat-interval=0",
        "--event-flush-interval=0.25",
    ) as running:
        yield running
