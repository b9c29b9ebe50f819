"""What was spent survives restarts, kills in the middle of a write, and files of all kinds."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.sidecar.budget.file import SLOT_BYTES, SpendingFile
from agentspec_usage.sidecar.budget.limits import Threshold
from agentspec_usage.sidecar.budget.spending import MAX_WINDOWS, Spending, Spent
from agentspec_usage.sidecar.calls import Refusal
from tests.unit.sidecar.budget.budgets import Spender

DAY = 86_400_000


def spending(tokens: int) -> Spending:
    return Spending().plus(DAY, tokens, 1)


def test_a_restart_goes_on_where_the_last_process_was(tmp_path: Path) -> None:
    spender = Spender(tmp_path / "new" / "budget", softTokens=5, hardTokens=100)
    for _ in range(7):
        spender.use(10)
    spender.restart()
    assert spender.budget.facts().used == Spent(70, 7, frozenset({Threshold.SOFT_TOKENS}))
    spender.use(1)
    assert len(spender.announced) == 1


def test_a_write_that_a_kill_tore_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "budget"
    file = SpendingFile(path)
    file.open()
    before = b""
    for tokens in range(1, 5):
        before = path.read_bytes()
        file.write(spending(tokens))
    after = path.read_bytes()
    assert before != after
    changed = [at for at in range(len(after)) if after[at] != before[at]]
    for torn in range(changed[0], changed[-1] + 1):
        path.write_bytes(after[:torn] + before[torn:])
        assert SpendingFile(path).open() in (spending(3), spending(4))
    path.write_bytes(after)
    assert SpendingFile(path).open() == spending(4)


@given(content=st.binary(max_size=200) | st.just(b"00000000 {}\n") | st.just(b"\n" * SLOT_BYTES))
def test_whatever_is_in_the_file_it_can_be_used(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("budget") / "budget"
    path.write_bytes(content)
    file = SpendingFile(path)
    assert file.open() == Spending()
    file.write(spending(9))
    file.close()
    assert SpendingFile(path).open() == spending(9)


@pytest.mark.parametrize(
    "body",
    [
        b"not JSON",
        b'{"v":2,"n":1,"windows":[]}',
        b'{"v":1,"n":1,"windows":[[0,1,1]]}',
        b'{"v":1,"n":1,"windows":[[0,-1,1,[]]]}',
        b'{"v":1,"n":1,"windows":[[0,1,1,["softWishes"]]]}',
    ],
    ids=repr,
)
def test_a_slot_of_another_version_is_no_slot(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "budget"
    path.write_bytes(b"%08x %b\n" % (zlib.crc32(body), body))
    assert SpendingFile(path).open() == Spending()


def test_the_largest_state_fits_into_a_slot(tmp_path: Path) -> None:
    largest = Spending(
        {
            MAX_COUNT - number: Spent(MAX_COUNT, MAX_COUNT, frozenset(Threshold))
            for number in range(MAX_WINDOWS)
        }
    )
    file = SpendingFile(tmp_path / "budget")
    file.open()
    for _ in range(3):
        file.write(largest)
        assert (tmp_path / "budget").stat().st_size == 2 * SLOT_BYTES
    assert SpendingFile(tmp_path / "budget").open() == largest


def test_windows_are_forgotten_the_oldest_first_and_never_the_present_one() -> None:
    kept = Spending()
    for day in range(20):
        kept = kept.plus(day * DAY, 1, 1)
    assert sorted(kept.windows) == [day * DAY for day in range(20 - MAX_WINDOWS, 20)]
    kept = kept.plus(0, 5, 1)
    assert kept.at(0).tokens == 5
    assert len(kept.windows) == MAX_WINDOWS


def test_sums_saturate() -> None:
    kept = Spending().plus(0, MAX_COUNT, 1).plus(0, 1, MAX_COUNT)
    assert kept.at(0) == Spent(MAX_COUNT, MAX_COUNT)


def test_a_budget_that_cannot_be_kept_still_holds_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    spender = Spender(tmp_path / "file" / "budget", hardTokens=10)
    spender.use(10)
    assert isinstance(spender.begin(), Refusal)
    assert spender.budget.facts().fault == "File exists"


def test_a_hard_limit_that_was_announced_is_not_announced_again_after_a_restart(
    tmp_path: Path,
) -> None:
    spender = Spender(tmp_path / "budget", hardTokens=10)
    spender.use(10)
    assert isinstance(spender.begin(), Refusal)
    spender.restart()
    assert isinstance(spender.begin(), Refusal)
    assert len(spender.announced) == 1
