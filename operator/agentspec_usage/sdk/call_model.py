"""Metering a LangGraph node: every AI message that it adds is one model call.

The wrapped node behaves as the node does: plain, async, or a generator of either kind; the same
signature, values and exceptions. A node that failed added no message, so nothing is counted for it
here; a client that is metered itself counts what it used. Chunks of a streamed message are put
together by LangChain's own addition.
"""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.sdk.context import current_context
from agentspec_usage.sdk.ledger import UsageLedger
from agentspec_usage.sdk.messages import added_ai_messages, is_chunk, message_usage
from agentspec_usage.sdk.seen_calls import count_unless_counted, seen_record
from agentspec_usage.sdk.shield import shielded
from agentspec_usage.sdk.sightings import Scope, Surface, current_scope, entered, scope

__all__ = ["LedgerOwner", "MeteredNode", "instrument_call_model"]

_MARK = "_agentspec_usage_metering"

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class LedgerOwner(Protocol):
    """A reporter, as far as it matters here."""

    @property
    def ledger(self) -> UsageLedger:
        """The ledger that it reports."""
        ...


class MeteredNode(Protocol[P, R]):
    """The node, and what it called."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def get_calls(self) -> list[UsageRecord]:
        """The calls seen in this node's messages, the newest last, wherever they were counted."""
        ...


def instrument_call_model(
    fn: Callable[P, R],
    *,
    reporter: LedgerOwner | None = None,
    ledger: UsageLedger | None = None,
    model_id: str = "",
    max_events: int = 10_000,
) -> MeteredNode[P, R]:
    """``fn``, metered. Wrapping a node again changes nothing.

    ``model_id`` (``provider/model``) names the model where messages do not. ``max_events`` bounds
    what ``get_calls`` remembers.
    """
    if getattr(fn, _MARK, None) is not None:
        return cast("MeteredNode[P, R]", fn)
    if ledger is None:
        if reporter is None:
            raise UsageError("instrument_call_model: expected a reporter or a ledger")
        ledger = reporter.ledger
    node = _Node(ledger, model_id, max_events)
    wrapped: Any
    if inspect.isasyncgenfunction(fn):
        wrapped = _async_generator(fn, node)
    elif inspect.isgeneratorfunction(fn):
        wrapped = _generator(fn, node)
    elif inspect.iscoroutinefunction(fn):
        wrapped = _coroutine(fn, node)
    else:
        wrapped = _plain(fn, node)
    setattr(wrapped, _MARK, node)
    wrapped.get_calls = node.get_calls
    return cast("MeteredNode[P, R]", wrapped)


class _Node:
    """What a metered node counts into and remembers."""

    def __init__(self, ledger: UsageLedger, model_id: str, max_events: int) -> None:
        self._ledger = ledger
        self._model_id = model_id
        self._calls: deque[UsageRecord] = deque(maxlen=max_events)

    def get_calls(self) -> list[UsageRecord]:
        return list(self._calls)

    def count(self, block: Scope, before: object, after: object, *, aborted: bool = False) -> None:
        """Count the AI messages that ``after`` adds to ``before``."""
        for message in added_ai_messages(before, after):
            shielded(self._count_message, block, message, aborted)

    def _count_message(self, block: Scope, message: object, aborted: bool) -> None:
        usage = message_usage(message)
        if not usage.from_model:
            return
        record = seen_record(
            usage, model_id=self._model_id, context=current_context(), aborted=aborted
        )
        count_unless_counted(self._ledger, Surface.NODE, record, block, late=aborted)
        self._calls.append(record)


class _Streamed:
    """The messages of a node that yields: chunks joined, whole ones as they are."""

    def __init__(self) -> None:
        self._joined: dict[object, Any] = {}
        self._whole: list[object] = []

    def saw(self, item: object) -> None:
        for message in added_ai_messages(None, item):
            if is_chunk(message):
                name = getattr(message, "id", None)
                known = self._joined.get(name)
                self._joined[name] = message if known is None else known + message
            else:
                self._whole.append(message)

    @property
    def messages(self) -> list[object]:
        return [*self._joined.values(), *self._whole]


def _plain(fn: Callable[..., Any], node: _Node) -> Callable[..., Any]:
    @functools.wraps(fn)
    def metered(*args: Any, **kwargs: Any) -> Any:
        with scope() as block:
            result = fn(*args, **kwargs)
        if inspect.isawaitable(result):
            return _awaited(result, node, args)
        shielded(node.count, block, args, result)
        return result

    return metered


async def _awaited(result: Any, node: _Node, before: object) -> Any:
    """A plain function that returned a coroutine: the calls are made while it is awaited."""
    with scope() as block:
        answer = await result
    shielded(node.count, block, before, answer)
    return answer


def _coroutine(fn: Callable[..., Any], node: _Node) -> Callable[..., Any]:
    @functools.wraps(fn)
    async def metered(*args: Any, **kwargs: Any) -> Any:
        with scope() as block:
            result = await fn(*args, **kwargs)
        shielded(node.count, block, args, result)
        return result

    return metered


# A generator runs in steps, and between two of them the flow belongs to whoever asks for the next:
# the block is entered for each step and left again.


def _generator(fn: Callable[..., Iterator[Any]], node: _Node) -> Callable[..., Any]:
    @functools.wraps(fn)
    def metered(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        block, streamed, aborted = Scope(current_scope()), _Streamed(), True
        steps = fn(*args, **kwargs)
        sent: Any = None
        try:
            while True:
                outside = entered(block)
                try:
                    item = next(steps) if sent is None else cast("Any", steps).send(sent)
                except StopIteration as end:
                    aborted = False
                    return end.value
                finally:
                    entered(outside)
                shielded(streamed.saw, item)
                sent = yield item
        finally:
            cast("Any", steps).close()
            shielded(node.count, block, args, streamed.messages, aborted=aborted)

    return metered


def _async_generator(fn: Callable[..., AsyncIterator[Any]], node: _Node) -> Callable[..., Any]:
    @functools.wraps(fn)
    async def metered(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        block, streamed, aborted = Scope(current_scope()), _Streamed(), True
        steps = fn(*args, **kwargs)
        try:
            while True:
                outside = entered(block)
                try:
                    item = await anext(steps)
                except StopAsyncIteration:
                    aborted = False
                    return
                finally:
                    entered(outside)
                shielded(streamed.saw, item)
                yield item
        finally:
            await cast("Any", steps).aclose()
            shielded(node.count, block, args, streamed.messages, aborted=aborted)

    return metered
