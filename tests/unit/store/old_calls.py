"""Calls of three months, and their being dropped, for the tests of retention."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.store.proof.signing import Signer
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.store import SqlStore
from tests.unit.store.ledgers import PRIVATE
from tests.unit.store.test_charges import GPT
from tests.unit.store.test_periods import AUGUST, NOVEMBER, OCTOBER, SEPTEMBER
from tests.unit.store.values import apply, frame, register

__all__ = ["EVER", "MONTHS", "TIMES", "call", "made_signer", "pruned", "stored"]

EVER = UsageFilter(Span(0, 2 * NOVEMBER))

MONTHS = (AUGUST, SEPTEMBER, OCTOBER)
TIMES = tuple(month.span.start + day * DAY_MS for month in MONTHS for day in (1, 2, 3))


def made_signer() -> Signer:
    """One whose signatures are ``good``."""
    key = load_pem_private_key(PRIVATE, None)
    assert isinstance(key, Ed25519PrivateKey)
    return Signer(key)


def call(seq: int, at: int) -> UsageRecord:
    context = CallContext(user="ann", team="search" if seq % 2 else "")
    return UsageRecord(seq, at, GPT, TokenCounts(input=1000 * seq, calls=1), context=context)


async def pruned(
    store: SqlStore, before: int, signer: Signer | None = None, *, limit: int = 1000
) -> int:
    """All of it, chunk by chunk: how many rows were dropped."""
    plan = await store.plan_pruning(before)
    dropped = 0
    while (some := await store.prune(plan, signer, NOVEMBER, limit)) is not None:
        dropped += some
    return dropped


async def stored(store: SqlStore, *times: int, now: int = NOVEMBER) -> None:
    """A call at each time, one frame and so one batch each, received at ``now``."""
    agent = await register(store)
    calls: list[UsageRecord] = []
    for at in times:
        calls.append(call(len(calls) + 1, at))
        totals = sum_counts(one.counts for one in calls)
        one = frame(len(calls) - 1, len(calls), calls[-1], totals=totals)
        await apply(store, agent, one, now=now)
