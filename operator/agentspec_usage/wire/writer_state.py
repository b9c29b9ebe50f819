"""``status.writerState``: a checkpoint as one short string in its object's own status.

    urlsafe base64( version byte | CRC-32 of the rest | zlib( layout ) )

The checksum is over the deflated bytes, because different ones can inflate to the same: a state has
one string, and any other is refused.

A status has room for 8 KiB of it. A checkpoint always fits: what does not is given up in the order
of what it costs the reader, and is given up in the checkpoint that ``pack`` returns too, so that
the writer goes on from exactly what a reader of the string would know:

1. which instance used a model: the use joins the retired sum's models, and the rows that people see
   stay as they are; only an operator that starts anew may miss a little growth (unattributed);
2. models that no row shows, the least used first;
3. tombstones, the oldest first: an instance that returns begins at what is seen (a lower bound);
4. the other models; choices of source of pods that nothing was read from;
5. windows of senders without instance ids that could still be read late;
6. live instances and sources, the least needed first, into the retired sum.

Totals are never given up.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable, Set
from dataclasses import dataclass, replace

from agentspec_usage.errors import UsageError, WireError
from agentspec_usage.metering.folding import (
    fold_instances,
    forget_legacy,
    least_needed,
    longest_unseen_legacy,
    with_tombstones_within,
)
from agentspec_usage.metering.models import MODEL_ROWS, ModelKey, most_used
from agentspec_usage.metering.state import Checkpoint, LegacyKey
from agentspec_usage.metering.tally import Tally
from agentspec_usage.wire.writer_state_layout import (
    is_one_model,
    read_checkpoint,
    write_checkpoint,
)

__all__ = ["LIMIT", "MIN_LIMIT", "pack", "unpack"]

LIMIT = 8192
"""Characters that a status has room for."""

MIN_LIMIT = 1024
"""What the irreducible rest of any checkpoint fits into."""

_VERSION = 2
_WITHOUT_COST = 1
"""The version before this one; what it counted has no cost."""
_MOST_USES = 512
"""More uses of models than ever fit: beyond it no bisection is worth its time."""
_MAX_INFLATED = 256 * 1024


def pack(cp: Checkpoint, limit: int = LIMIT) -> tuple[Checkpoint, str]:
    """The checkpoint that fits into ``limit`` characters, and the string that says it."""
    if limit < MIN_LIMIT:
        raise UsageError(f"writer state limit {limit}: expected at least {MIN_LIMIT}")
    text = _encode(cp)
    for shrink in _LADDER:
        if len(text) <= limit:
            break
        cp, text = _shrunk(cp, shrink, limit)
    return cp, text


def unpack(text: str) -> Checkpoint:
    """The checkpoint that ``pack`` put into ``text``. Raises ``WireError`` when it is damaged."""
    try:
        raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise WireError("writerState", "urlsafe base64") from None
    if base64.urlsafe_b64encode(raw) != text.encode("ascii"):
        # The last character has bits that no byte uses: one state, one string.
        raise WireError("writerState", "canonical base64")
    if len(raw) < 5 or raw[0] not in (_VERSION, _WITHOUT_COST):
        raise WireError("writerState", f"version {_VERSION}")
    if zlib.crc32(raw[5:]) != int.from_bytes(raw[1:5], "big"):
        raise WireError("writerState", "its checksum")
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(raw[5:], _MAX_INFLATED)
    except zlib.error:
        raise WireError("writerState", "zlib") from None
    if not inflater.eof or inflater.unused_data:
        raise WireError("writerState", f"one stream of at most {_MAX_INFLATED} bytes")
    return read_checkpoint(data, has_cost=raw[0] != _WITHOUT_COST)


def _encode(cp: Checkpoint) -> str:
    stream = zlib.compress(write_checkpoint(cp), 9)
    checksum = zlib.crc32(stream).to_bytes(4, "big")
    return base64.urlsafe_b64encode(bytes([_VERSION]) + checksum + stream).decode("ascii")


@dataclass(frozen=True, slots=True)
class Steps:
    """One way to make a checkpoint smaller: by giving up the first ``n`` of ``count`` things."""

    count: int
    give_up: Callable[[int], Checkpoint]


Shrink = Callable[[Checkpoint], Steps]


def _shrunk(cp: Checkpoint, shrink: Shrink, limit: int) -> tuple[Checkpoint, str]:
    """As few steps as make the checkpoint fit, found by bisection; all steps when none does."""
    steps = shrink(cp)
    smallest = steps.give_up(steps.count) if steps.count else cp
    text = _encode(smallest)
    if len(text) > limit:
        return smallest, text
    best = smallest, text
    enough, too_few = steps.count, 0
    while enough - too_few > max(1, steps.count // 64):
        middle = (enough + too_few) // 2
        smaller = steps.give_up(middle)
        text = _encode(smaller)
        if len(text) <= limit:
            best = smaller, text
            enough = middle
        else:
            too_few = middle
    return best


Place = str | LegacyKey
"""Where a model's use stands: a live instance or a legacy source."""


def _uses(cp: Checkpoint, *, free: bool) -> list[tuple[Place, ModelKey]]:
    """Each model's use in each place, the least first; ``free`` takes the free ones too."""
    found: list[tuple[int, int, Place, ModelKey]] = []
    for instance_id, instance in cp.live.items():
        if free or not is_one_model(instance.meter):
            for key, counts in instance.meter.used().models.items():
                found.append((counts.total, counts.calls, instance_id, key))
    for source, windows in cp.legacy.items():
        alike = not windows.retired.models and all(map(is_one_model, windows.open.values()))
        if free or not alike:
            for key, counts in windows.used().models.items():
                found.append((counts.total, counts.calls, source, key))
    found.sort(key=lambda use: use[:2])
    return [(place, key) for *_, place, key in found]


def _crowd_of_uses(cp: Checkpoint) -> Steps:
    uses = _uses(cp, free=False)
    count = max(len(uses) - _MOST_USES, 0)
    return Steps(1, lambda _: _pooled(cp, uses[:count])) if count else Steps(0, lambda _: cp)


def _costly_uses(cp: Checkpoint) -> Steps:
    uses = _uses(cp, free=False)
    return Steps(len(uses), lambda n: _pooled(cp, uses[:n]))


def _all_uses(cp: Checkpoint) -> Steps:
    uses = _uses(cp, free=True)
    return Steps(len(uses), lambda n: _pooled(cp, uses[:n]))


def _pooled(cp: Checkpoint, uses: list[tuple[Place, ModelKey]]) -> Checkpoint:
    """With these uses among the retired sum's models; the totals stay where they are."""
    chosen: dict[Place, set[ModelKey]] = {}
    for place, key in uses:
        chosen.setdefault(place, set()).add(key)
    live = dict(cp.live)
    legacy = dict(cp.legacy)
    pool = cp.retired
    for place, keys in chosen.items():
        if isinstance(place, LegacyKey):
            windows = legacy[place]
            used = windows.used().models
            legacy[place] = replace(
                windows,
                retired=_without_models(windows.retired, keys),
                open={start: meter.counted(keys) for start, meter in windows.open.items()},
            )
        else:
            instance = live[place]
            used = instance.meter.used().models
            live[place] = replace(instance, meter=instance.meter.counted(keys))
        pool += Tally(models={key: used[key] for key in keys})
    return replace(cp, live=live, legacy=legacy, retired=pool)


def _unshown_models(cp: Checkpoint) -> Steps:
    return _least_used_models(cp, max(len(cp.retired.models) - MODEL_ROWS, 0))


def _retired_models(cp: Checkpoint) -> Steps:
    return _least_used_models(cp, len(cp.retired.models))


def _least_used_models(cp: Checkpoint, count: int) -> Steps:
    order = list(most_used(cp.retired.models, len(cp.retired.models)))
    order.reverse()

    def give_up(n: int) -> Checkpoint:
        return replace(cp, retired=_without_models(cp.retired, set(order[:n])))

    return Steps(count, give_up)


def _without_models(tally: Tally, keys: Set[ModelKey]) -> Tally:
    return Tally(tally.totals, {key: used for key, used in tally.models.items() if key not in keys})


def _tombstones(cp: Checkpoint) -> Steps:
    count = len(cp.tombstones) + len(cp.closed)
    return Steps(count, lambda n: with_tombstones_within(cp, count - n))


def _spare_sources(cp: Checkpoint) -> Steps:
    needed = {instance.pod.uid for instance in cp.live.values()}
    needed.update(tombstone.pod.uid for tombstone in cp.tombstones.values())
    needed.update(key.pod_uid for key in cp.legacy)
    spare = [uid for uid in cp.sources if uid not in needed]

    def give_up(n: int) -> Checkpoint:
        dropped = frozenset(spare[:n])
        kept = {uid: source for uid, source in cp.sources.items() if uid not in dropped}
        return replace(cp, sources=kept)

    return Steps(len(spare), give_up)


def _open_windows(cp: Checkpoint) -> Steps:
    most = max((len(windows.open) for windows in cp.legacy.values()), default=1)

    def give_up(n: int) -> Checkpoint:
        legacy = {key: windows.retiring(most - n) for key, windows in cp.legacy.items()}
        return replace(cp, legacy=legacy)

    return Steps(most - 1, give_up)


def _live(cp: Checkpoint) -> Steps:
    order = least_needed(cp, len(cp.live))
    return Steps(len(order), lambda n: with_tombstones_within(fold_instances(cp, order[:n]), 0))


def _legacy(cp: Checkpoint) -> Steps:
    order = longest_unseen_legacy(cp, len(cp.legacy))
    return Steps(len(order), lambda n: forget_legacy(cp, order[:n]))


_LADDER: tuple[Shrink, ...] = (
    _crowd_of_uses,
    _costly_uses,
    _unshown_models,
    _tombstones,
    _all_uses,
    _retired_models,
    _spare_sources,
    _open_windows,
    _live,
    _legacy,
    _retired_models,
    _spare_sources,
)
"""After folding, what the folded left behind (models, sources) is given up as well."""
