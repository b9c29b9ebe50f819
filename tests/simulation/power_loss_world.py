"""A store's life, what it promised in it, and whether what a power loss left keeps the promises.

A promise is kept when, on the disk as it may be after the loss, the shipped store opens, has every
frame that it acknowledged, each once, every key that it gave out, every batch of events that it
told of and every period that it closed, and is what every head says that was signed. Then the
senders go on: what they were not told to be durable comes again, and the sums become the truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from random import Random
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agentspec_usage.metering.counts import COMPONENTS, TokenCounts, sum_counts
from agentspec_usage.metering.event_sealing import EventSealing
from agentspec_usage.metering.months import month_span
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.usage_event import UsageEvent
from agentspec_usage.store.errors import StoreError
from agentspec_usage.store.periods import ClosedPeriod, Period
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.proof.signing import Signer
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.sqlite.opening import open_verified
from agentspec_usage.store.sqlite.store import SqliteStore
from agentspec_usage.store.sqlite.verified import verify_file
from agentspec_usage.store.values import Agent, DigestedFrame
from agentspec_usage.wire.records_encoding import frame_digest
from tests.simulation.power_loss_disk import Disk, Fate, fates
from tests.simulation.power_loss_recording import RecordedDatabase, Recording
from tests.unit.store.values import NOW, frame, record, register

__all__ = ["Life", "Loss", "broken_promises", "live", "losses"]

Promise = TypeVar("Promise")

_SUMS = ", ".join(f"sum({name})" for name in COMPONENTS)
_MODELS = tuple(SeriesKey("openai", f"gpt-{number}") for number in range(3))


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame that was sent when ``moment`` events had happened to the files."""

    moment: int
    agent: Agent
    frame: DigestedFrame


@dataclass(slots=True)
class Life:
    """What was sent, and what was promised: each with the moment from which on it was."""

    recording: Recording = field(default_factory=Recording)
    sent: list[Sent] = field(default_factory=list)
    durable: list[tuple[int, Sent]] = field(default_factory=list)
    keys: list[tuple[int, str]] = field(default_factory=list)
    heads: list[tuple[int, SignedCheckpoint]] = field(default_factory=list)
    batches: list[tuple[int, str]] = field(default_factory=list)
    closed: list[tuple[int, ClosedPeriod]] = field(default_factory=list)

    @property
    def moment(self) -> int:
        return self.recording.moment


@dataclass(frozen=True, slots=True)
class Loss:
    """The power was lost at ``moment``, and ``fate`` of what was not synced left ``files``."""

    moment: int
    fate: str
    files: Mapping[str, bytes]

    def of(self, promises: Iterable[tuple[int, Promise]]) -> list[Promise]:
        """Those that had been made."""
        return [promise for moment, promise in promises if moment <= self.moment]


def live(path: Path, random: Random, commits: int, synchronous: str = "") -> Life:
    """The first start, about ``commits`` deliveries with a stop between them, and a stop."""
    life = Life()
    for start in (0, commits // 2):
        with closing(SqlStore(RecordedDatabase(path, life.recording, synchronous))) as store:
            asyncio.run(_work(life, store, random, range(start, start + commits // 2)))
    return life


async def _work(life: Life, store: SqlStore, random: Random, numbers: Iterable[int]) -> None:
    signer = Signer(Ed25519PrivateKey.from_private_bytes(random.randbytes(32)))
    sealing = EventSealing(lambda: f"{random.getrandbits(128):032x}")
    agents = [await _registered(life, store, name) for name in ("web", "batch")]
    for number in numbers:
        # Some alone, and some at once: those may share a transaction.
        await asyncio.gather(
            *(
                _deliver(life, store, agents[instance % 2], f"{instance:032x}", random)
                for instance in random.sample(range(4), random.choice((1, 1, 1, 3)))
            )
        )
        if number % 10 == 3:
            await _flush(life, store, sealing, agents[0])
        if number % 10 == 6:
            life.closed.append(await _promised(life, store.close_period(_month(number), NOW)))
        if number % 10 == 9:
            signed = await store.sign_head(signer, NOW)
            assert signed is not None
            life.heads.append((life.moment, signed))
    assert (await store.verify()).finding is None


async def _promised(life: Life, promise: Awaitable[Promise]) -> tuple[int, Promise]:
    """What was promised, with the moment from which on it was."""
    made = await promise
    return life.moment, made


def _month(number: int) -> Period:
    """One month after another, for every ten of ``number``."""
    name = f"2026-{number // 10 + 1:02}"
    return Period(name, "UTC", month_span(name, UTC))


async def _flush(life: Life, store: SqlStore, sealing: EventSealing, agent: Agent) -> None:
    """Two sessions' events, some of which are a batch each."""
    events = [
        UsageEvent(agent.agent_id, NOW, "openai", "gpt", counts, counts.total, session=session)
        for session, counts in (("a", record(1).counts), ("b", record(2).counts))
    ]
    frames = sealing.frames(events)
    flushed = await store.flush_events(frames, NOW)
    sealing.durable(frames)
    life.batches += [(life.moment, batch.batch_id) for batch in flushed.batches]


async def _registered(life: Life, store: SqlStore, name: str) -> Agent:
    agent = await register(store, name)
    life.keys.append((life.moment, agent.agent_id.removeprefix("agt_")))
    return agent


async def _deliver(
    life: Life, store: SqlStore, agent: Agent, instance_id: str, random: Random
) -> None:
    since = max((s.frame.frame.last for s in life.sent if _is_of(s, instance_id)), default=0)
    last = since + random.choice((1, 5, 60))
    records = [
        record(seq, key=_MODELS[seq % len(_MODELS)], response_id=f"r-{seq}")
        for seq in range(since + 1, last + 1)
    ]
    made = frame(since, last, *records, instance_id=instance_id)
    sent = Sent(life.moment, agent, DigestedFrame(made, frame_digest(made)))
    life.sent.append(sent)
    applied = await store.apply_frames(agent.agent_id, [sent.frame], NOW, 1024)
    assert applied.answers.durable == {instance_id: last}
    life.durable.append((life.moment, sent))


def losses(life: Life, moments: Sequence[int], random: Random) -> Iterator[Loss]:
    """A power loss at each of the moments, each with another fate."""
    disk = Disk()
    wanted = set(moments)
    number = 0
    for moment, event in enumerate(life.recording.events):
        if moment in wanted:
            name, fate = _fate(random, number)
            yield Loss(moment, name, disk.after_power_loss(fate))
            number += 1
        disk.happened(event)


def _fate(random: Random, number: int) -> tuple[str, Fate]:
    known = fates(random, "-wal")
    return known[number % len(known)]


def broken_promises(life: Life, loss: Loss, directory: Path) -> list[str]:
    """What is not as it was promised when the power was lost, on the disk that was left."""
    directory.mkdir()
    for name, content in loss.files.items():
        (directory / name).write_bytes(content)
    database = directory / "usage.db"
    try:
        with closing(SqliteStore(database)) as store:
            broken = asyncio.run(_missing(life, loss, store))
            if broken:
                return broken
            asyncio.run(_go_on(life, loss, store))
        finding = verify_file(database, kept=loss.of(life.heads)).finding
    except StoreError as error:
        return [f"unusable: {error}"]
    return [f"changed: {finding}"] if finding else _wrong_sums(life, loss, database)


async def _missing(life: Life, loss: Loss, store: SqlStore) -> list[str]:
    broken: list[str] = []
    for key_id in loss.of(life.keys):
        if await store.key(key_id, NOW) is None:
            broken.append(f"lost: the key {key_id}")
    for sent in loss.of(life.durable):
        one = sent.frame.frame
        stands = await store.durable(sent.agent.agent_id, [one.instance_id])
        if stands[one.instance_id] < one.last:
            broken.append(f"lost: {one.instance_id} to {one.last}, it stands at {stands}")
    for batch_id in loss.of(life.batches):
        if (found := await store.event_batch(batch_id)) is None or found.finding:
            broken.append(f"lost: the events {batch_id}: {found}")
    closed = await store.closed_periods()
    broken += [f"lost: {period}" for period in loss.of(life.closed) if period not in closed]
    return broken


async def _go_on(life: Life, loss: Loss, store: SqliteStore) -> None:
    """The senders send what they sent and were not told to be durable."""
    told = {id(sent) for sent in loss.of(life.durable)}
    for sent in life.sent:
        if sent.moment <= loss.moment and id(sent) not in told:
            await register(store, sent.agent.name)
            applied = await store.apply_frames(sent.agent.agent_id, [sent.frame], NOW, 1024)
            assert not applied.answers.gaps, "a frame that follows what is stored does not fit"


def _wrong_sums(life: Life, loss: Loss, database: Path) -> list[str]:
    """Instances whose stored calls are not those that were sent, each once."""
    sent = {
        each.frame.frame.instance_id: each.frame.frame.last
        for each in life.sent
        if each.moment <= loss.moment
    }
    true = {
        instance_id: (last, last, last, sum_counts(record(n).counts for n in range(1, last + 1)))
        for instance_id, last in sent.items()
    }
    with closing(open_verified(database)) as connection:
        rows = connection.execute(
            f"SELECT instance_id, seq, count(*), count(DISTINCT first_seq), {_SUMS} "
            "FROM items JOIN instances USING (instance) WHERE observer <> 'events' "
            "GROUP BY instance_id, seq"
        )
        stored = {name: (*numbers[:3], TokenCounts(*numbers[3:])) for name, *numbers in rows}
    return [] if stored == true else [f"sums: {stored}, used {true}"]


def _is_of(sent: Sent, instance_id: str) -> bool:
    return sent.frame.frame.instance_id == instance_id
