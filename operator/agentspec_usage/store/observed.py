"""What the control plane needs of a store for an operator's observations, both ways."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.periods import Span
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.queries import AgentName
from agentspec_usage.wire.observed_encoding import Observation

__all__ = ["AgentUsage", "Cost", "ObservationStore", "Used"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What was used and charged in one currency; "" is what has no price.

    ``tokens`` are input and output; ``estimated`` whether any of the charges is an estimate.
    """

    tokens: int = 0
    pico: int = 0
    estimated: bool = False

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.tokens + other.tokens,
            self.pico + other.pico,
            self.estimated or other.estimated,
        )


Used = Mapping[str, Cost]
"""What was used in a period, by currency; empty where nothing was, and without a currency in which
nothing is charged any more."""


@dataclass(frozen=True, slots=True)
class AgentUsage:
    """What one agent used, its tail included. ``tail`` is what is in none of the charges yet.
    ``charged_as`` is the agent of its namespace that is charged what is read of its pods, where
    that is another one.
    """

    today: Used = field(default_factory=dict)
    month: Used = field(default_factory=dict)
    ever: Used = field(default_factory=dict)
    tail: TokenCounts = ZERO
    charged_as: str = ""


class ObservationStore(Protocol):
    """Takes in what was observed, and says what it costs."""

    @property
    def currency(self) -> str:
        """The currency of the present prices."""
        ...

    async def observe(
        self, observations: Sequence[Observation], draw: Callable[[], str], now: int
    ) -> None:
        """Keep what was read of each pod; durable when it returns. An agent that was never heard of
        is made, without a key and with an id of what ``draw`` gives."""
        ...

    async def agent_usage(
        self, agents: Collection[AgentName], today: Span, month: Span, now: int
    ) -> Mapping[AgentName, AgentUsage]:
        """What each of the agents used; those that are not known are left out."""
        ...

    async def settle_tails(self, until: int, limit: int, now: int) -> int:
        """Charge what was seen before ``until`` (ms) and is not charged, as estimates, of so many
        instances. How many that were; 0 when nothing is left."""
        ...

    async def newest_checkpoint(self) -> SignedCheckpoint | None:
        """The newest signed head of the journal."""
        ...
