"""A pod's budget: whether a call may still be made, and what calls used.

A hard limit answers 403, not 429, which the providers' clients repeat. It is judged before a call,
with what calls under way may still write (their output limits) taken as used. What nobody knows
beforehand is not guessed: the input of a call, and the output of one that sets no limit. So a limit
can be exceeded by what the calls under way at that moment used beyond their output limits, and
never by a call that began after.

A call that used nothing (refused by the provider, never sent) gives back what was taken for it, and
a request on no metered surface is not asked about. Everything happens on the event loop, one thing
at a time; that is what makes it safe without locks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agentspec_usage.extraction.values import ReadCall
from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.runtime.clock import Clock, to_rfc3339
from agentspec_usage.sidecar.budget.file import SpendingFile
from agentspec_usage.sidecar.budget.limits import (
    BudgetLimits,
    Threshold,
    window_end,
    window_start,
)
from agentspec_usage.sidecar.budget.spending import Spending, Spent
from agentspec_usage.sidecar.calls import ProxiedEnd, ProxiedRequest, Refusal
from agentspec_usage.sidecar.unmetered import is_unmetered

__all__ = ["Announce", "BudgetFacts", "PodBudget"]

logger = logging.getLogger(__name__)

Announce = Callable[[str, Mapping[str, object]], None]
"""Called with "budget" and what is to be told: once per window and threshold."""


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """The budget now, for /metrics and /health/ready. ``reserved`` tokens are of calls under way.
    ``durable`` says whether a restart would know what was used, ``fault`` what went wrong with it.
    """

    limits: Mapping[Threshold, int]
    used: Spent
    under_way: int
    reserved: int
    refused: Mapping[Threshold, int]
    durable: bool = True
    fault: str = ""


class PodBudget:
    """The ``Budget`` of a pod. ``file`` is None where nothing can be kept across restarts."""

    def __init__(
        self, limits: BudgetLimits, file: SpendingFile | None, clock: Clock, announce: Announce
    ) -> None:
        self._window = limits.window
        self._limits = limits.thresholds()
        self._file = file
        self._clock = clock
        self._announce = announce
        self._spending = file.open() if file is not None else Spending()
        self._under_way: dict[str, int] = {}
        self._reserved = 0
        self._hard = {at: limit for at, limit in self._limits.items() if at.is_hard}
        self._soft = {at: limit for at, limit in self._limits.items() if not at.is_hard}
        self._refused = dict.fromkeys(self._hard, 0)
        self._present = range(0)

    def admit(self, request: ProxiedRequest) -> Refusal | None:
        facts = request.facts
        if facts is None or facts.route.retrieval:
            return None
        # A client wrote it: a negative one must not lend tokens to others.
        asked = min(max(facts.output_limit or 0, 0), MAX_COUNT)
        start = self._start()
        for threshold, limit in self._hard.items():
            if self._is_beyond(threshold, limit, start, asked):
                return self._refuse(threshold, limit, start, asked)
        self._under_way[request.key] = asked
        self._reserved += asked
        return None

    def spend(self, request: ProxiedRequest, counted: Sequence[ReadCall]) -> None:
        self._add(_tokens(counted), _calls(counted))

    def settle(self, request: ProxiedRequest, end: ProxiedEnd, counted: Sequence[ReadCall]) -> None:
        self._reserved -= self._under_way.pop(request.key, 0)
        self._add(_tokens(counted), _calls(counted) + is_unmetered(request, end))

    def facts(self) -> BudgetFacts:
        start = self._start()
        return BudgetFacts(
            self._limits,
            self._spending.at(start),
            len(self._under_way),
            self._reserved,
            dict(self._refused),
            self._file is not None and not self._file.fault,
            self._file.fault if self._file is not None else "",
        )

    def close(self) -> None:
        """What was used is on the disk."""
        if self._file is not None:
            self._file.close()

    def _start(self) -> int:
        """When the present window began. Asked at each call, so it is remembered."""
        now = self._clock.now()
        if now not in self._present:
            start = window_start(self._window, now)
            self._present = range(start, window_end(self._window, start))
        return self._present.start

    def _is_beyond(self, threshold: Threshold, limit: int, start: int, asked: int) -> bool:
        """Whether one more call could go beyond ``limit``; at the limit every call does."""
        used = self._spending.at(start).of(threshold)
        if threshold.is_of_tokens:
            return used + self._reserved + max(asked, 1) > limit
        return used + len(self._under_way) + 1 > limit

    def _refuse(self, threshold: Threshold, limit: int, start: int, asked: int) -> Refusal:
        self._refused[threshold] += 1
        if self._is_beyond(threshold, limit, start, 0):
            self._tell(threshold, limit, start)
            why = "the budget of this pod is used up"
        else:
            # Smaller calls still fit: the limit was not reached, and is told of when it is.
            why = f"the budget of this pod has no room for an output of {asked} tokens"
        document = self._document(threshold, limit, start)
        message = (
            f"{why}: {threshold} {limit}, used {document['used']}, until {document['windowEnds']}"
        )
        # "error" as the providers write theirs, so that their clients show the message.
        error = {"type": "budget_exceeded", "code": "budget_exceeded", "message": message}
        return Refusal({"error": error, **document})

    def _add(self, tokens: int, requests: int) -> None:
        if not tokens and not requests:
            return
        start = self._start()
        self._spending = self._spending.plus(start, tokens, requests)
        for threshold, limit in self._soft.items():
            if self._spending.at(start).of(threshold) >= limit:
                self._tell(threshold, limit, start)
        if self._file is not None:
            self._file.write(self._spending)

    def _tell(self, threshold: Threshold, limit: int, start: int) -> None:
        """Once per window and threshold."""
        if threshold in self._spending.at(start).announced:
            return
        self._spending = self._spending.announcing(start, threshold)
        if self._file is not None:
            self._file.write(self._spending)
        document = self._document(threshold, limit, start)
        logger.warning("a threshold of the budget was reached", extra=document)
        self._announce("budget", document)

    def _document(self, threshold: Threshold, limit: int, start: int) -> dict[str, object]:
        spent = self._spending.at(start)
        reserved = self._reserved if threshold.is_of_tokens else len(self._under_way)
        return {
            "reason": str(threshold),
            "limit": limit,
            "used": spent.of(threshold),
            "reserved": reserved,
            "window": str(self._window),
            "windowEnds": to_rfc3339(window_end(self._window, start)),
        }


def _tokens(counted: Sequence[ReadCall]) -> int:
    return sum(call.counts.total for call in counted)


def _calls(counted: Sequence[ReadCall]) -> int:
    return sum(call.counts.calls for call in counted)
