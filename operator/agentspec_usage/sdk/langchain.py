"""A LangChain callback handler that meters every model call of a chain, a graph or a model.

``model.invoke(..., config={"callbacks": [UsageCallbackHandler(ledger)]})``

One run of a chat model is one call, whatever number of choices it asked for. The handler runs
inline, so that what a metered client counts inside the run is known here and not counted again; two
handlers of one ledger on the same run are one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from agentspec_usage.errors import MissingExtraError
from agentspec_usage.metering.record import CallContext
from agentspec_usage.sdk.calls import was_sent
from agentspec_usage.sdk.context import current_context
from agentspec_usage.sdk.ledger import UsageLedger
from agentspec_usage.sdk.messages import MessageUsage, message_usage
from agentspec_usage.sdk.seen_calls import count_unless_counted, seen_record
from agentspec_usage.sdk.shield import shielded
from agentspec_usage.sdk.sightings import Scope, Surface, current_scope, entered

try:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.outputs import LLMResult
except ImportError as error:
    raise MissingExtraError("UsageCallbackHandler", "langchain") from error

__all__ = ["UsageCallbackHandler"]

_MAX_OPEN = 10_000
"""Runs that began and did not end: a host that drops streams never says so."""


@dataclass(slots=True)
class _Run:
    """A run that is under way; ``block`` has what was counted inside it."""

    block: Scope
    model_id: str
    context: CallContext
    began: float
    outside: Scope | None = field(default=None)


class _Runs:
    """The open runs of one ledger, so that a run belongs to one handler."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: OrderedDict[UUID, _Run] = OrderedDict()

    def begin(self, run_id: UUID, run: _Run) -> bool:
        with self._lock:
            if run_id in self._open:
                return False
            self._open[run_id] = run
            if len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)
            return True

    def end(self, run_id: UUID) -> _Run | None:
        with self._lock:
            return self._open.pop(run_id, None)


_RUNS: WeakKeyDictionary[UsageLedger, _Runs] = WeakKeyDictionary()


class UsageCallbackHandler(BaseCallbackHandler):
    """Meters the model calls of what it is given to. ``model_id`` names models that do not."""

    run_inline = True

    def __init__(self, ledger: UsageLedger, *, model_id: str = "") -> None:
        self._ledger = ledger
        self._model_id = model_id
        self._runs = _RUNS.setdefault(ledger, _Runs())

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model begins."""
        shielded(self._begin, run_id, metadata)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A completion model begins."""
        shielded(self._begin, run_id, metadata)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """The model answered."""
        run = self._left(run_id)
        if run is not None:
            shielded(self._count, run, shielded(_result_usage, response) or _UNKNOWN)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """The model failed, perhaps after some of a stream."""
        run = self._left(run_id)
        if run is None:
            return
        response = kwargs.get("response")
        usage = None if response is None else shielded(_result_usage, response)
        if usage is not None and usage.measured is not None:
            shielded(self._count, run, usage, aborted=True)
        elif was_sent(error):
            shielded(self._count, run, usage or _UNKNOWN, aborted=True)

    def _begin(self, run_id: UUID, metadata: dict[str, Any] | None) -> None:
        named = metadata or {}
        provider, model = named.get("ls_provider"), named.get("ls_model_name")
        model_id = self._model_id or (f"{provider}/{model}" if provider and model else model or "")
        began = self._ledger.clock.monotonic()
        run = _Run(Scope(current_scope()), str(model_id), current_context(), began)
        if self._runs.begin(run_id, run):
            run.outside = entered(run.block)

    def _left(self, run_id: UUID) -> _Run | None:
        run = self._runs.end(run_id)
        if run is not None and current_scope() is run.block:
            entered(run.outside)
        return run

    def _count(self, run: _Run, usage: MessageUsage, aborted: bool = False) -> None:
        duration = round((self._ledger.clock.monotonic() - run.began) * 1000)
        record = seen_record(
            usage,
            model_id=run.model_id,
            context=run.context,
            aborted=aborted,
            duration_ms=duration,
        )
        if run.block.counted:
            # The run is one model call, and what was counted inside it is that call. Its id is
            # taken note of, so that an id which repeats is another call.
            self._ledger.sightings.recognised(Surface.HANDLER, record.response_id)
            return
        count_unless_counted(self._ledger, Surface.HANDLER, record, run.block)


_UNKNOWN = MessageUsage(None, "", "", "", "")


def _result_usage(result: LLMResult) -> MessageUsage:
    """Every choice of a run repeats the usage of the run: the first that has it tells it."""
    found = _UNKNOWN
    for generation in (choice for choices in result.generations for choice in choices):
        message = getattr(generation, "message", None)
        if message is not None:
            found = message_usage(message)
            if found.measured is not None:
                return found
    if result.llm_output:
        whole = message_usage({"response_metadata": result.llm_output})
        if whole.measured is not None:
            return whole
    return found
