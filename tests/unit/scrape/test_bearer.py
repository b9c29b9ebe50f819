"""The token for agents, from a file that is replaced while the operator runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentspec_usage.scrape.bearer import TokenFile, TokenUnreadable
from tests.fakes.hand_clock import HandClock


def test_the_token_is_read_again_after_a_minute(tmp_path: Path) -> None:
    file, clock = tmp_path / "token", HandClock()
    file.write_text("first\n")
    token = TokenFile(file, clock)
    assert token.value() == "first"
    file.write_text("second\n")
    clock.pass_seconds(59)
    assert token.value() == "first"
    clock.pass_seconds(2)
    assert token.value() == "second"


def test_a_file_that_vanished_ends_the_use_of_its_token(tmp_path: Path) -> None:
    file, clock = tmp_path / "token", HandClock()
    file.write_text("first")
    token = TokenFile(file, clock)
    token.value()
    file.unlink()
    clock.pass_seconds(61)
    with pytest.raises(TokenUnreadable):
        token.value()


def test_a_file_that_comes_back_is_used_at_once(tmp_path: Path) -> None:
    file, clock = tmp_path / "token", HandClock()
    token = TokenFile(file, clock)
    with pytest.raises(TokenUnreadable):
        token.value()
    file.write_text("late")
    assert token.value() == "late"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"  \n", id="blank"),
        pytest.param(b"a b", id="space"),
        pytest.param(b"token\r\nX-Injected: yes", id="line break"),
        pytest.param("tokén".encode(), id="not ASCII"),
        pytest.param(b"\xff\xfe", id="binary"),
        pytest.param(b"a" * 20_000, id="too long"),
    ],
)
def test_a_file_that_holds_no_token_is_refused_without_being_shown(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(TokenUnreadable) as refused:
        TokenFile(file, HandClock()).value()
    assert str(file) not in str(refused.value)
    assert "token\r" not in str(refused.value)
