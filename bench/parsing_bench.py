"""How fast the framings read: MB/s of each on a body as providers send it, beside a floor.

A floor is the least that reading the same bytes can cost with the standard library: parsing them
once where the whole is JSON, cutting them into lines where they are lines, copying them elsewhere.
Bodies are fed in pieces of 16 KiB, as they come from a socket; an SSE stream also event by event,
as a model writes it. The time is the process's own, and each number is the best of several runs:
what else the machine does only ever takes away.

``python bench/parsing_bench.py`` writes build/bench/parsing.json; ``--quick`` is for a glance.
"""

from __future__ import annotations

import gzip
import json
import platform
import struct
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from agentspec_usage.extraction.framing import (
    ContentDecoder,
    Event,
    EventStreamFraming,
    Framing,
    JsonArrayFraming,
    JsonDocumentFraming,
    NdjsonFraming,
    SseFraming,
    UsageChunkFilter,
    WebSocketFraming,
    read_json,
)

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "bench" / "parsing.json"

PIECE = 16 << 10
WANTED = ("id", "model", "usage", "service_tier")
USAGE = {
    "prompt_tokens": 1117,
    "completion_tokens": 46,
    "total_tokens": 1163,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "accepted_prediction_tokens": 0},
}


@dataclass(frozen=True, slots=True)
class Case:
    """A body, in the pieces in which it is fed, and two ways through it."""

    name: str
    pieces: list[bytes]
    read: Callable[[list[bytes]], None]
    floor_name: str
    floor: Callable[[bytes], object]


def pieces_of(body: bytes, size: int = PIECE) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def through(make: Callable[[], Framing]) -> Callable[[list[bytes]], None]:
    """All pieces through one framing."""

    def read(pieces: list[bytes]) -> None:
        framing = make()
        for piece in pieces:
            framing.feed(piece)
        framing.end()

    return read


def each_parsed(pieces: list[bytes]) -> None:
    """Each piece is a document of its own, kept whole and parsed at its end."""
    for piece in pieces:
        framing = JsonDocumentFraming(WANTED)
        framing.feed(piece)
        for item in framing.end():
            if isinstance(item, Event):
                read_json(item.data)


def filtered(pieces: list[bytes]) -> None:
    taken_out = UsageChunkFilter()
    for piece in pieces:
        taken_out.feed(piece)
    taken_out.end()


def decompressed(pieces: list[bytes]) -> None:
    decoder, framing = ContentDecoder("gzip"), SseFraming()
    for piece in pieces:
        for plain in decoder.feed(piece):
            framing.feed(plain)
    framing.end()


def chat_completion() -> bytes:
    text = 'The quick brown fox says "jump" and then\njumps over the lazy dog. ' * 12
    choice = {"index": 0, "message": {"role": "assistant", "content": text, "refusal": None}}
    return json.dumps(
        {
            "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
            "object": "chat.completion",
            "created": 1741569952,
            "model": "gpt-5-2025-08-07",
            "choices": [choice | {"logprobs": None, "finish_reason": "stop"}],
            "usage": USAGE,
            "service_tier": "default",
        }
    ).encode()


def chat_chunks(count: int) -> list[bytes]:
    head = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "model": "gpt-5-2025-08-07",
        "service_tier": "default",
        "system_fingerprint": "fp_44709d6fcb",
    }
    choice = {"index": 0, "delta": {"content": " word"}, "logprobs": None, "finish_reason": None}
    content = json.dumps(head | {"choices": [choice], "usage": None}, separators=(",", ":"))
    last = json.dumps(head | {"choices": [], "usage": USAGE}, separators=(",", ":"))
    return [b"data: %s\n\n" % content.encode()] * count + [
        b"data: %s\n\n" % last.encode(),
        b"data: [DONE]\n\n",
    ]


def generate_chunk() -> bytes:
    part = {"content": {"parts": [{"text": "jumps over the lazy dog. " * 8}], "role": "model"}}
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 50, "totalTokenCount": 1050}
    chunk = {"candidates": [part], "usageMetadata": usage, "modelVersion": "gemini-2.5-pro"}
    return json.dumps(chunk, indent=1).encode()


def event_stream_message(payload: bytes) -> bytes:
    headers = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
        for name, value in (
            (b":event-type", b"contentBlockDelta"),
            (b":content-type", b"application/json"),
            (b":message-type", b"event"),
        )
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def masked_frame(payload: bytes) -> bytes:
    mask = b"\x37\xfa\x21\x3d"
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    plain = int.from_bytes(payload) ^ int.from_bytes(key)
    head = b"\x81\xfe" + struct.pack(">H", len(payload)) + mask
    return head + plain.to_bytes(len(payload))


def embeddings(megabytes: int) -> list[bytes]:
    vector = json.dumps([round((at * 7919 % 99991) / 99991 - 0.5, 9) for at in range(1536)])
    one = b'{"object":"embedding","index":0,"embedding":%s}' % vector.encode()
    count = megabytes * 1_000_000 // len(one)
    body = b'{"object":"list","data":[%s],"model":"m","usage":{"prompt_tokens":8}}'
    return pieces_of(body % b",".join([one] * count))


def image(megabytes: int) -> list[bytes]:
    base64 = b"iVBORw0KGgoAAAANSUhEUgAA" * (megabytes * 1_000_000 // 24)
    return pieces_of(b'{"created":1,"data":[{"b64_json":"%s"}],"usage":{"x":1}}' % base64)


def copied(body: bytes) -> object:
    return bytearray(body)


def cases(quick: bool) -> Iterable[Case]:
    """A quick run reads less of the same."""
    scale = 1 if quick else 10
    small, chunks, element = chat_completion(), chat_chunks(2_000 * scale), generate_chunk()
    stream = b"".join(chunks)
    lines = b"".join(chunk[6:-1] for chunk in chunks)
    array = b"[%s]" % b",\r\n".join([element] * 1_000 * scale)
    loads = json.loads
    split = bytes.splitlines
    picked = through(lambda: JsonDocumentFraming(WANTED))
    yield Case("JSON, 1.4 kB each", [small] * 500 * scale, each_parsed, "json.loads", loads)
    yield Case("JSON, embeddings", embeddings(10 * scale), picked, "json.loads", loads)
    yield Case("JSON, image", image(10 * scale), picked, "json.loads", loads)
    yield Case("SSE chat stream", pieces_of(stream), through(SseFraming), "splitlines", split)
    yield Case("SSE event by event", chunks, through(SseFraming), "splitlines", split)
    yield Case("usage chunk filter", chunks, filtered, "splitlines", split)
    compressed = pieces_of(gzip.compress(stream, 6))
    yield Case("SSE in gzip", compressed, decompressed, "gzip", gzip.decompress)
    yield Case("NDJSON", pieces_of(lines), through(NdjsonFraming), "splitlines", split)
    yield Case("JSON array", pieces_of(array), through(JsonArrayFraming), "json.loads", loads)
    messages = b"".join(event_stream_message(chunk) for chunk in chunks)
    yield Case("event stream", pieces_of(messages), through(EventStreamFraming), "crc32", crc32)
    frames = b"".join(masked_frame(chunk) for chunk in chunks)
    yield Case("WebSocket, masked", pieces_of(frames), through(WebSocketFraming), "copy", copied)


def seconds(work: Callable[[], object], runs: int) -> float:
    best = float("inf")
    for _ in range(runs):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def measure(case: Case, runs: int) -> dict[str, object]:
    """MB (10^6 bytes) a second: of compressed bodies, what they expand to."""
    whole = b"".join(case.pieces)
    separate = case.name.startswith("JSON, 1")

    def floor() -> None:
        for body in case.pieces if separate else (whole,):
            case.floor(body)

    expanded = len(gzip.decompress(whole)) if case.floor is gzip.decompress else len(whole)
    ours, least = seconds(lambda: case.read(case.pieces), runs), seconds(floor, runs)
    return {
        "case": case.name,
        "mb": round(expanded / 1e6, 2),
        "mb_per_s": round(expanded / ours / 1e6, 1),
        "floor": case.floor_name,
        "floor_mb_per_s": round(expanded / least / 1e6, 1),
    }


def main() -> None:
    """Measure, print, write."""
    quick = "--quick" in sys.argv[1:]
    rows = []
    for case in cases(quick):
        row = measure(case, runs=2 if quick else 5)
        rows.append(row)
        print(
            f"{row['case']:20} {row['mb']:>7} MB {row['mb_per_s']:>8} MB/s"
            f"   {row['floor']:>10} {row['floor_mb_per_s']:>8} MB/s"
        )
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    report = {"python": sys.version, "machine": platform.machine(), "rows": rows}
    OUTPUT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
