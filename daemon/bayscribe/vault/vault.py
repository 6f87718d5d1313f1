"""The durable buffer of a unit.

A record is two files (:mod:`bayscribe.vault.recordfile`) that get their final names only
when their content is on the disk; ``append`` returns when the names are, too. So after a
power cut the folder holds every record whose append returned, and perhaps one more that
was complete; whatever else lies there is removed at the next opening. The order of steps
is the proof, and ``tests/vault`` cuts the power before and after each of them.

append(n)::

    write n.key.part, n.record.part (content flushed)
    rename n.key.part -> n.key, n.record.part -> n.record
    flush the folder                                         <- durable, append returns

acknowledge(m)::

    write state.part (mark m), rename to state, flush the folder
    for each record up to m: overwrite its key, remove key and record

A cut within the second leaves records at or below the mark; opening finishes the job.
Unacknowledged records are never removed. ``append``, ``pending`` and ``acknowledge`` may
be called from different threads.
"""

import logging
import threading
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

from bayscribe.errors import IntegrityError, StorageError
from bayscribe.vault.config import VaultConfig
from bayscribe.vault.disk import Disk
from bayscribe.vault.recordfile import (
    KEY_SUFFIX,
    PART_SUFFIX,
    SUFFIX,
    BufferedRecord,
    RecordFile,
    parse,
    split,
    stem,
)
from bayscribe.vault.recovery import BLOCK_BYTES, STATE, blocks, destroy, recover
from bayscribe.vault.state import OpenEncounter, VaultState, after, encode_state
from bayscribe.wire.chain import link
from bayscribe.wire.header import decode_header

LOCK = "lock"

RENAMES_BYTES = 4 * BLOCK_BYTES
"""Journal and directory blocks that one flushed change of names costs (ext4, measured as
the growth of the block device's write counter over a thousand appends, rounded up)."""

log = logging.getLogger("bayscribe.vault")


class Appendable(Protocol):
    """A finished record of the chain."""

    @property
    def seq(self) -> int:
        """Its number: one more than the newest."""
        ...

    @property
    def header(self) -> bytes:
        """Header bytes as hashed."""
        ...

    @property
    def chain(self) -> bytes:
        """Chain value after it."""
        ...

    @property
    def signature(self) -> bytes:
        """The device's signature."""
        ...

    @property
    def sealed(self) -> bytes:
        """Sealed payload, empty without audio."""
        ...


class Level(StrEnum):
    """How full the buffer is, against its quota and the disk."""

    OK = "ok"
    WARN = "warn"
    HIGH = "high"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class VaultStats:
    """Figures for health and telemetry.

    Attributes:
        pending: records not yet acknowledged.
        pending_bytes: what they take on the disk.
        quota_bytes: what they may take.
        newest: number of the newest record.
        acknowledged: number up to which the relay has everything.
        written_bytes: ever written to flash by the buffer, in whole blocks.
        appended: records ever appended.
    """

    pending: int
    pending_bytes: int
    quota_bytes: int
    newest: int
    acknowledged: int
    written_bytes: int
    appended: int


class Vault:
    """One device's buffer in one folder. Make it with :meth:`open`."""

    def __init__(self, path: Path, config: VaultConfig, device: str, disk: Disk) -> None:
        self._path = path
        self._config = config
        self._disk = disk
        self._mutex = threading.RLock()
        self._lock = disk.lock(path / LOCK)
        try:
            found = recover(path, device, disk)
        except BaseException:
            disk.unlock(self._lock)
            raise
        self._acked = found.acked
        self._written, self._appended = found.acked.written_bytes, found.appended
        self._newest, self._chain = found.newest, found.chain
        self._encounter = found.encounter
        self._order = sorted(found.sizes)
        self._sizes = found.sizes
        self._pending_bytes = sum(found.sizes.values())
        self.damaged = found.damaged
        """Numbers of records that recovery found altered; for an alarm."""

    @classmethod
    def open(
        cls, path: Path, device: str, config: VaultConfig | None = None, disk: Disk | None = None
    ) -> Self:
        """Open a buffer, made when absent, and finish what a power cut interrupted.

        Raises:
            StorageError: the disk refuses, or another process has the buffer open.
            IntegrityError: the buffer was altered, or belongs to another device.
        """
        disk = disk or Disk()
        disk.make_folder(path)
        return cls(path, config or VaultConfig(), device, disk)

    def close(self) -> None:
        """Let go of the folder."""
        with self._mutex:
            if self._lock >= 0:
                self._disk.unlock(self._lock)
                self._lock = -1

    @property
    def head(self) -> tuple[int, bytes]:
        """Number of the newest record ever appended (0: none) and the chain value after it."""
        with self._mutex:
            return self._newest, self._chain

    @property
    def open_encounter(self) -> OpenEncounter | None:
        """The encounter whose closing record is still to come, with its totals."""
        with self._mutex:
            return self._encounter

    def append(self, record: Appendable) -> None:
        """Store a record durably. After an error nothing of it counts; it may be tried again.

        Raises:
            StorageError: ``buffer-full`` at the quota or the disk's reserve, or the disk
                refuses.
            IntegrityError: the record does not continue the chain.
        """
        with self._mutex:
            header = decode_header(record.header)
            continues = record.seq == header.seq == self._newest + 1
            if not continues or record.chain != link(self._chain, record.header):
                raise IntegrityError(f"record {record.seq} does not continue the chain")
            data, key = split(record.header, record.signature, record.sealed)
            self._make_room(len(data) + len(key))
            self._store(record.seq, data, key)
            self._newest, self._chain = record.seq, record.chain
            self._encounter = after(self._encounter, header)
            self._sizes[record.seq] = len(data) + len(key)
            self._order.append(record.seq)
            self._pending_bytes += len(data) + len(key)
            self._appended += 1

    def pending(self, after_seq: int, limit: int) -> list[BufferedRecord]:
        """Unacknowledged records above ``after_seq``, in order, at most ``limit``.

        Raises:
            StorageError: the disk refuses.
            IntegrityError: the next record was altered on the disk.
        """
        with self._mutex:
            begin = bisect_right(self._order, after_seq)
            records: list[BufferedRecord] = []
            for seq in self._order[begin : begin + limit]:
                try:
                    records.append(self._load(seq))
                except IntegrityError:
                    if not records:
                        raise
                    break
            return records

    def acknowledge(self, through: int) -> None:
        """The relay holds everything through this number: destroy the keys, free the space.

        Raises:
            StorageError: the disk refuses; acknowledge again.
        """
        with self._mutex:
            through = min(through, self._newest)
            done = self._order[: bisect_right(self._order, through)]
            if not done:
                return
            chain, encounter = self._acked.chain, self._acked.encounter
            for seq in done:
                header = self._file(seq).header
                chain, encounter = link(chain, header), after(encounter, decode_header(header))
            self._save(VaultState(self._acked.device, through, chain, encounter))
            for seq in done:
                self._erase(seq)
            self._order = self._order[len(done) :]

    def level(self) -> Level:
        """How full it is."""
        with self._mutex:
            share = self._pending_bytes / self._quota
        if share >= 1 or self._free() <= 0:
            return Level.FULL
        if share >= self._config.high_fraction:
            return Level.HIGH
        return Level.WARN if share >= self._config.warn_fraction else Level.OK

    def stats(self) -> VaultStats:
        """Figures for health and telemetry."""
        with self._mutex:
            return VaultStats(
                pending=len(self._order),
                pending_bytes=self._pending_bytes,
                quota_bytes=self._quota,
                newest=self._newest,
                acknowledged=self._acked.seq,
                written_bytes=self._written,
                appended=self._appended,
            )

    # -- steps

    @property
    def _quota(self) -> int:
        return self._config.quota_mib << 20

    def _free(self) -> int:
        return self._disk.free_bytes(self._path) - (self._config.reserve_mib << 20)

    def _make_room(self, size: int) -> None:
        if self._pending_bytes + size > self._quota or self._free() < size:
            raise StorageError(
                f"the buffer {self._path} is full of unacknowledged records",
                "restore the connection to the relay, or give the buffer more room",
                code="buffer-full",
            )

    def _store(self, seq: int, data: bytes, key: bytes) -> None:
        files = [(KEY_SUFFIX, key)] if key else []
        files.append((SUFFIX, data))
        parts = [(self._part(seq, suffix), self._name(seq, suffix)) for suffix, _ in files]
        try:
            for (part, _), (_, content) in zip(parts, files, strict=True):
                self._disk.write(part, content)
                self._written += blocks(len(content))
            for part, final in parts:
                self._disk.rename(part, final)
            self._disk.flush_folder(self._path)
            self._written += RENAMES_BYTES
        except StorageError:
            self._withdraw(parts)
            raise

    def _withdraw(self, parts: list[tuple[Path, Path]]) -> None:
        """Take back what a failed append left, so that it may be tried again."""
        for part, final in parts:
            for path in (final, part):
                try:
                    self._disk.remove(path)
                except StorageError as error:
                    log.warning("cannot withdraw %s: %s", path.name, error)

    def _erase(self, seq: int) -> None:
        self._written += destroy(self._disk, self._path, seq)
        self._pending_bytes -= self._sizes.pop(seq, 0)

    def _save(self, state: VaultState) -> None:
        state = VaultState(
            state.device, state.seq, state.chain, state.encounter, self._written, self._appended
        )
        part = self._path / (STATE + PART_SUFFIX)
        self._disk.write(part, encode_state(state))
        self._disk.rename(part, self._path / STATE)
        self._disk.flush_folder(self._path)
        self._written += BLOCK_BYTES + RENAMES_BYTES
        self._acked = state

    def _load(self, seq: int) -> BufferedRecord:
        return self._file(seq).join(self._disk.read(self._name(seq, KEY_SUFFIX)))

    def _file(self, seq: int) -> RecordFile:
        data = self._disk.read(self._name(seq, SUFFIX))
        if data is None:
            raise IntegrityError(f"record {seq} has vanished from the buffer", code="hole")
        return parse(data)

    def _name(self, seq: int, suffix: str) -> Path:
        return self._path / (stem(seq) + suffix)

    def _part(self, seq: int, suffix: str) -> Path:
        return self._path / (stem(seq) + suffix + PART_SUFFIX)
