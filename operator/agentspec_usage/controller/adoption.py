"""Whose numbers go on: what an object's status says against what this process knows.

A status is the operator's only memory across restarts, and it can be read back after anything: this
process's own write, another operator's write during a hand-over, or an edit by hand. The rules:

* nothing there, nothing known: a new count in a new accounting epoch;
* ours, unchanged: go on;
* another operator's, believed, consistent and no step back: take theirs and observe again in it
  what this process has seen of living instances (sound, because observing is a maximum: nothing is
  added twice);
* anything else was edited: ``StatusTampered``. What can still be vouched for goes on in a new
  epoch, so that the API server's rule against falling totals does not hold a forged number in place
  for ever. That is this process's own checkpoint, or, after a restart, the one in the notes that
  stand there, if they are believed; with neither, counting starts anew at what is seen.

Which notes are believed is said in ``notes``: with a key, those that an operator sealed for this
object. The numbers shown are not sealed beside them, because they follow from the notes: an edit of
the numbers alone costs nothing but the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    PodIdentity,
    carry_over,
    new_checkpoint,
    restart_epoch,
    totals,
)
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.status.usage import usage_numbers

__all__ = ["Adopted", "Known", "adopt"]


@dataclass(frozen=True, slots=True)
class Known:
    """What this process holds of an object: its checkpoint, and the status as it last saw it.

    ``usage`` is None for a status that was written and not seen yet. ``written`` is the checkpoint
    that the status stands for, None when it stands for none.
    """

    checkpoint: Checkpoint
    writer_state: str
    usage: Mapping[str, Any] | None
    written: Checkpoint | None


@dataclass(frozen=True, slots=True)
class Adopted:
    """The checkpoint to go on with, and what the object's own notes hold.

    ``written`` is the checkpoint that the status as read stands for: whoever compares with it sees
    whether a write is due. ``tampered_epoch`` names the epoch in which an edit was found.
    ``foreign`` says that another operator wrote.
    """

    checkpoint: Checkpoint
    written: Checkpoint | None
    tampered_epoch: str | None = None
    foreign: bool = False


def adopt(
    status: Mapping[str, Any],
    known: Known | None,
    *,
    read: Callable[[str], Checkpoint | None],
    pods: Iterable[PodIdentity],
    now: int,
    new_epoch: Callable[[], str],
) -> Adopted:
    """Decide by the rules above.

    ``read`` gives the checkpoint in notes that are whole and believed, else None. ``pods`` are
    those that exist in the namespace: in a count that starts anew, what they used so far does not
    count. ``now`` in milliseconds; ``new_epoch`` names an epoch that was never used.
    """
    text = str(status.get("writerState") or "")
    usage = status.get("usage") or {}
    if known is not None:
        return _adopt_known(text, usage, known, read, now, new_epoch)
    if not text and not usage:
        return Adopted(new_checkpoint(new_epoch()), None)
    theirs = read(text)
    if theirs is None:
        return Adopted(restart_epoch(new_epoch(), pods), None, _epoch_of(usage))
    if _consistent(theirs, usage):
        return Adopted(theirs, theirs)
    return Adopted(_moved(theirs, new_epoch()), None, _epoch_of(usage) or theirs.epoch)


def _adopt_known(
    text: str,
    usage: Mapping[str, Any],
    known: Known,
    read: Callable[[str], Checkpoint | None],
    now: int,
    new_epoch: Callable[[], str],
) -> Adopted:
    if text == known.writer_state:
        # What was judged once is not judged again: before a first write nothing stands there to
        # be consistent with, and an edit that was found has opened its epoch already.
        unchanged = usage == known.usage
        if unchanged or (known.written is not None and _consistent(known.written, usage)):
            return Adopted(known.checkpoint, known.written)
    else:
        theirs = read(text)
        if theirs is not None and _consistent(theirs, usage) and not _fell(theirs, known.written):
            return Adopted(carry_over(theirs, known.checkpoint, now), theirs, foreign=True)
    moved = _moved(known.checkpoint, new_epoch())
    return Adopted(moved, None, _epoch_of(usage) or known.checkpoint.epoch)


def _consistent(checkpoint: Checkpoint, usage: Mapping[str, Any]) -> bool:
    """Whether the numbers shown are the numbers noted. Without any usage, nothing may have been
    counted.
    """
    if not usage:
        return not totals(checkpoint)
    if usage.get("accountingEpoch") != checkpoint.epoch:
        return False
    expected = usage_numbers(totals(checkpoint))
    return all(usage.get(name) == value for name, value in expected.items())


def _fell(theirs: Checkpoint, before: Checkpoint | None) -> bool:
    """Whether totals are lower than those that stood there in the same epoch, which no operator
    writes: an old status was put back, seal and all.
    """
    if before is None or theirs.epoch != before.epoch:
        return False
    return not totals(theirs).covers(totals(before))


def _moved(checkpoint: Checkpoint, epoch: str) -> Checkpoint:
    return replace(checkpoint, epoch=epoch, reasons=checkpoint.reasons | {Reason.STATUS_TAMPERED})


def _epoch_of(usage: Mapping[str, Any]) -> str | None:
    epoch = usage.get("accountingEpoch")
    return str(epoch) if epoch else None
