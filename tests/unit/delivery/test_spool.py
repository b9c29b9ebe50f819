"""What an ended process could not deliver waits in a directory, whole, private and bounded."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

from agentspec_usage.delivery.spool import Spool
from agentspec_usage.metering.outbox import Spooled, outbox_of_spool
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.simulation.frame_store import MemoryStore
from tests.unit.metering.readings import A, B
from tests.unit.metering.records import SMALL, outbox_with


def spooled(calls: int = 9) -> Spooled:
    return outbox_with(calls, SMALL).spool()


def bodies(kept: Spooled) -> list[bytes]:
    return [sealed.body for sealed in kept.frames]


def test_what_is_kept_comes_back_byte_for_byte_in_another_process(tmp_path: Path) -> None:
    left = spooled()
    assert Spool(tmp_path / "spool").keep(left) == len(left.frames)
    (found,) = Spool(tmp_path / "spool").kept()
    assert bodies(found) == bodies(left)
    assert (found.instance_id, found.observer, found.totals_since) == (
        left.instance_id,
        left.observer,
        left.totals_since,
    )


def test_a_successor_delivers_it_all_and_the_file_goes(tmp_path: Path) -> None:
    spool, store = Spool(tmp_path), MemoryStore()
    spool.keep(spooled())
    (found,) = spool.kept()
    outbox = outbox_of_spool(found, encode_frame)
    while (sealed := outbox.to_send()) is not None:
        store.receive(encode_records([sealed.body]))
        outbox.acknowledged(sealed, store.stored(A).mark.seq)
    spool.discard(A)
    assert store.stored(A).items.calls == 9
    assert store.stored(A).mark.final
    assert list(spool.kept()) == []


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    Spool(tmp_path / "spool").keep(spooled())
    (file,) = (tmp_path / "spool").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700


def test_what_does_not_fit_is_left_out_from_the_end(tmp_path: Path) -> None:
    left = spooled()
    room = sum(len(body) for body in bodies(left)[:2]) + 300
    spool = Spool(tmp_path, max_bytes=room)
    assert spool.keep(left) == 2
    (found,) = spool.kept()
    assert bodies(found) == bodies(left)[:2]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= room


def test_the_bound_holds_for_all_files_together(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1500)
    spool.keep(spooled(1))
    assert spool.keep(replace(spooled(), instance_id=B)) < len(spooled().frames)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1500


def test_of_a_damaged_file_the_frames_before_the_damage_are_good(tmp_path: Path) -> None:
    spool, left = Spool(tmp_path), spooled()
    spool.keep(left)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    (found,) = spool.kept()
    assert bodies(found) == bodies(left)[:-1]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / f"{B}.frames").write_text("nonsense")
    assert list(Spool(tmp_path).kept()) == []
    assert len(list(tmp_path.iterdir())) == 2


def test_a_directory_that_cannot_be_written_keeps_nothing_and_raises_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    assert Spool(tmp_path / "file" / "spool").keep(spooled()) == 0
    assert list(Spool(tmp_path / "file" / "spool").kept()) == []


def test_nothing_to_say_makes_no_file(tmp_path: Path) -> None:
    nothing = replace(spooled(), frames=())
    assert Spool(tmp_path).keep(nothing) == 0
    assert list(tmp_path.iterdir()) == []
