"""The health server answers over HTTP while the event loop is busy or stuck."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from threading import Thread

import httpx
import pytest
from prometheus_client import CollectorRegistry

from agentspec_usage.controller.health import HealthServer
from agentspec_usage.controller.heartbeats import Heartbeats
from agentspec_usage.controller.metrics import Metrics
from tests.fakes.hand_clock import HandClock


class Served:
    """A running server and what it looks at."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.clock = HandClock()
        self.heartbeats = Heartbeats(self.clock)
        self.missing: str | None = None
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.server = HealthServer(
            address,
            0,
            heartbeats=self.heartbeats,
            ready={"work": lambda: self.missing},
            registry=self.registry,
        )
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{self.server.port}"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, trust_env=False)


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    made.server.start()
    yield made
    made.server.stop()


def test_alive_while_every_loop_beats_and_dead_by_name_when_one_stops(served: Served) -> None:
    beat = served.heartbeats.expect("writer", 1.0)
    assert served.get("/livez").status_code == 200

    served.clock.pass_seconds(10)
    answer = served.get("/livez")
    assert answer.status_code == 503
    assert answer.text == "writer: silent for 10 s, beats every 1 s\n"

    beat()
    assert served.get("/livez").status_code == 200


def test_ready_as_its_checks_say_and_unready_is_not_dead(served: Served) -> None:
    assert served.get("/readyz").text == "ok\n"

    served.missing = "the pods have not been listed yet"
    answer = served.get("/readyz")

    assert answer.status_code == 503
    assert answer.text == "work: the pods have not been listed yet\n"
    assert served.get("/livez").status_code == 200


def test_metrics_are_prometheus_text_and_openmetrics_to_whom_asks(served: Served) -> None:
    served.metrics.scraped("ok", 0.1)

    plain = served.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert 'agentspec_scrapes_total{outcome="ok"} 1.0' in plain.text
    opened = served.get("/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    assert opened.text.endswith("# EOF\n")


def test_head_answers_like_get_without_a_body(served: Served) -> None:
    answer = httpx.head(served.url + "/livez", trust_env=False)

    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "3", b"")


@pytest.mark.parametrize(
    "path", [pytest.param("/", id="root"), pytest.param("/livez/x", id="below-a-page")]
)
def test_any_other_path_is_not_found(served: Served, path: str) -> None:
    assert served.get(path).status_code == 404


def test_a_write_is_refused(served: Served) -> None:
    assert httpx.post(served.url + "/livez", trust_env=False).status_code == 501


def test_the_interpreter_s_version_is_not_told(served: Served) -> None:
    assert "Python" not in served.get("/livez").headers["server"]


def test_connections_that_say_nothing_do_not_keep_probes_out_for_good(served: Served) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", served.server.port), timeout=30) for _ in range(16)
    ]
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                assert served.get("/livez").status_code == 200
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        for connection in silent:
            connection.close()


async def test_it_answers_while_the_event_loop_is_stuck(served: Served) -> None:
    answers: list[int] = []
    prober = Thread(target=lambda: answers.append(served.get("/livez").status_code))
    prober.start()
    prober.join(20)  # without an await: the loop stands still until the answer is there

    assert answers == [200]


def test_ipv6_is_served_where_there_is_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    made = Served("::1")
    made.server.start()
    try:
        assert made.get("/livez").status_code == 200
    finally:
        made.server.stop()


def test_stopping_closes_the_port_also_before_a_start() -> None:
    made = Served()
    made.server.stop()

    with pytest.raises(httpx.ConnectError):
        made.get("/livez")
