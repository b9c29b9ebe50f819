"""The ledger file gives back every line that was written, and says when it may lack some."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from agentspec_usage.errors import SettingsError
from agentspec_usage.sidecar.ledger.file import LedgerFile, ReadBack

LINES = [b'["open","a"]', b'["end","a",{"raw":"\\u00fc"}]', b"[]", b"x" * 5000]


def written(directory: Path, lines: Iterable[bytes], boot: str = "boot") -> LedgerFile:
    """A file that has been begun anew and then appended to; the first line is its state."""
    file = LedgerFile(directory, boot)
    file.open()
    replacement = file.replacement()
    replacement.write([b"state"])
    replacement.sync()
    file.replace(replacement)
    for line in lines:
        file.append(line)
    return file


def read_again(directory: Path, boot: str = "boot") -> ReadBack:
    file = LedgerFile(directory, boot)
    try:
        return file.open()
    finally:
        file.close()


def test_a_new_directory_is_made_and_has_nothing(tmp_path: Path) -> None:
    assert read_again(tmp_path / "deep" / "down") == ReadBack()


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    written(tmp_path, LINES).close()
    assert read_again(tmp_path) == ReadBack([b"state", *LINES])


def test_a_file_cut_at_any_byte_of_its_end_loses_the_torn_line_alone(tmp_path: Path) -> None:
    written(tmp_path, LINES[:3]).close()
    whole = (tmp_path / "ledger").read_bytes()
    last_line = whole.rstrip(b"\n").rfind(b"\n") + 1
    for size in range(last_line, len(whole)):
        (tmp_path / "ledger").write_bytes(whole[:size])
        assert read_again(tmp_path) == ReadBack([b"state", *LINES[:2]]), size


def test_damage_before_the_end_is_a_doubt_and_ends_the_reading(tmp_path: Path) -> None:
    written(tmp_path, LINES).close()
    content = bytearray((tmp_path / "ledger").read_bytes())
    content[content.index(b"open")] ^= 1
    (tmp_path / "ledger").write_bytes(content)
    assert read_again(tmp_path) == ReadBack([b"state"], "the file is damaged")


def test_a_file_from_before_the_machine_was_started_is_doubtful(tmp_path: Path) -> None:
    written(tmp_path, LINES, boot="monday").close()
    read = read_again(tmp_path, boot="tuesday")
    assert (list(read.lines), read.doubt) == (
        [b"state", *LINES],
        "the machine was started anew",
    )


def test_a_file_that_could_not_be_written_is_doubtful_until_it_is_replaced(tmp_path: Path) -> None:
    file = written(tmp_path, LINES[:1])
    file.doubt()
    file.close()
    assert read_again(tmp_path) == ReadBack([b"state", LINES[0]], "the file could not be written")
    written(tmp_path, LINES[:2]).close()
    assert read_again(tmp_path) == ReadBack([b"state", *LINES[:2]])


def test_a_file_of_another_version_is_put_aside(tmp_path: Path) -> None:
    written(tmp_path, LINES).close()
    (tmp_path / "ledger").write_bytes(b"not ours\n")
    assert read_again(tmp_path).doubt == "the file is not of this program's version"
    assert (tmp_path / "ledger.unreadable").read_bytes() == b"not ours\n"
    assert read_again(tmp_path) == ReadBack()


def test_a_replacement_that_was_never_finished_changes_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, LINES)
    file.replacement().write([b"half of a state"])
    file.close()
    assert read_again(tmp_path) == ReadBack([b"state", *LINES])
    written(tmp_path, LINES[:1]).close()
    assert read_again(tmp_path) == ReadBack([b"state", LINES[0]])


def test_a_second_process_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    first = written(tmp_path, LINES[:1])
    with pytest.raises(SettingsError, match="another process"):
        LedgerFile(tmp_path, "boot").open()
    first.append(LINES[1])
    first.close()
    assert read_again(tmp_path) == ReadBack([b"state", *LINES[:2]])


def test_the_file_and_its_replacement_are_for_their_owner_alone(tmp_path: Path) -> None:
    file = written(tmp_path, LINES)
    file.replacement().abandon()
    file.close()
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"ledger": 0o600, "ledger.lock": 0o600, "ledger.part": 0o600}
