"""The power is cut before and after every operation on the disk."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bayscribe.segments.sealer import SealedRecord
from bayscribe.vault.disk import Disk
from bayscribe.vault.inspect import Verdict, inspect
from bayscribe.vault.vault import Vault
from vault.vault_records import DEVICE, Unit, encounter


class PowerCutError(BaseException):
    """The power is gone: nothing after this runs."""


class FailingPower(Disk):
    """A disk that keeps only what was flushed, and a power supply that ends at a given step.

    A file being written when the power goes is left with part of its content. Names that
    were changed or removed since the folder was last flushed come back or not, by chance.
    """

    def __init__(self, steps: int, chance: random.Random) -> None:
        super().__init__()
        self.steps = steps
        self._chance = chance
        self._undo: list[Callable[[], object]] = []

    def _step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            # A journal commits in order: what is undone is a suffix of what was done.
            for undo in reversed(self._undo[self._chance.randint(0, len(self._undo)) :]):
                undo()
            raise PowerCutError

    def write(self, path: Path, data: bytes) -> None:
        if self.steps == 0:
            path.write_bytes(data[: self._chance.randint(0, len(data))])
        self._step()
        super().write(path, data)
        self._step()

    def overwrite(self, path: Path, data: bytes) -> None:
        self._step()
        super().overwrite(path, data)

    def rename(self, old: Path, new: Path) -> None:
        before = new.read_bytes() if new.exists() else None
        self._step()
        super().rename(old, new)
        self._undo.append(lambda: (new.rename(old), before and new.write_bytes(before)))
        self._step()

    def remove(self, path: Path) -> None:
        before = path.read_bytes() if path.exists() else None
        self._step()
        super().remove(path)
        if before is not None:
            self._undo.append(lambda: path.write_bytes(before))

    def flush_folder(self, path: Path) -> None:
        self._step()
        super().flush_folder(path)
        self._undo.clear()
        self._step()


class Witness:
    """What the buffer has promised so far."""

    def __init__(self) -> None:
        self.durable = 0
        self.acknowledged = 0


def _work(folder: Path, disk: Disk, records: list[SealedRecord], witness: Witness) -> None:
    vault = Vault.open(folder, DEVICE, disk=disk)
    try:
        for record in records[vault.head[0] :]:
            vault.append(record)
            witness.durable = record.seq
            if record.seq % 3 == 0:
                vault.acknowledge(record.seq - 1)
                witness.acknowledged = record.seq - 1
    finally:
        vault.close()


@pytest.mark.parametrize("seed", range(3))
def test_nothing_promised_is_lost_wherever_the_power_is_cut(tmp_path: Path, seed: int) -> None:
    records = encounter(Unit(), 5)
    chance = random.Random(seed)
    cut_at = 0
    while True:
        folder = tmp_path / "buffer"
        shutil.rmtree(folder, ignore_errors=True)
        witness = Witness()
        disk = FailingPower(cut_at, chance)
        try:
            _work(folder, disk, records, witness)
            break
        except PowerCutError:
            pass
        if list(folder.glob("*.record")):
            assert inspect(folder).verdict is not Verdict.TAMPERED
        vault = Vault.open(folder, DEVICE)
        newest, chain = vault.head
        assert witness.durable <= newest <= witness.durable + 1
        assert newest == 0 or chain == records[newest - 1].chain
        kept = vault.pending(0, 99)
        acked = newest - len(kept)
        assert acked >= witness.acknowledged
        assert [r.sealed for r in kept] == [r.sealed for r in records[acked:newest]]
        vault.close()
        _work(folder, Disk(), records, witness)
        assert inspect(folder).verdict is Verdict.INTACT
        assert max(witness.durable, newest) == len(records)
        cut_at += 1
    assert cut_at > 60
