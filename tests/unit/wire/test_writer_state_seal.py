"""Only who holds the key can write notes, and only for one object."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.checkpoint import new_checkpoint
from agentspec_usage.wire.writer_state import LIMIT, pack
from agentspec_usage.wire.writer_state_seal import (
    SEAL_LENGTH,
    SealKey,
    SealKeys,
    parted,
    seal_fits,
    sealed,
)

UID = "11111111-1111-4111-8111-111111111111"
KEY = SealKey.of("k" * 32)
OTHER = SealKey.of("o" * 32)
NOTES = pack(new_checkpoint("an epoch"))[1]


def fits(text: str, uid: str = UID, key: SealKey = KEY) -> bool:
    notes, seal = parted(text)
    return seal is not None and seal.key_id == key.id and seal_fits(notes, uid, seal, key)


def test_sealed_notes_are_the_notes_with_a_seal_that_fits() -> None:
    text = sealed(NOTES, UID, KEY)
    assert parted(text)[0] == NOTES
    assert fits(text)


def test_a_seal_has_the_same_length_whatever_it_seals() -> None:
    for notes in ("", NOTES, "A" * LIMIT):
        assert len(sealed(notes, UID, KEY)) == len(notes) + SEAL_LENGTH


def test_the_seal_is_the_hmac_of_purpose_uid_and_notes_apart_by_zero_bytes() -> None:
    """So that whoever reads this can check a seal with other tools."""
    message = b"agentspec-usage writer state, version 1\0" + UID.encode() + b"\0" + NOTES.encode()
    digest = hmac.new(b"k" * 32, message, "sha256").digest()
    text = sealed(NOTES, UID, KEY)
    (shown,) = {text.rpartition(".")[2]}
    assert int.from_bytes(digest, "big") == _number(shown)


def _number(shown: str) -> int:
    """Of 43 characters of six bits each; the last two bits are padding."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    number = 0
    for character in shown:
        number = number << 6 | alphabet.index(character)
    return number >> 2


@given(at=st.integers(0, len(NOTES) + SEAL_LENGTH - 1), character=st.characters())
def test_any_change_of_one_character_is_detected(at: int, character: str) -> None:
    text = sealed(NOTES, UID, KEY)
    changed = text[:at] + character + text[at + 1 :]
    assert fits(changed) is (changed == text)


@given(text=st.text(alphabet=".0123456789abcdefAZ-_", max_size=150))
def test_no_text_that_was_not_sealed_fits(text: str) -> None:
    assert not fits(text)


def test_the_last_character_of_a_seal_has_one_spelling() -> None:
    """Two of its bits mean nothing to a decoder: the text is compared, and no decoded bytes."""
    text = sealed(NOTES, UID, KEY)
    alike = [text[:-1] + character for character in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"]
    assert [each for each in alike if fits(each)] in ([], [text])


@pytest.mark.parametrize(
    ("uid", "key"),
    [
        pytest.param("22222222-2222-4222-8222-222222222222", KEY, id="of another object"),
        pytest.param("", KEY, id="of no object"),
        pytest.param(UID, OTHER, id="by another key"),
    ],
)
def test_a_seal_fits_one_object_and_one_key(uid: str, key: SealKey) -> None:
    notes, seal = parted(sealed(NOTES, UID, KEY))
    assert seal is not None
    assert not seal_fits(notes, uid, seal, key)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(NOTES, id="notes alone"),
        pytest.param(f"{NOTES}.{KEY.id}.", id="an empty seal"),
        pytest.param(f"{NOTES}.{KEY.id}.{'A' * 42}", id="too short"),
        pytest.param(f"{NOTES}.{KEY.id}.{'A' * 44}", id="too long"),
        pytest.param(f"{NOTES}.{KEY.id.upper()}x.{'A' * 43}", id="no key id"),
        pytest.param(f"{NOTES}.{KEY.id}.{'A' * 43}\n", id="with a line's end"),
        pytest.param(f"{NOTES}.{KEY.id}.{'ä' * 43}", id="not ASCII"),
    ],
)
def test_what_has_no_seal_of_the_known_form_is_all_notes(text: str) -> None:
    assert parted(text) == (text, None)


@pytest.mark.parametrize("text", ["k" * 32, f"  {'k' * 32}\n", f"{'k' * 32}\r\n"])
def test_white_space_around_a_key_is_no_part_of_it(text: str) -> None:
    assert SealKey.of(text) == KEY


def test_a_seal_on_any_text_can_be_compared() -> None:
    assert not fits(f"\ud800.{KEY.id}.{'A' * 43}")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(UsageError, match="31 characters: expected at least 32"):
        SealKey.of("k" * 31 + "\n")


def test_a_key_shows_its_name_and_not_itself() -> None:
    assert "kkkk" not in repr(SealKeys(KEY, OTHER))
    assert KEY.id in repr(KEY)


def test_keys_are_found_by_their_names() -> None:
    keys = SealKeys(KEY, OTHER)
    assert keys.named(KEY.id) is KEY
    assert keys.named(OTHER.id) is OTHER
    assert keys.named("00000000") is None
    assert SealKeys(KEY).named(OTHER.id) is None
