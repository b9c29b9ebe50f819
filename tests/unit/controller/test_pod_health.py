"""One pod's endpoint over time, and what a set of pods makes of an object."""

from __future__ import annotations

import pytest

from agentspec_usage.controller.pod_health import (
    Health,
    PodHealth,
    PodState,
    retry_delay,
    summarize,
)
from agentspec_usage.metering.checkpoint import Source
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.scrape.outcome import Failure


def health(*, read: bool, failures: int = 0, failure: Failure = Failure.TIMEOUT) -> PodHealth:
    return PodHealth("p", read=read, failures=failures, failure=failure, message="why")


def state(pod: PodHealth | None, *, starting: bool = False) -> PodState:
    return PodState(True, pod, source=Source.AGENT, starting=starting)


@pytest.mark.parametrize(
    ("pod", "group"),
    [
        pytest.param(state(health(read=True)), "observed", id="read"),
        pytest.param(state(health(read=True, failures=2)), "observed", id="two misses are noise"),
        pytest.param(state(health(read=True, failures=3)), "unreachable", id="three misses"),
        pytest.param(state(health(read=False, failures=1)), "unreachable", id="never read"),
        pytest.param(
            state(health(read=False, failures=1, failure=Failure.BAD_BODY)),
            "bad_response",
            id="answers, but no usage",
        ),
        pytest.param(state(health(read=False)), "unread", id="not asked yet"),
        pytest.param(state(None, starting=True), "starting", id="starting"),
        pytest.param(
            state(health(read=False, failures=2), starting=True), "starting", id="still starting"
        ),
        pytest.param(
            state(health(read=False, failures=3), starting=True),
            "unreachable",
            id="starting for too long",
        ),
        pytest.param(PodState(True, health(read=False)), "no_source", id="names no source"),
        pytest.param(PodState(True, None, overlapped=True), "overlapped", id="an elder's pod"),
        pytest.param(PodState(True, None, refused=True), "refused", id="host network"),
    ],
)
def test_a_pod_is_in_exactly_one_group(pod: PodState, group: str) -> None:
    found = summarize([pod], threshold=3)
    groups = ("observed", "starting", "unread", "no_source", "overlapped", "refused")
    failing = ("unreachable", "bad_response")
    assert {name: getattr(found, name) for name in groups + failing} == {
        name: int(name == group) for name in groups + failing
    }
    assert found.expected == 1


def test_a_pod_that_is_being_deleted_is_read_but_not_expected() -> None:
    found = summarize([PodState(False, health(read=True), source=Source.SIDECAR)], threshold=3)
    assert found == Health(sources=frozenset({Source.SIDECAR}))


@pytest.mark.parametrize(
    ("found", "doubts"),
    [
        pytest.param(Health(1, 1), set(), id="all read"),
        pytest.param(Health(1, starting=1), set(), id="starting"),
        pytest.param(Health(2, 1, unreachable=1), {Reason.SCRAPE_FAILED}, id="unreachable"),
        pytest.param(Health(1, refused=1), {Reason.SCRAPE_FAILED}, id="refused"),
        pytest.param(Health(1, unread=1), {Reason.PODS_MISSING}, id="unread"),
        pytest.param(Health(1, no_source=1), {Reason.PODS_MISSING}, id="no source"),
        pytest.param(Health(1, overlapped=1), {Reason.OVERLAPPING}, id="overlapped"),
    ],
)
def test_each_group_casts_its_doubt(found: Health, doubts: set[Reason]) -> None:
    assert found.reasons() == doubts


def test_a_pod_that_fails_is_asked_less_and_less_often_and_within_five_minutes_again() -> None:
    delays = [retry_delay(failures, 30, "uid") for failures in range(1, 20)]
    assert delays[:3] == [0.0, 0.0, 0.0]
    assert all(22.5 <= delay <= 300 for delay in delays[3:])
    assert all(delay >= 225 for delay in delays[8:])


def test_a_long_interval_is_no_shorter_for_a_failing_pod() -> None:
    assert retry_delay(10, 3600, "uid") >= 2700


def test_a_reading_ends_a_row_of_failures() -> None:
    pod = PodHealth("p")
    pod.failed(Failure.TIMEOUT, "slow", now=10, delay=5)
    assert (pod.failures, pod.retry_at, pod.failure) == (1, 15, Failure.TIMEOUT)
    pod.succeeded()
    assert (pod.read, pod.failures, pod.retry_at, pod.failure) == (True, 0, 0.0, None)
