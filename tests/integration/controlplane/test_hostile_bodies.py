"""Clients that send too slowly, too much, or not to the end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.controlplane.processes import ControlPlane, control_plane
from tests.integration.controlplane.senders import Sender
from tests.integration.controlplane.waiting import until


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with control_plane(tmp_path, "--body-timeout=0.5", "--requests-under-way=2") as running:
        yield running


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[ControlPlane]:
    """One that waits for bodies as long as a test takes, on however busy a machine."""
    with control_plane(tmp_path, "--body-timeout=300", "--requests-under-way=2") as running:
        yield running


def _connect(plane: ControlPlane) -> socket.socket:
    address = urlsplit(plane.url)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=20)


def _head(key: str, *headers: str) -> bytes:
    lines = ["POST /api/v1/usage/records HTTP/1.1", "Host: plane", f"Authorization: Bearer {key}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def _status(connection: socket.socket) -> int:
    with closing(connection.makefile("rb")) as answer:
        return int(answer.readline().split()[1])


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        pytest.param(("Content-Length: 10",), b"{", 408, id="slower than the time it has"),
        pytest.param(("Content-Length: 1048577",), b"", 413, id="declares too much"),
        pytest.param(("Content-Length: 99999999999999999999",), b"", 413, id="declares nonsense"),
        pytest.param(
            ("Transfer-Encoding: chunked",), b"10000\r\n" + b" " * 65536, 408, id="a slow chunk"
        ),
        pytest.param(
            ("Transfer-Encoding: chunked",),
            (b"10000\r\n" + b" " * 65536 + b"\r\n") * 17,
            413,
            id="chunks without end",
        ),
        pytest.param(("Content-Length: -1",), b"", 400, id="declares less than nothing"),
    ],
)
def test_a_body_out_of_bounds_is_refused_and_others_are_served(
    plane: ControlPlane, headers: tuple[str, ...], body: bytes, status: int
) -> None:
    key = plane.register("agent")
    with _connect(plane) as connection:
        connection.sendall(_head(key, *headers) + body)
        assert _status(connection) == status
    sender = Sender(plane.url, key, 50)
    sender.call(5)
    until(sender.step, "others are served")
    sender.close()


def test_a_head_without_end_is_refused(plane: ControlPlane) -> None:
    with _connect(plane) as connection:
        connection.sendall(b"POST /api/v1/heartbeat HTTP/1.1\r\nX-Long: " + b"x" * 40_000)
        assert _status(connection) == 400


def test_a_client_that_goes_away_costs_nothing(plane: ControlPlane) -> None:
    key = plane.register("agent")
    for _ in range(5):
        with _connect(plane) as connection:
            connection.sendall(_head(key, "Content-Length: 1000") + b"{")
    sender = Sender(plane.url, key, 51)
    sender.call(5)
    until(sender.step, "others are served")
    sender.close()
    assert [line for line in plane.lines() if line["level"] == "error"] == []


@contextmanager
def _full(plane: ControlPlane) -> Iterator[None]:
    """Two agents hold all the room there is for agents, until they go away.

    A body is asked for (100) once there is room for it.
    """
    slow = [plane.register(f"slow-{number}") for number in range(2)]
    with closing(_connect(plane)) as first, closing(_connect(plane)) as second:
        for key, connection in zip(slow, (first, second), strict=True):
            connection.sendall(_head(key, "Content-Length: 10", "Expect: 100-continue"))
            assert _status(connection) == 100
        yield


def test_more_bodies_at_once_than_there_is_room_for_are_told_to_come_again(
    patient: ControlPlane,
) -> None:
    sender = Sender(patient.url, patient.register("agent"), 52)
    with closing(sender):
        sender.call(5)
        with _full(patient):
            sender.step()
        assert sender.answers == [429]
        until(sender.step, "there is room again")


def test_agents_that_fill_the_room_do_not_keep_the_administrator_out(patient: ControlPlane) -> None:
    with _full(patient):
        assert patient.register("another")
