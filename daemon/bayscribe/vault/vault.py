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
    for each record up to m: overwrite its key and flush, remove the key
    remove the oldest acknowledged records beyond what is retained

A cut within the second leaves records at or below the mark; opening finishes the job.
Unacknowledged records are never removed. ``append``, ``pending`` and ``acknowledge`` may
be called from different threads.
"""

import threading
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

from bayscribe.errors import IntegrityError, StorageError
from bayscribe.units import SAMPLE_RATE
from bayscribe.vault.config import VaultConfig
from bayscribe.vault.disk import Disk
from bayscribe.vault.folder import LOCK, Folder, blocks
from bayscribe.vault.recordfile import BufferedRecord, split
from bayscribe.vault.recovery import Mark, recover
from bayscribe.vault.state import OpenEncounter, VaultState, after, encode_state
from bayscribe.wire.chain import link
from bayscribe.wire.header import SegmentHeader, decode_header

DAY_SAMPLES = 24 * 3600 * SAMPLE_RATE


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
        pending_bytes: what they take on the disk, in whole blocks.
        retained_bytes: what acknowledged records still take there.
        quota_bytes: what both may take.
        newest: number of the newest record, and so how many there ever were.
        acknowledged: number up to which the relay has everything.
        written_bytes: ever written to flash by the buffer, as the file system
            turns it into blocks.
        flushes: how often it made the disk flush.
        written_per_day: bytes that a day of uninterrupted audio writes, from the volume
            so far; 0 before the first audio.
    """

    pending: int
    pending_bytes: int
    retained_bytes: int
    quota_bytes: int
    newest: int
    acknowledged: int
    written_bytes: int
    flushes: int
    written_per_day: int


class Vault:
    """One device's buffer in one folder. Make it with :meth:`open`."""

    def __init__(self, path: Path, config: VaultConfig, device: str, disk: Disk) -> None:
        self._config = config
        self._disk = disk
        self._folder = Folder(path, disk)
        self._mutex = threading.RLock()
        self._lock = disk.lock(path / LOCK)
        try:
            found = recover(self._folder, device)
            self._folder.keep_ballast()
        except BaseException:
            disk.unlock(self._lock)
            raise
        self._acked = found.acked
        self._flushes_before = found.acked.flushes
        self._written, self._samples = found.written_bytes, found.samples
        self._newest, last = found.newest, found.last
        self._chain, self._encounter = last.chain, last.encounter
        self._marks = found.marks
        self._order = sorted(found.marks)
        self._pending_bytes = sum(mark.size for mark in found.marks.values())
        self._erasable: deque[tuple[int, int]] = deque()
        self._retained = deque(sorted(found.retained.items()))
        self._retained_bytes = sum(found.retained.values())
        self._trim(config.retain_mib << 20)
        self.damaged = found.damaged
        """Numbers of records that recovery found altered or missing; for an alarm."""

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
            size = blocks(len(data)) + blocks(len(key))
            self._make_room(size)
            self._folder.store(record.seq, data, key)
            self._newest, self._chain = record.seq, record.chain
            self._encounter = after(self._encounter, header)
            self._marks[record.seq] = Mark(record.chain, self._encounter, size)
            self._order.append(record.seq)
            self._pending_bytes += size
            self._samples += header.samples if isinstance(header, SegmentHeader) else 0

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
                    records.append(self._folder.load(seq))
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
            done = self._order[: bisect_right(self._order, through)]
            while done and not self._marks[done[-1]].chain:
                done.pop()  # its header is lost: what lies before it is all that can be noted
            if done:
                self._advance(done)
            self._erase()

    def level(self) -> Level:
        """How full it is: of what quota and disk together leave to it."""
        with self._mutex:
            room = min(self._quota - self._pending_bytes, self._free() + self._retained_bytes)
            share = self._pending_bytes / (self._pending_bytes + room) if room > 0 else 1.0
        if share >= 1:
            return Level.FULL
        if share >= self._config.high_fraction:
            return Level.HIGH
        return Level.WARN if share >= self._config.warn_fraction else Level.OK

    def stats(self) -> VaultStats:
        """Figures for health and telemetry."""
        with self._mutex:
            written = self._written + self._folder.written
            return VaultStats(
                pending=len(self._order),
                pending_bytes=self._pending_bytes,
                retained_bytes=self._retained_bytes,
                quota_bytes=self._quota,
                newest=self._newest,
                acknowledged=self._acked.seq,
                written_bytes=written,
                flushes=self._flushes_before + self._disk.flushes,
                written_per_day=written * DAY_SAMPLES // self._samples if self._samples else 0,
            )

    # -- steps

    @property
    def _quota(self) -> int:
        return self._config.quota_mib << 20

    def _free(self) -> int:
        return self._folder.free_bytes() - (self._config.reserve_mib << 20)

    def _make_room(self, size: int) -> None:
        """Give the oldest acknowledged records' room to a new one.

        Raises:
            StorageError: ``buffer-full``: that is not enough.
        """
        self._trim(max(0, self._quota - self._pending_bytes - size))
        if (short := size - self._free()) > 0:
            self._trim(max(0, self._retained_bytes - short))
        if self._pending_bytes + size > self._quota or self._free() < size:
            raise StorageError(
                f"the buffer {self._folder.path} is full of unacknowledged records",
                "restore the connection to the relay, or give the buffer more room",
                code="buffer-full",
            )

    def _advance(self, done: list[int]) -> None:
        """Note durably that these are acknowledged; from then on they may be erased."""
        mark = self._marks[done[-1]]
        state = VaultState(
            device=self._acked.device,
            seq=done[-1],
            chain=mark.chain,
            encounter=mark.encounter,
            appended=self._newest,
            written_bytes=self._written + self._folder.written,
            flushes=self._flushes_before + self._disk.flushes,
            samples=self._samples,
        )
        data = encode_state(state)
        self._folder.save_state(data)
        self._acked = state
        self._order = self._order[len(done) :]
        if not self._order:
            self._folder.copy_state(data)  # no record is left to rebuild the state from
        for seq in done:
            size = self._marks.pop(seq).size
            self._pending_bytes -= size
            self._retained_bytes += size
            self._erasable.append((seq, size))

    def _erase(self) -> None:
        """Destroy the keys of what is acknowledged, then let go of what is not retained."""
        while self._erasable:
            self._folder.destroy_key(self._erasable[0][0])
            self._retained.append(self._erasable.popleft())
        self._trim(self._config.retain_mib << 20)
        self._folder.keep_ballast()

    def _trim(self, most: int) -> None:
        """Remove the oldest acknowledged records until the rest takes at most ``most`` bytes."""
        while self._retained and self._retained_bytes > most:
            seq, size = self._retained[0]
            self._folder.remove_record(seq)
            self._retained.popleft()
            self._retained_bytes -= size
