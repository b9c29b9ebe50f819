"""A directory that keeps what an ending process could not deliver, for the next one to send.

One file an instance, written whole under another name, flushed to the disk and then renamed: a
reader sees all of it or nothing. Each line is a frame with its checksum, so of a damaged file the
frames before the damage are still good. Files are for their owner alone: records name users.

Bounded: what does not fit is left out from the end, so that what is kept begins where the receiver
stands; the rest shows as the difference between what the instance reported and what is stored.

Two processes may send the same file: frames that arrive twice are counted once, so there is no lock
that a killed process could leave behind.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from agentspec_usage.errors import WireError
from agentspec_usage.metering.frame import SealedFrame
from agentspec_usage.metering.outbox import Spooled
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.frame_header import decode_counts, decode_frame_header
from agentspec_usage.wire.usage_encoding import encode_counts

__all__ = ["MAX_SPOOL", "Spool"]

MAX_SPOOL = 64 * 1024 * 1024
"""Bytes of all files of a spool."""

_SUFFIX = ".frames"
_NAME = re.compile(r"[0-9a-f]{32}\.frames")


class Spool:
    """``directory`` is made when something is kept. A disk that refuses is an answer, no error."""

    def __init__(self, directory: Path, max_bytes: int = MAX_SPOOL) -> None:
        self._directory = directory
        self._max_bytes = max_bytes

    def keep(self, spooled: Spooled) -> int:
        """Write the frames of an instance; how many of them are on the disk now."""
        if not spooled.frames:
            return 0
        lines = [_line(_head(spooled))]
        try:
            room = self._max_bytes - self._used(but=spooled.instance_id) - len(lines[0])
            for sealed in spooled.frames:
                line = _line(sealed.body)
                room -= len(line)
                if room < 0:
                    break
                lines.append(line)
            if len(lines) > 1:
                self._write(spooled.instance_id, b"".join(lines))
        except OSError:
            return 0
        return len(lines) - 1

    def kept(self) -> Iterator[Spooled]:
        """What earlier processes left, the oldest first; unreadable files are left alone."""
        for path in self._files():
            try:
                spooled = _read(path.read_bytes())
            except (OSError, WireError):
                continue
            if spooled.frames:
                yield spooled

    def discard(self, instance_id: str) -> None:
        """Everything of this instance is durable elsewhere."""
        try:
            self._path(instance_id).unlink(missing_ok=True)
        except OSError:
            return  # It will be sent again, and be known there.

    def _path(self, instance_id: str) -> Path:
        return self._directory / f"{instance_id}{_SUFFIX}"

    def _files(self) -> list[Path]:
        try:
            found = [path for path in self._directory.iterdir() if _NAME.fullmatch(path.name)]
            return sorted(found, key=lambda path: path.stat().st_mtime_ns)
        except OSError:
            return []

    def _used(self, *, but: str) -> int:
        return sum(path.stat().st_size for path in self._files() if path != self._path(but))

    def _write(self, instance_id: str, content: bytes) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(instance_id)
        unfinished = path.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with open(os.open(unfinished, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _head(spooled: Spooled) -> bytes:
    fields = {
        "instanceId": spooled.instance_id,
        "observer": str(spooled.observer),
        "totalsSince": encode_counts(spooled.totals_since),
    }
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def _line(body: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _read(content: bytes) -> Spooled:
    """Raises ``WireError`` when not even the beginning is whole."""
    bodies = list(_whole_lines(content))
    if not bodies:
        raise WireError("spool", "a first line")
    head = strict_json.loads(bodies[0])
    if not isinstance(head, dict):
        raise WireError("spool", "an object")
    frames: list[SealedFrame] = []
    for body in bodies[1:]:
        frame = decode_frame_header(body)
        if frames and frame.since != frames[-1].frame.last:
            break
        frames.append(SealedFrame(frame, body))
    return Spooled(
        frames[0].frame.instance_id if frames else "",
        frames[0].frame.observer if frames else Observer.SDK,
        decode_counts(head.get("totalsSince"), "totalsSince"),
        tuple(frames),
    )


def _whole_lines(content: bytes) -> Iterator[bytes]:
    for line in content.splitlines(keepends=True):
        checksum, _, body = line.partition(b" ")
        if not body.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(body[:-1]):
            return
        yield body[:-1]
