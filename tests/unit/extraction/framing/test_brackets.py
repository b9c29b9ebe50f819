"""Reading a block at once and reading it token by token lead equally deep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.framing.brackets import Brackets, read_brackets

_TOKENS = [b"[", b"]", b"{", b"}", b'"', b'\\"', b"\\\\", b"\\n", b"a", b'"[', b'}"', b"[{}]"]


def _token_by_token(block: bytes, depth: int) -> tuple[int, bool, bool]:
    """Depth at the end, whether within a string, and whether the outermost ended on the way."""
    in_string = ended = False
    bytes_left = iter(block)
    for byte in bytes_left:
        if byte == b"\\"[0]:
            if not in_string:
                raise WireError("", "a backslash within a string")
            next(bytes_left, None)
        elif byte == b'"'[0]:
            in_string = not in_string
        elif not in_string and byte in b"[]{}":
            depth += 1 if byte in b"[{" else -1
            ended = ended or depth == 0
    return depth, in_string, ended


@given(st.lists(st.sampled_from(_TOKENS), max_size=40).map(b"".join), st.integers(1, 9))
def test_a_block_is_read_as_its_tokens_are(block: bytes, depth: int) -> None:
    try:
        read = read_brackets(block, depth)
    except WireError:
        with pytest.raises(WireError):
            _token_by_token(block, depth)
        return
    if read is None:
        return
    assert _token_by_token(block[: read.length], depth) == (read.depth, read.in_string, False)
    assert len(block) - read.length <= 1
    assert block[read.length :] in (b"", b"\\")


@pytest.mark.parametrize(
    ("block", "depth", "read"),
    [
        pytest.param(b"[1],[2,{}]", 1, Brackets(10, 1, False), id="all that begins ends"),
        pytest.param(b"1],[2", 2, Brackets(5, 2, False), id="one ends, another begins"),
        pytest.param(b"1],[2", 1, None, id="the outermost ends"),
        pytest.param(b'["]', 1, Brackets(3, 2, True), id="within a string"),
        pytest.param(b'["]\\', 1, Brackets(3, 2, True), id="within an escape"),
        pytest.param(b'["]\\\\', 1, Brackets(5, 2, True), id="behind an escape"),
    ],
)
def test_where_a_block_leads(block: bytes, depth: int, read: Brackets | None) -> None:
    assert read_brackets(block, depth) == read
