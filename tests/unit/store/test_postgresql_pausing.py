"""A server that does not answer is asked less and less often, and at once when it answers again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agentspec_usage.store.postgresql.pausing import LONGEST_SECONDS, SHORTEST_SECONDS, Pause
from tests.fakes.hand_clock import HandClock


class Server:
    def __init__(self) -> None:
        self.up = False
        self.asked = 0

    def ask(self) -> str:
        self.asked += 1
        if not self.up:
            raise ConnectionError(f"refused {self.asked}")
        return "here"


def fails(pause: Pause, server: Server) -> str:
    with pytest.raises(ConnectionError) as failure:
        pause.attempt(server.ask, ConnectionError)
    return str(failure.value)


def test_within_a_pause_the_last_failure_is_told_again_without_asking() -> None:
    clock, server = HandClock(), Server()
    pause = Pause(clock.monotonic)
    assert [fails(pause, server) for _ in range(5)] == ["refused 1"] * 5
    clock.pass_seconds(SHORTEST_SECONDS)
    assert fails(pause, server) == "refused 2"


def test_pauses_grow_to_the_longest() -> None:
    clock, server = HandClock(), Server()
    pause = Pause(clock.monotonic)
    asked_at = []
    while clock.monotonic() < 1_020.0:
        before = server.asked
        fails(pause, server)
        if server.asked > before:
            asked_at.append(clock.monotonic())
        clock.pass_seconds(SHORTEST_SECONDS / 2)
    waited = [later - earlier for earlier, later in pairwise(asked_at)]
    assert waited[:3] == pytest.approx([0.125, 0.25, 0.5])
    assert max(waited) == pytest.approx(LONGEST_SECONDS)
    assert waited == sorted(waited)


def test_a_server_that_answers_again_is_asked_at_once_the_next_time() -> None:
    clock, server = HandClock(), Server()
    pause = Pause(clock.monotonic)
    for _ in range(8):
        fails(pause, server)
        clock.pass_seconds(LONGEST_SECONDS)
    server.up = True
    assert pause.attempt(server.ask, ConnectionError) == "here"
    server.up = False
    asked = server.asked
    fails(pause, server)
    clock.pass_seconds(SHORTEST_SECONDS)
    fails(pause, server)
    assert server.asked == asked + 2


def test_what_is_not_the_servers_failure_is_no_reason_to_pause() -> None:
    clock, server = HandClock(), Server()
    pause = Pause(clock.monotonic)
    server.up = True

    def broken() -> str:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        pause.attempt(broken, ConnectionError)
    assert pause.attempt(server.ask, ConnectionError) == "here"
