"""A pod's budget with a clock moved by hand, and what it announced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentspec_usage.sidecar.budget.file import SpendingFile
from agentspec_usage.sidecar.budget.limits import BudgetLimits
from agentspec_usage.sidecar.budget.pod import PodBudget
from agentspec_usage.sidecar.calls import ProxiedRequest, Refusal
from tests.fakes.hand_clock import HandClock
from tests.unit.sidecar.proxied import a_call, a_request, an_end, chat_facts

__all__ = ["Spender"]


class Spender:
    """Makes calls on a budget with ``limits`` (by the configuration's names)."""

    def __init__(self, path: Path | None = None, **limits: Any) -> None:
        self.clock = HandClock()
        self.announced: list[Mapping[str, object]] = []
        self._limits = BudgetLimits.model_validate(limits)
        self._path = path
        self._requests = 0
        self.budget = self._new()

    def restart(self) -> None:
        """Another process takes over, after a kill."""
        self.budget = self._new()

    def begin(self, output_limit: int | None = None) -> ProxiedRequest | Refusal:
        """A request, or why it is refused."""
        self._requests += 1
        request = a_request(f"r{self._requests}", facts=chat_facts(output_limit=output_limit))
        return self.budget.admit(request) or request

    def open(self, output_limit: int | None = None) -> ProxiedRequest:
        """A request that is not refused."""
        request = self.begin(output_limit)
        assert isinstance(request, ProxiedRequest), request
        return request

    def settle(self, request: ProxiedRequest, tokens: int) -> None:
        """The request is over; it was one call of ``tokens``."""
        call = a_call(tokens, 0)
        self.budget.settle(request, an_end(call), [call])

    def use(self, tokens: int) -> None:
        """One call from begin to end."""
        self.settle(self.open(), tokens)

    def _new(self) -> PodBudget:
        file = SpendingFile(self._path) if self._path is not None else None
        return PodBudget(self._limits, file, self.clock, self._announce)

    def _announce(self, kind: str, document: Mapping[str, object]) -> None:
        assert kind == "budget"
        self.announced.append(document)
