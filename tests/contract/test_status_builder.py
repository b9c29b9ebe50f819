"""Every status that the operator builds fits the definition, whatever the agents say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from agentspec_usage.controller.pod_health import Health
from agentspec_usage.controller.status import Facts, build_status
from agentspec_usage.controller.verdict import Problem
from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    PodIdentity,
    Source,
    new_checkpoint,
    observe,
    restart_epoch,
)
from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.status.charges import Charges, Period
from agentspec_usage.wire.observed_answer import CostSaid, LedgerSaid, PeriodSaid
from agentspec_usage.wire.usage import decode_usage
from agentspec_usage.wire.writer_state import pack
from tests.contract.crd_schema import validate_status
from tests.contract.statuses import condition, largest_status

NOW = 1_795_348_800_000

BOUND = 24 * 1024
"""Bytes of a whole status: what etcd stores again with every write of it."""

EPOCH = "0123456789abcdef0123456789abcdef"


_DEAR = CostSaid("Estimated", 10**31 - 1, "USD", MAX_COUNT)
_PERIOD = Period(PeriodSaid(MAX_COUNT, _DEAR), NOW)

CHARGES = Charges(_DEAR, _PERIOD, _PERIOD, MAX_COUNT, MAX_COUNT)
"""What takes the most room of a control plane's charges."""


def row(name: str, tokens: int) -> dict[str, Any]:
    return {
        "modelId": name,
        "provider": name[::-1],
        "promptTokens": tokens,
        "completionTokens": 0,
        "totalTokens": tokens,
        "callCount": 1,
    }


def body(number: int, names: list[str], tokens: int) -> bytes:
    """What instance ``number`` answers, ``tokens`` for each model."""
    return json.dumps(
        {
            "instanceId": hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest(),
            "seq": len(names),
            "windowStartedAt": "2026-11-22T12:00:00Z",
            "models": [row(name, tokens) for name in names],
            "totalTokens": tokens * len(names),
            "totalCalls": len(names),
        }
    ).encode()


def observed(*bodies: bytes) -> Checkpoint:
    """The checkpoint after a pod for each of ``bodies`` was read."""
    checkpoint = new_checkpoint(EPOCH)
    for number, answer in enumerate(bodies):
        pod = PodIdentity(f"{number:08}-1111-4111-8111-111111111111", NOW - 1000)
        checkpoint = observe(checkpoint, pod, decode_usage(answer), NOW)
    return checkpoint


def built(
    checkpoint: Checkpoint,
    *,
    health: Health | None = None,
    problem: Problem | None = None,
    previous: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    packed, text = pack(checkpoint)
    return build_status(
        Facts(
            generation=3,
            checkpoint=packed,
            writer_state=text,
            health=health,
            problem=problem,
            target={"kind": "Deployment", "name": "agent", "selector": "app=agent"},
            previous=previous or {},
            last_update=NOW,
            last_read=NOW,
            tampered_epoch=None,
            now=NOW,
            charges=CHARGES,
            cost_center="c" * 128,
            ledger=LedgerSaid(MAX_COUNT, "f" * 64, "k" * 128, NOW),
        )
    )


def size(status: Mapping[str, Any]) -> int:
    return len(json.dumps(status, ensure_ascii=False).encode())


ALL_READ = Health(expected=64, observed=64, sources=frozenset(Source))
FAILING = Health(expected=9, observed=1, unreachable=8, failure="f" * 300)

# Names that are cut, that need several bytes a character, and that cannot be shown.
NASTY = [
    f"{number:03}{filler}"
    for number in range(8)
    for filler in ("m" * 124, "\N{CJK UNIFIED IDEOGRAPH-8A9E}" * 41, '"' * 124)
]


@pytest.mark.parametrize(
    ("checkpoint", "health"),
    [
        pytest.param(new_checkpoint(EPOCH), None, id="new"),
        pytest.param(new_checkpoint(EPOCH), Health(), id="scaled to zero"),
        pytest.param(new_checkpoint(EPOCH), FAILING, id="nothing but failures"),
        pytest.param(observed(body(1, ["gpt-4o"], 0)), Health(1, 1), id="an idle agent"),
        pytest.param(observed(body(1, ["gpt-4o"], 627)), Health(1, 1), id="one agent"),
        pytest.param(
            observed(*[body(n, NASTY, 10**12 - 7919 * n) for n in range(64)]),
            ALL_READ,
            id="64 pods, all models",
        ),
        pytest.param(
            observed(*[body(n, ["m"], MAX_COUNT) for n in range(3)]), ALL_READ, id="saturated"
        ),
    ],
)
def test_a_status_fits_the_definition_and_the_bound(
    checkpoint: Checkpoint, health: Health | None
) -> None:
    status = built(checkpoint, health=health)
    validate_status(status)
    assert size(status) <= BOUND


@pytest.mark.parametrize("reason", ["Suspended", "InvalidSpec", "NoUsageSource"])
def test_a_problem_fits_the_definition(reason: Any) -> None:
    validate_status(built(new_checkpoint(EPOCH), problem=Problem(reason, "m" * 300)))


def test_what_others_wrote_stays_and_still_fits() -> None:
    previous = largest_status()
    previous["conditions"] = [
        condition("Compliant", "True", "Passed", "m" * 1024),
        condition("ModelReachable", "Unknown", "NotChecked", "m" * 1024),
    ]
    status = built(observed(body(1, ["gpt-4o"], 627)), health=Health(1, 1), previous=previous)
    validate_status(status)
    assert status["summary"] == previous["summary"]
    assert previous["conditions"][0] in status["conditions"]


def test_a_part_that_grew_more_than_its_whole_still_fits() -> None:
    """After a new epoch only growth counts, and an agent may say that less grew than was cached."""
    pod = PodIdentity("00000000-1111-4111-8111-111111111111", NOW - 1000)
    checkpoint = restart_epoch(EPOCH, [pod])
    for uncached, cached in ((10**12, 0), (0, 10**12 + 1)):
        answer = json.loads(body(1, ["m"], uncached + cached))
        answer["models"][0]["cacheReadTokens"] = cached
        checkpoint = observe(checkpoint, pod, decode_usage(json.dumps(answer).encode()), NOW)
    status = built(checkpoint, health=Health(1, 1))
    assert status["usage"]["cacheReadTokens"] > status["usage"]["inputTokens"]
    validate_status(status)


def test_a_model_without_a_name_fits() -> None:
    status = built(observed(body(1, [""], 5)), health=Health(1, 1))
    validate_status(status)
    assert status["usage"]["models"][0]["modelId"] == ""
