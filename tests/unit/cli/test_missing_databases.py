"""A command that works on what is stored makes no database of a path that was misspelt."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentspec_usage.cli.main import main


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["close", "--month", "2026-01"], id="close"),
        pytest.param(["reprice", "--month", "2026-01", "--dry-run"], id="reprice"),
        pytest.param(["prune", "--keep-months", "12"], id="prune"),
        pytest.param(["statement", "--month", "2026-01"], id="statement"),
    ],
)
def test_a_path_where_nothing_is_is_named_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    missing = tmp_path / "usge.db"
    assert main([*command, "--database", str(missing)]) == 2
    assert capsys.readouterr().err.strip().endswith(f"{missing}: expected a usage database")
    assert list(tmp_path.iterdir()) == []
