"""When observations are handed in, and what an answer, a refusal or silence changes."""

from __future__ import annotations

import pytest

from agentspec_usage.controller.observation_outbox import Batch, ObservationOutbox
from agentspec_usage.controller.observation_sender import (
    ObservationSender,
    ObservationSenderSettings,
)
from agentspec_usage.delivery.sender import NoAnswer, Reply
from agentspec_usage.wire.observed import decode_observed
from agentspec_usage.wire.observed_answer import ObservedAnswer, encode_observed_answer
from tests.unit.controller.records import record
from tests.unit.metering.readings import A, reading, snapshot

ANSWER = Reply(200, encode_observed_answer(ObservedAnswer((), 1, 2)))

SETTINGS = ObservationSenderSettings(entries=4, interval=1.0, pause=1.0, longest_pause=60.0)


class Line:
    """A sender and the control plane at its other end."""

    def __init__(self, agents: int = 0) -> None:
        self.outbox = ObservationOutbox()
        self.heard: list[ObservedAnswer] = []
        self.sender = ObservationSender(
            "operator-1", self.outbox, lambda answer, _: self.heard.append(answer), SETTINGS
        )
        self.see(agents)

    def see(self, agents: int, tokens: int = 5) -> None:
        for number in range(agents):
            self.outbox.saw(
                record(f"bot-{number}"),
                "pod",
                "",
                reading(snapshot(A, tokens)),
                grew=True,
                now=0,
                at=0,
            )

    def request(self, now: float = 0.0) -> Batch:
        batch = self.sender.poll(now)
        assert isinstance(batch, Batch)
        return batch

    def wait(self, now: float) -> float:
        seconds = self.sender.poll(now)
        assert isinstance(seconds, float)
        return seconds

    def names(self, batch: Batch) -> list[str]:
        return [one.name for one in decode_observed(batch.body)]


def test_nothing_is_sent_while_nothing_waits() -> None:
    assert Line().wait(0) == 1.0


def test_one_request_is_under_way_at_a_time() -> None:
    line = Line(9)
    line.request(0)
    assert line.wait(100) > 0


def test_what_is_left_over_goes_right_after_the_answer() -> None:
    line = Line(9)
    first = line.request(0)
    line.sender.answered(first, ANSWER, 0.1)
    second = line.request(0.1)
    line.sender.answered(second, ANSWER, 0.2)
    assert line.wait(0.2) == pytest.approx(1.0)
    assert line.names(line.request(1.2)) == ["bot-8"]


def test_an_answer_is_told_and_frees_what_it_answers() -> None:
    line = Line(1)
    line.sender.answered(line.request(0), ANSWER, 0.1)
    assert line.heard == [ObservedAnswer((), 1, 2)]
    assert line.sender.settled
    assert line.sender.stats.answered == 1


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(NoAnswer("ClientConnectorError"), id="nobody there"),
        pytest.param(Reply(500), id="a fault of the control plane"),
        pytest.param(Reply(401), id="not known to it"),
        pytest.param(Reply(404), id="one that takes none"),
        pytest.param(Reply(302), id="a redirect"),
        pytest.param(Reply(200, b"ok"), id="an answer that is none"),
    ],
)
def test_after_a_failure_a_pause_doubles_up_to_a_minute_and_nothing_is_lost(
    reply: Reply | NoAnswer,
) -> None:
    line, now, pauses = Line(1), 0.0, []
    for _ in range(10):
        line.sender.answered(line.request(now), reply, now)
        pauses.append(line.wait(now))
        now += pauses[-1]
    for row, pause in enumerate(pauses):
        longest = min(2.0**row, 60.0)
        assert longest / 2 <= pause <= longest
    assert line.sender.stats.failed == 10
    assert line.names(line.request(now)) == ["bot-0"]
    assert not line.heard


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_is_waited_for_within_bounds(status: int) -> None:
    line = Line(1)
    line.sender.answered(line.request(0), Reply(status, retry_after=20.0), 0)
    assert 20 <= line.wait(0) <= 21
    line.sender.answered(line.request(21), Reply(status, retry_after=86_400.0), 21)
    assert 60 <= line.wait(21) <= 61


def test_an_answer_ends_the_row_of_failures() -> None:
    line = Line(1)
    for now in (0.0, 10.0, 20.0):
        line.sender.answered(line.request(now), Reply(503), now)
    line.sender.answered(line.request(40), ANSWER, 40)
    line.see(1, 6)
    line.sender.answered(line.request(50), Reply(503), 50)
    assert line.wait(50) <= 1.0


def test_a_body_that_is_refused_is_halved_until_what_is_wrong_is_alone() -> None:
    line, now = Line(4), 0.0
    taken: list[str] = []
    for _ in range(20):
        now += 1.0
        if not isinstance(batch := line.sender.poll(now), Batch):
            break
        names = line.names(batch)
        if "bot-2" in names:
            line.sender.answered(batch, Reply(422), now)
        else:
            line.sender.answered(batch, ANSWER, now)
            taken += names
    assert sorted(taken) == ["bot-0", "bot-1", "bot-3"]
    line.see(4, 7)
    for step in range(1, 5):
        if isinstance(batch := line.sender.poll(now + step), Batch):
            assert "bot-2" not in line.names(batch)
            line.sender.answered(batch, ANSWER, now + step)
    assert line.names(line.request(now + 310)) == ["bot-2"]


def test_while_the_control_plane_is_away_nothing_is_waited_for_at_the_end() -> None:
    line = Line(1)
    assert not line.sender.settled
    line.sender.answered(line.request(0), NoAnswer("timeout"), 0)
    assert line.sender.settled
