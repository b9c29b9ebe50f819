"""Which notes an operator believes, with which keys, and of which age."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.controller.notes import Notes
from agentspec_usage.metering.checkpoint import Checkpoint, new_checkpoint, totals
from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.models import ModelKey
from agentspec_usage.metering.tally import Tally
from agentspec_usage.wire.writer_state import LIMIT, pack
from agentspec_usage.wire.writer_state_seal import SEAL_LENGTH, SealKey, SealKeys, sealed

UID, OTHER_UID = "uid-1", "uid-2"
FIRST, SECOND, THIRD = (SealKey.of(letter * 32) for letter in "abc")
CHECKPOINT = replace(new_checkpoint("old"), retired=Tally(TokenCounts(input=100, calls=1)))
PLAIN = pack(CHECKPOINT)[1]
SINCE = 1000


def with_keys(current: SealKey, previous: SealKey | None = None) -> Notes:
    return Notes(SealKeys(current, previous), SINCE)


def written(notes: Notes, checkpoint: Checkpoint = CHECKPOINT, uid: str = UID) -> str:
    return notes.write(checkpoint, uid)[1]


BY_FIRST = written(with_keys(FIRST))
BY_SECOND = written(with_keys(SECOND))
BY_THIRD = written(with_keys(THIRD))


@pytest.mark.parametrize("notes", [Notes(), with_keys(FIRST)], ids=["without a key", "with a key"])
def test_what_was_written_is_read_back_and_stands(notes: Notes) -> None:
    text = written(notes)
    assert notes.read(text, UID, SINCE + 1) == CHECKPOINT
    assert not notes.outdated(text)


def test_two_operators_with_one_key_believe_each_other() -> None:
    assert with_keys(FIRST).read(BY_FIRST, UID, SINCE + 1) == CHECKPOINT
    assert Notes(SealKeys(FIRST), since=0).read(BY_FIRST, UID, SINCE + 1) == CHECKPOINT


@pytest.mark.parametrize(
    ("text", "version", "doubt"),
    [
        pytest.param(PLAIN, SINCE, "", id="no seal, from before the key"),
        pytest.param(PLAIN, SINCE + 1, "it has no seal", id="no seal, later"),
        pytest.param(BY_THIRD, SINCE, "", id="lost key, from before"),
        pytest.param(
            BY_THIRD, SINCE + 1, f"the key {THIRD.id} is not at hand", id="unknown key, later"
        ),
        pytest.param(BY_SECOND, SINCE + 1, "", id="previous key"),
        pytest.param(BY_FIRST, SINCE + 1, "", id="current key"),
        pytest.param(
            f"{PLAIN}.{FIRST.id}.{'A' * 43}", 1, "its seal does not fit", id="forged, however old"
        ),
        pytest.param(
            f"{PLAIN}.{SECOND.id}.{'A' * 43}",
            SINCE + 1,
            "its seal does not fit",
            id="forged in the previous key's name",
        ),
        pytest.param(
            sealed(PLAIN, OTHER_UID, FIRST),
            SINCE + 1,
            "its seal does not fit",
            id="another's notes",
        ),
    ],
)
def test_notes_are_believed_by_their_seal_or_by_their_age(
    text: str, version: int, doubt: str
) -> None:
    notes = with_keys(FIRST, SECOND)
    assert notes.doubt(text, UID, version) == doubt
    assert notes.read(text, UID, version) == (None if doubt else CHECKPOINT)


@pytest.mark.parametrize(
    ("text", "outdated"),
    [
        pytest.param(BY_FIRST, False, id="current key"),
        pytest.param(BY_SECOND, True, id="previous key"),
        pytest.param(BY_THIRD, True, id="lost key"),
        pytest.param(PLAIN, True, id="no seal"),
        pytest.param("", False, id="no notes"),
    ],
)
def test_what_the_current_key_did_not_seal_is_to_be_sealed_anew(text: str, outdated: bool) -> None:
    assert with_keys(FIRST, SECOND).outdated(text) is outdated
    assert not Notes().outdated(text)


@pytest.mark.parametrize("text", [PLAIN, BY_FIRST], ids=["plain", "sealed"])
def test_without_a_key_whatever_is_whole_is_believed(text: str) -> None:
    assert Notes().read(text, OTHER_UID, SINCE + 1) == CHECKPOINT


@given(at=st.integers(0, len(BY_FIRST) - 1), character=st.characters(codec="ascii"))
def test_no_change_of_one_character_is_believed(at: int, character: str) -> None:
    changed = BY_FIRST[:at] + character + BY_FIRST[at + 1 :]
    if changed != BY_FIRST:
        assert with_keys(FIRST).read(changed, UID, SINCE + 1) is None


@given(
    tokens=st.integers(0, 2**53 - 1),
    epoch=st.text(alphabet="abc", min_size=1, max_size=3),
    seal=st.sampled_from(["", BY_FIRST[-53:], BY_THIRD[-53:]]),
)
def test_notes_of_ones_own_making_are_not_believed_with_no_seal_nor_with_anothers(
    tokens: int, epoch: str, seal: str
) -> None:
    forged = replace(new_checkpoint(epoch), retired=Tally(TokenCounts(input=tokens)))
    assert with_keys(FIRST).read(pack(forged)[1] + seal, UID, SINCE + 1) is None


def test_damaged_notes_are_not_read_however_they_are_sealed() -> None:
    assert with_keys(FIRST).read(sealed("AAAA", UID, FIRST), UID, SINCE + 1) is None
    assert Notes().read("AAAA", UID, SINCE + 1) is None


def full_to_the_brim() -> Checkpoint:
    """A checkpoint whose notes fit by fewer characters than a seal has."""
    chance = random.Random(1)
    for size in range(4800, 6600, 10):
        names = [chance.randbytes(size // 60 + (size % 60 > n)).hex() for n in range(60)]
        models = {ModelKey("p", name): TokenCounts(input=7) for name in names}
        tally = Tally(sum_counts(models.values()), models)
        checkpoint = replace(new_checkpoint("full"), retired=tally)
        kept, text = pack(checkpoint)
        if kept == checkpoint and len(text) > LIMIT - SEAL_LENGTH:
            return checkpoint
    raise AssertionError("no size comes near the bound")


def test_what_gives_way_to_the_seal_is_given_up_in_the_checkpoint_as_well() -> None:
    brim = full_to_the_brim()
    notes = with_keys(FIRST)
    kept, text = notes.write(brim, UID)
    assert len(text) <= LIMIT
    assert kept != brim
    assert notes.read(text, UID, SINCE + 1) == kept
    assert totals(kept) == totals(brim)
