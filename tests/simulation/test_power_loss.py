"""The power is lost at any moment: whatever it leaves of what was not synced, no promise is broken.

``HYPOTHESIS_PROFILE=soak`` lives many lives, and loses the power at many more moments of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import TemporaryDirectory

import pytest

from tests.simulation.power_loss_disk import Synced
from tests.simulation.power_loss_world import Life, Loss, broken_promises, live, losses

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
SEEDS = range(1, 11) if SOAK else (1,)
IMAGES = 500 if SOAK else 100
COMMITS = 60

_MEMORY = Path("/dev/shm")
"""Where Linux keeps files in memory: what the real disk does proves nothing here."""

Live = Callable[[int, str], Life]


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with TemporaryDirectory(
        prefix="agentspec-usage-", dir=_MEMORY if _MEMORY.is_dir() else None
    ) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def lived(directory: Path) -> Live:
    """A life by its seed and setting; each is lived once."""
    lives: dict[tuple[int, str], Life] = {}

    def life(seed: int, synchronous: str) -> Life:
        key = seed, synchronous
        if key not in lives:
            place = directory / f"{seed}{synchronous}"
            place.mkdir()
            lives[key] = live(place / "usage.db", Random(seed), COMMITS, synchronous)
        return lives[key]

    return life


def around_syncs(life: Life, number: int, random: Random) -> Sequence[int]:
    """Moments before and after a sync, and any others, in all about ``number``."""
    synced = [at for at, event in enumerate(life.recording.events, 1) if isinstance(event, Synced)]
    near = {at - 1 for at in synced} | set(synced)
    half = random.sample(sorted(near), min(number // 2, len(near)))
    return sorted({*half, *(random.randrange(life.moment) for _ in range(number - len(half)))})


def found_broken(
    life: Life, moments: Sequence[int], random: Random, directory: Path
) -> Iterator[tuple[Loss, list[str]]]:
    """Each loss that broke a promise, and which."""
    place = directory / "lost"
    for loss in losses(life, moments, random):
        if broken := broken_promises(life, loss, place):
            yield loss, broken
        rmtree(place)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_acknowledged_survives_and_what_was_not_comes_again(
    lived: Live, directory: Path, seed: int
) -> None:
    life = lived(seed, "")
    random = Random(seed)
    for loss, broken in found_broken(life, around_syncs(life, IMAGES, random), random, directory):
        pytest.fail(f"lost at {loss.moment}, kept {loss.fate}: {broken}")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_first_start_that_lost_the_power_begins_again(
    lived: Live, directory: Path, seed: int
) -> None:
    life = lived(seed, "")
    random = Random(seed)
    begun, _ = life.keys[0]
    moments = sorted(random.sample(range(begun), min(IMAGES // 3, begun)))
    for loss, broken in found_broken(life, moments, random, directory):
        pytest.fail(f"lost at {loss.moment}, kept {loss.fate}: {broken}")


def test_a_commit_that_is_not_synced_is_seen_to_be_lost(lived: Live, directory: Path) -> None:
    """The laws above can be broken: with ``synchronous=NORMAL`` SQLite keeps the file whole, and
    forgets commits."""
    life = lived(1, "NORMAL")
    random = Random(1)
    begun, _ = life.keys[0]
    moments = sorted(random.sample(range(begun, life.moment), 30))
    found = [broken for _, broken in found_broken(life, moments, random, directory)]
    frames = [one for broken in found for one in broken if " it stands at " in one]
    assert frames, "no acknowledged frame was lost: the losses lose nothing"
    assert all(one.startswith("lost: ") for broken in found for one in broken)
