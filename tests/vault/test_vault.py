import errno
import os
from pathlib import Path

import pytest

from bayscribe.errors import IntegrityError, StorageError
from bayscribe.segments.sealer import Moment, SealedRecord
from bayscribe.vault.config import VaultConfig
from bayscribe.vault.disk import Disk
from bayscribe.vault.vault import Level, Vault
from bayscribe.wire.seal import ENCAPSULATED_BYTES, PREFIX_BYTES, Kem
from vault.vault_records import DEVICE, Unit, encounter


def test_what_was_appended_is_there_after_reopening(tmp_path: Path) -> None:
    records = encounter(Unit(), 5)
    vault = Vault.open(tmp_path, DEVICE)
    for record in records:
        vault.append(record)
    vault.close()
    again = Vault.open(tmp_path, DEVICE)
    assert again.head == (7, records[-1].chain)
    kept = again.pending(0, 100)
    assert [(r.header, r.signature, r.sealed) for r in kept] == [
        (r.header, r.signature, r.sealed) for r in records
    ]
    assert [r.header for r in again.pending(3, 2)] == [r.header for r in records[3:5]]


def test_acknowledged_records_go_and_the_chain_goes_on(tmp_path: Path) -> None:
    unit = Unit()
    records = encounter(unit, 5)
    vault = Vault.open(tmp_path, DEVICE)
    for record in records:
        vault.append(record)
    vault.acknowledge(len(records))
    vault.close()
    assert not list(tmp_path.glob("*.record"))
    assert not list(tmp_path.glob("*.key"))
    again = Vault.open(tmp_path, DEVICE)
    assert again.pending(0, 10) == []
    writer = unit.writer(again.head)
    again.append(writer.open_encounter("ef" * 16, "tap", Moment()))
    assert again.head[0] == len(records) + 1


def test_the_key_of_an_acknowledged_record_is_overwritten_before_it_is_removed(
    tmp_path: Path,
) -> None:
    class Watching(Disk):
        def __init__(self) -> None:
            super().__init__()
            self.overwritten: list[tuple[str, bytes]] = []

        def overwrite(self, path: Path, data: bytes) -> None:
            super().overwrite(path, data)
            self.overwritten.append((path.name, path.read_bytes()))

    records = encounter(Unit(), 1)
    disk = Watching()
    vault = Vault.open(tmp_path, DEVICE, disk=disk)
    for record in records:
        vault.append(record)
    length = ENCAPSULATED_BYTES[Kem.X25519]
    key = records[1].sealed[PREFIX_BYTES : PREFIX_BYTES + length]
    body = next(tmp_path.glob("*2.record")).read_bytes()
    assert key not in body
    vault.acknowledge(2)
    [(name, found)] = disk.overwritten
    assert name.endswith("2.key")
    assert len(found) == length
    assert found != key


def test_an_unclean_stop_leaves_the_open_encounter_with_its_totals(tmp_path: Path) -> None:
    records = encounter(Unit(), 5)
    vault = Vault.open(tmp_path, DEVICE)
    for record in records[:-1]:
        vault.append(record)
    vault.acknowledge(4)
    vault.close()
    left = Vault.open(tmp_path, DEVICE).open_encounter
    assert left is not None
    assert (left.opened_seq, left.segments, left.samples) == (1, 5, 800)


def test_two_daemons_cannot_share_a_buffer(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path, DEVICE)
    with pytest.raises(StorageError, match="in use"):
        Vault.open(tmp_path, DEVICE)
    vault.close()
    Vault.open(tmp_path, DEVICE).close()


def test_a_buffer_serves_one_device_only(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path, DEVICE)
    vault.append(encounter(Unit(), 0)[0])
    vault.acknowledge(1)
    vault.close()
    with pytest.raises(IntegrityError, match="belongs to bay-07"):
        Vault.open(tmp_path, "bay-08")


def test_a_record_that_does_not_continue_the_chain_is_refused(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path, DEVICE)
    records = encounter(Unit(), 2)
    vault.append(records[0])
    for wrong in (records[0], records[2], records[3]):
        with pytest.raises(IntegrityError):
            vault.append(wrong)
    vault.append(records[1])


def test_unacknowledged_records_are_never_evicted_and_levels_warn_long_before(
    tmp_path: Path,
) -> None:
    config = VaultConfig(quota_mib=8, reserve_mib=0)
    records = encounter(Unit(), 60, samples=100_000)
    vault = Vault.open(tmp_path, DEVICE, config)
    levels = [vault.level()]
    stored = 0
    with pytest.raises(StorageError) as caught:  # noqa: PT012 - which append fails is not known
        for record in records:
            vault.append(record)
            stored += 1
            if levels[-1] != vault.level():
                levels.append(vault.level())
    assert caught.value.code == "buffer-full"
    assert levels == [Level.OK, Level.WARN, Level.HIGH]
    assert len(vault.pending(0, 100)) == stored
    vault.acknowledge(stored // 2)
    vault.append(records[stored])
    assert vault.head[0] == stored + 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("operation", ["write", "fsync", "rename"])
def test_a_refusing_disk_is_named_and_the_same_append_succeeds_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, operation: str
) -> None:
    records = encounter(Unit(), 2)
    vault = Vault.open(tmp_path, DEVICE, VaultConfig(reserve_mib=0))
    vault.append(records[0])

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(Path if operation == "rename" else os, operation, refuse)
        with pytest.raises(StorageError) as caught:
            vault.append(records[1])
    assert caught.value.code in {"disk-full", "disk-read-only", "disk-failing"}
    for record in records[1:]:
        vault.append(record)
    vault.close()
    again = Vault.open(tmp_path, DEVICE)
    assert [r.header for r in again.pending(0, 9)] == [r.header for r in records]


def test_write_volume_is_accounted_across_restarts(tmp_path: Path) -> None:
    records = encounter(Unit(), 3)
    vault = Vault.open(tmp_path, DEVICE)
    for record in records:
        vault.append(record)
    vault.acknowledge(len(records))
    written = vault.stats().written_bytes
    assert written >= sum(len(r.sealed) + len(r.header) for r in records)
    vault.close()
    again = Vault.open(tmp_path, DEVICE).stats()
    assert again.newest == len(records)
    assert again.written_per_day > again.written_bytes
    assert 0.7 * written < again.written_bytes <= written


def test_write_volume_of_what_a_power_cut_left_uncounted_is_made_up(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path, DEVICE)
    for record in encounter(Unit(), 20, samples=5_000):
        vault.append(record)
    before = vault.stats()
    vault.close()
    after = Vault.open(tmp_path, DEVICE).stats()
    assert abs(after.written_bytes - before.written_bytes) < 0.15 * before.written_bytes
    assert abs(after.written_per_day - before.written_per_day) < 0.15 * before.written_per_day


def test_damage_in_the_middle_blocks_the_stream_but_not_the_recording(tmp_path: Path) -> None:
    records = encounter(Unit(), 3)
    vault = Vault.open(tmp_path, DEVICE)
    for record in records[:4]:
        vault.append(record)
    vault.close()
    victim = next(tmp_path.glob("*2.record"))
    victim.write_bytes(victim.read_bytes()[:-5])
    again = Vault.open(tmp_path, DEVICE)
    assert again.damaged == [2]
    assert again.head == (4, records[3].chain)
    assert [r.header for r in again.pending(0, 9)] == [records[0].header]
    with pytest.raises(IntegrityError):
        again.pending(1, 9)
    again.append(records[4])


class Refusing(Disk):
    """A disk that refuses chosen operations while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: dict[str, str] = {}
        self.free = 1 << 40

    def _check(self, operation: str) -> None:
        if operation in self.refuses:
            raise StorageError("refused", code=self.refuses[operation])

    def overwrite(self, path: Path, data: bytes) -> None:
        self._check("overwrite")
        super().overwrite(path, data)

    def write(self, path: Path, data: bytes) -> None:
        if (path.parent / "ballast").exists():
            self._check("write")
        super().write(path, data)

    def free_bytes(self, path: Path) -> int:
        return min(self.free, super().free_bytes(path) + (1 << 40))


def test_an_erasure_that_failed_is_finished_by_the_next_acknowledgement(tmp_path: Path) -> None:
    unit, disk = Unit(), Refusing()
    records = encounter(unit, 4)
    vault = Vault.open(tmp_path, DEVICE, disk=disk)
    for record in records:
        vault.append(record)
    disk.refuses = {"overwrite": "disk-failing"}
    with pytest.raises(StorageError):
        vault.acknowledge(3)
    assert [r.header for r in vault.pending(0, 9)] == [r.header for r in records[3:]]
    disk.refuses = {}
    vault.acknowledge(3)
    assert sorted(path.name[:20] for path in tmp_path.glob("*.key")) == [
        f"{seq:020d}" for seq in (4, 5)
    ]
    vault.acknowledge(len(records))
    vault.close()
    assert Vault.open(tmp_path, DEVICE).head == (len(records), records[-1].chain)


def test_a_disk_without_a_free_block_still_takes_acknowledgements(tmp_path: Path) -> None:
    disk = Refusing()
    records = encounter(Unit(), 3)
    vault = Vault.open(tmp_path, DEVICE, disk=disk)
    for record in records[:3]:
        vault.append(record)
    disk.refuses = {"write": "disk-full"}
    with pytest.raises(StorageError) as caught:
        vault.append(records[3])
    assert caught.value.code == "disk-full"
    vault.acknowledge(3)
    assert vault.stats().acknowledged == 3
    disk.refuses = {}
    for record in records[3:]:
        vault.append(record)
    vault.acknowledge(4)
    assert (tmp_path / "ballast").stat().st_size > 0
    vault.close()
    assert Vault.open(tmp_path, DEVICE).head == (len(records), records[-1].chain)


def test_retained_records_cannot_be_opened_and_make_way_for_unacknowledged_ones(
    tmp_path: Path,
) -> None:
    config = VaultConfig(quota_mib=8, reserve_mib=0, retain_mib=8)
    records = encounter(Unit(), 60, samples=100_000)
    vault = Vault.open(tmp_path, DEVICE, config)
    for record in records[:30]:
        vault.append(record)
    vault.acknowledge(30)
    assert vault.pending(0, 99) == []
    assert not list(tmp_path.glob("*.key"))
    assert len(list(tmp_path.glob("*.record"))) == 30
    vault.close()
    again = Vault.open(tmp_path, DEVICE, config)
    assert again.stats().retained_bytes > 30 * 200_000 * 0.9
    for record in records[30:60]:
        again.append(record)
    assert len(again.pending(0, 99)) == 30
    left = sorted(int(path.stem) for path in tmp_path.glob("*.record"))
    assert left == list(range(left[0], 61))
    assert 1 < left[0] <= 30


def test_a_disk_filled_by_others_raises_the_level_before_the_quota_does(tmp_path: Path) -> None:
    disk = Refusing()
    vault = Vault.open(tmp_path, DEVICE, VaultConfig(reserve_mib=1), disk=disk)
    for record in encounter(Unit(), 10, samples=50_000):
        vault.append(record)
    assert vault.level() is Level.OK
    disk.free = (1 << 20) + 2 * vault.stats().pending_bytes
    assert vault.level() is Level.WARN
    disk.free = (1 << 20) + vault.stats().pending_bytes // 2
    assert vault.level() is Level.HIGH
    disk.free = 1 << 20
    assert vault.level() is Level.FULL


def test_a_record_that_vanished_is_reported_and_never_skipped(tmp_path: Path) -> None:
    records = encounter(Unit(), 4)
    vault = Vault.open(tmp_path, DEVICE)
    for record in records:
        vault.append(record)
    vault.close()
    for path in tmp_path.glob("*3.*"):
        path.unlink()
    again = Vault.open(tmp_path, DEVICE)
    assert again.damaged == [3]
    assert [r.header for r in again.pending(0, 9)] == [r.header for r in records[:2]]
    with pytest.raises(IntegrityError, match="vanished"):
        again.pending(2, 9)
    assert again.head == (6, records[-1].chain)


def test_a_damaged_newest_record_is_put_aside_and_recording_goes_on(tmp_path: Path) -> None:
    unit = Unit()
    records = encounter(unit, 4)
    vault = Vault.open(tmp_path, DEVICE)
    for record in records[:4]:
        vault.append(record)
    vault.close()
    victim = next(tmp_path.glob("*4.record"))
    data = bytearray(victim.read_bytes())
    data[-50] ^= 1
    victim.write_bytes(data)
    again = Vault.open(tmp_path, DEVICE)
    assert again.head == (3, records[2].chain)
    assert [path.name for path in tmp_path.glob("*.damaged")] == [victim.name + ".damaged"]
    again.append(records[3])


def _acknowledged(folder: Path, through: int) -> list[SealedRecord]:
    records = encounter(Unit(), 2)
    vault = Vault.open(folder, DEVICE)
    for record in records:
        vault.append(record)
    vault.acknowledge(through)
    vault.close()
    return records


@pytest.mark.parametrize("through", [2, 4])
@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_state_file_keeps_no_unit_from_recording(
    tmp_path: Path, through: int, lost: bool
) -> None:
    records = _acknowledged(tmp_path, through)
    state = tmp_path / "state"
    state.write_bytes(state.read_bytes()[:-1])
    if lost:
        state.unlink()
    vault = Vault.open(tmp_path, DEVICE)
    assert vault.head == (4, records[-1].chain)
    assert [r.header for r in vault.pending(0, 9)] == [r.header for r in records[through:]]
    vault.append(Unit().writer(vault.head).open_encounter("ef" * 16, "tap", Moment()))
    vault.acknowledge(5)
    vault.close()
    assert Vault.open(tmp_path, DEVICE).head[0] == 5


def test_a_buffer_that_lost_its_state_its_copy_and_its_records_is_refused(tmp_path: Path) -> None:
    _acknowledged(tmp_path, 4)
    for name in ("state", "state.copy"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(IntegrityError, match="damaged or gone"):
        Vault.open(tmp_path, DEVICE)


def test_a_newest_record_whose_key_never_became_durable_is_dropped(tmp_path: Path) -> None:
    records = encounter(Unit(), 4)
    vault = Vault.open(tmp_path, DEVICE)
    for record in records[:4]:
        vault.append(record)
    vault.close()
    next(tmp_path.glob("*4.key")).unlink()
    again = Vault.open(tmp_path, DEVICE)
    assert again.head == (3, records[2].chain)
    assert again.damaged == []
    again.append(records[3])
    assert [r.sealed for r in again.pending(0, 9)] == [r.sealed for r in records[:4]]
