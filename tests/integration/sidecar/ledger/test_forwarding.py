"""What the pod's one ledger counted reaches the control plane once, whatever is killed or away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentspec_usage.metering.counts import sum_counts
from agentspec_usage.sdk import Reporter
from tests.integration.controlplane.database import seq_of, stored_of
from tests.integration.controlplane.processes import ControlPlane
from tests.integration.controlplane.waiting import until
from tests.integration.sidecar.ledger.pods import Pod, agent, call, pod_with
from tests.integration.sidecar.ledger.upstream import Upstream


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    directory = tmp_path / "plane"
    directory.mkdir()
    plane = ControlPlane(directory, "--heartbeat-interval=0")
    try:
        plane.start()
        yield plane
    finally:
        plane.end()


@pytest.fixture
def pod(tmp_path: Path, plane: ControlPlane, upstream: Upstream) -> Iterator[Pod]:
    flags = (
        f"--control-plane-url={plane.url}",
        "--heartbeat-interval=1",
        "--delivery-timeout=3",
    )
    with pod_with(tmp_path, upstream.url, *flags, key=plane.register("agent")) as pod:
        yield pod


def calls(pod: Pod, number: int) -> None:
    with agent(pod.proxy) as client:
        for _ in range(number):
            call(client)


def test_a_pod_that_ends_has_delivered_every_call_and_its_end(
    pod: Pod, plane: ControlPlane, upstream: Upstream
) -> None:
    reporter = Reporter()
    reporter.start_push_mode(sidecar_url=pod.control)
    with agent(pod.proxy, reporter) as through, agent(upstream.url, reporter) as around:
        for _ in range(5):
            call(through)
            call(around)
    assert reporter.stop()
    until(lambda: pod.usage().totals.calls == 10, "the calls have ended")
    usage = pod.usage()
    assert pod.terminate() == 0
    assert plane.terminate() == 0
    assert usage.instance_id is not None
    stored = stored_of(plane.database, usage.instance_id)
    assert stored.items == stored.applied == stored.reported == usage.totals
    assert stored.items.total == upstream.tokens
    assert (stored.seq, stored.records, stored.final) == (10, 10, True)
    assert not stored.rolled_back


def test_what_was_counted_while_the_control_plane_was_away_arrives_once(
    pod: Pod, plane: ControlPlane, upstream: Upstream
) -> None:
    calls(pod, 3)
    instance = pod.usage().instance_id
    assert instance is not None
    until(lambda: seq_of(plane.database, instance) == 3, "the first calls are durable")
    plane.kill()
    calls(pod, 4)
    # The agent has its answer a moment before the call's end is in the ledger.
    until(lambda: pod.usage().totals.calls == 7, "the calls have ended")
    pod.kill()
    pod.start()
    calls(pod, 5)
    plane.start()
    until(lambda: seq_of(plane.database, instance) == 12, "everything is durable")
    usage = pod.usage()
    assert usage.instance_id == instance
    assert pod.terminate() == 0
    assert plane.terminate() == 0
    stored = stored_of(plane.database, instance)
    assert stored.items == stored.applied == usage.totals
    assert stored.items.total == upstream.tokens
    assert (stored.records, stored.distinct_records, stored.rolled_back) == (12, 12, False)


def test_a_container_that_is_restarted_ends_one_instance_and_begins_another(
    pod: Pod, plane: ControlPlane, upstream: Upstream
) -> None:
    calls(pod, 3)
    first = pod.usage().instance_id
    assert pod.terminate() == 0
    pod.start()
    calls(pod, 2)
    second = pod.usage().instance_id
    assert pod.terminate() == 0
    assert plane.terminate() == 0
    assert first is not None
    assert second is not None
    stored = [stored_of(plane.database, instance) for instance in (first, second)]
    assert [one.records for one in stored] == [3, 2]
    assert all(one.final for one in stored)
    assert sum_counts(one.items for one in stored).total == upstream.tokens


def test_an_end_that_could_not_be_delivered_is_delivered_by_the_next_life(
    pod: Pod, plane: ControlPlane, upstream: Upstream
) -> None:
    calls(pod, 3)
    first = pod.usage().instance_id
    assert first is not None
    plane.kill()
    assert pod.terminate() == 0
    plane.start()
    pod.start()
    until(lambda: seq_of(plane.database, first) == 3, "the calls of the first life are durable")
    assert pod.terminate() == 0
    assert plane.terminate() == 0
    stored = stored_of(plane.database, first)
    assert (stored.records, stored.final) == (3, True)
    assert stored.items.total == upstream.tokens
