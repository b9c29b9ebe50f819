"""On whose behalf calls are made, said once around them.

The context travels with the flow of the program (``contextvars``), through ``await`` and into
tasks, so that nobody passes a team or a session down to the line that calls the model. It is an
attribute of records, for allocation and search, and never a key: what it says changes no total.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from agentspec_usage.metering.record import NO_CONTEXT, CallContext

__all__ = ["current_context", "usage_context"]

_MAX_TEXT = 128
_MAX_LABELS = 16
_MAX_LABEL_BYTES = 64

_CONTEXT: ContextVar[CallContext] = ContextVar("agentspec_usage_context", default=NO_CONTEXT)


def current_context() -> CallContext:
    """The context of a call made here and now."""
    return _CONTEXT.get()


@contextmanager
def usage_context(
    *,
    team: str | None = None,
    session: str | None = None,
    run: str | None = None,
    parent_run: str | None = None,
    user: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> Iterator[CallContext]:
    """Calls inside the block belong to this team, session, run and user.

    What is not said stays as it is outside; a new ``run`` inside a run has that one as its parent
    unless another is named; labels add to those outside. Text is cut at 128 characters, labels at
    16 pairs of 64 bytes each.
    """
    outer = _CONTEXT.get()
    if run is not None and parent_run is None and outer.run and outer.run != run:
        parent_run = outer.run
    inner = CallContext(
        user=_said(user, outer.user),
        session=_said(session, outer.session),
        run=_said(run, outer.run),
        parent_run=_said(parent_run, outer.parent_run),
        team=_said(team, outer.team),
        labels=_labels(outer.labels, labels or {}),
    )
    token = _CONTEXT.set(inner)
    try:
        yield inner
    finally:
        _CONTEXT.reset(token)


def _said(value: object, outer: str) -> str:
    return outer if value is None else str(value)[:_MAX_TEXT]


def _labels(outer: Mapping[str, str], added: Mapping[str, str]) -> Mapping[str, str]:
    if not added:
        return outer
    labels = dict(outer)
    for name, value in added.items():
        labels[_cut(name)] = _cut(value)
    return MappingProxyType(dict(list(labels.items())[-_MAX_LABELS:]))


def _cut(text: object) -> str:
    return str(text).encode(errors="replace")[:_MAX_LABEL_BYTES].decode(errors="ignore")
