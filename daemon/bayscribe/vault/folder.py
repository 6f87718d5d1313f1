"""The buffer's files and the steps that change them, in the order that makes them safe.

Every change is written beside its place, flushed, renamed into it, and the folder
flushed; keys are overwritten before they are removed. What was written is counted in
whole blocks and with what a flush costs, since that is what flash wears by.
"""

import logging
import os
from pathlib import Path

from bayscribe.errors import IntegrityError, StorageError
from bayscribe.vault.disk import Disk
from bayscribe.vault.recordfile import (
    KEY_SUFFIX,
    LARGEST_BYTES,
    PART_SUFFIX,
    SUFFIX,
    BufferedRecord,
    RecordFile,
    parse,
    stem,
)

STATE = "state"
STATE_COPY = "state.copy"
LOCK = "lock"
BALLAST = "ballast"
CERTIFICATE = "device.pem"

BLOCK_BYTES = 4096
"""What the smallest write costs on flash; the write volume is counted in these."""

FLUSH_BYTES = 8 * BLOCK_BYTES
"""What one flush costs beside the data: journal, inodes, bitmaps, folder.

Measured on ext4 with default options, on a loop device of its own, as the growth of its
write counter: 1000 appends of 124 KiB wrote 224 kB each (three flushes), their
acknowledgement one by one 104 kB each (three flushes), 300 at once 44 kB each (one flush).
"""

APPEND_FLUSHES = 3
"""Key, record, folder."""

BALLAST_BYTES = 16 * BLOCK_BYTES
"""Given up when the disk is so full that not even an acknowledgement can be noted."""

log = logging.getLogger("bayscribe.vault")


def blocks(size: int) -> int:
    """Bytes that ``size`` takes on a disk, in whole blocks."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def numbers(names: list[str], suffix: str) -> list[int]:
    """Numbers of the records that have a file with this suffix, ascending."""
    stems = [name.removesuffix(suffix) for name in names if name.endswith(suffix)]
    return sorted(int(name) for name in stems if name.isdecimal() and name == stem(int(name)))


class Folder:
    """One buffer's folder.

    Args:
        path: the folder.
        disk: the file system under it.

    Raises:
        StorageError: from every method: the disk refuses.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path = path
        self.disk = disk
        self.written = 0
        """Bytes written to the disk through this object."""

    def names(self) -> list[str]:
        """Names of all files, sorted."""
        return self.disk.names(self.path)

    # -- records

    def store(self, seq: int, data: bytes, key: bytes) -> None:
        """Make a record's two files durable. After an error neither counts."""
        files = [(KEY_SUFFIX, key)] if key else []
        files.append((SUFFIX, data))
        finals = [self._name(seq, suffix) for suffix, _ in files]
        try:
            for final, (_, content) in zip(finals, files, strict=True):
                self._write(_part(final), content)
            for final in finals:
                self.disk.rename(_part(final), final)
            self._flush()
        except StorageError:
            self._withdraw(finals)
            raise

    def read(self, seq: int) -> RecordFile:
        """A record's file, checked against its own digest.

        Raises:
            IntegrityError: ``hole`` if it is gone, ``record-short`` or ``record-damaged``.
        """
        data = self.disk.read(self._name(seq, SUFFIX), LARGEST_BYTES + 1)
        if data is None:
            raise IntegrityError(f"record {seq} has vanished from the buffer", code="hole")
        return parse(data)

    def load(self, seq: int) -> BufferedRecord:
        """A record as it travels, its encapsulated key put back.

        Raises:
            IntegrityError: it is gone, damaged or without its key.
        """
        return self.read(seq).join(self.disk.read(self._name(seq, KEY_SUFFIX)))

    def start(self, seq: int, size: int) -> bytes:
        """The first bytes of a record's file; empty if it is gone."""
        return self.disk.read(self._name(seq, SUFFIX), size) or b""

    def sizes(self, seq: int) -> tuple[int, int]:
        """Bytes of a record's file and of its key, 0 for what is absent."""
        return (
            self.disk.size(self._name(seq, SUFFIX)),
            self.disk.size(self._name(seq, KEY_SUFFIX)),
        )

    def destroy_key(self, seq: int) -> None:
        """Overwrite a record's encapsulated key in place, flush, and remove it.

        Twice is no error: a power cut may lie between the two.
        """
        key = self._name(seq, KEY_SUFFIX)
        size = self.disk.size(key)
        if size:
            self.disk.overwrite(key, os.urandom(size))
            self.written += blocks(size) + FLUSH_BYTES
        self.disk.remove(key)

    def remove_record(self, seq: int) -> None:
        """Remove a record's file."""
        self.disk.remove(self._name(seq, SUFFIX))

    def put_aside(self, seq: int, suffix: str) -> None:
        """Rename a record's file that does not count any more; its key is destroyed."""
        name = self._name(seq, SUFFIX)
        self.disk.rename(name, name.with_name(name.name + suffix))
        self.destroy_key(seq)
        self._flush()

    def remove(self, name: str) -> None:
        """Remove any other file."""
        self.disk.remove(self.path / name)

    # -- state

    def read_state(self) -> bytes | None:
        """The state file's bytes."""
        return self.disk.read(self.path / STATE)

    def save_state(self, data: bytes) -> None:
        """Replace the state file atomically, if need be in the ballast's room."""
        try:
            self.replace(STATE, data)
        except StorageError as error:
            if error.code != "disk-full":
                raise
            self.disk.remove(self.path / BALLAST)
            self._flush()
            self.replace(STATE, data)

    def read_state_copy(self) -> bytes | None:
        """The bytes of the state's copy, which may be older or torn."""
        return self.disk.read(self.path / STATE_COPY)

    def copy_state(self, data: bytes) -> None:
        """Write the state a second time, for the day when its file is found damaged."""
        try:
            self._write(self.path / STATE_COPY, data)
        except StorageError as error:
            log.warning("no copy of the state: %s", error, extra={"code": error.code})

    def replace(self, name: str, data: bytes) -> None:
        """Replace a file atomically."""
        final = self.path / name
        self._write(_part(final), data)
        self.disk.rename(_part(final), final)
        self._flush()

    def keep_ballast(self) -> None:
        """Take up the ballast's room again, if there is any."""
        path = self.path / BALLAST
        if self.disk.size(path) == BALLAST_BYTES:
            return
        try:
            self._write(path, os.urandom(BALLAST_BYTES))
            self._flush()
        except StorageError as error:
            log.warning("no room for the ballast: %s", error, extra={"code": error.code})

    def free_bytes(self) -> int:
        """Bytes that are free on the disk."""
        return self.disk.free_bytes(self.path)

    # -- steps

    def _write(self, path: Path, content: bytes) -> None:
        self.disk.write(path, content)
        self.written += blocks(len(content)) + FLUSH_BYTES

    def _flush(self) -> None:
        self.disk.flush_folder(self.path)
        self.written += FLUSH_BYTES

    def _withdraw(self, finals: list[Path]) -> None:
        """Take back what a failed append left, so that it may be tried again."""
        for path in [*finals[::-1], *map(_part, finals)]:
            try:
                self.disk.remove(path)
            except StorageError as error:
                log.warning("cannot withdraw %s: %s", path.name, error)

    def _name(self, seq: int, suffix: str) -> Path:
        return self.path / (stem(seq) + suffix)


def _part(final: Path) -> Path:
    return final.with_name(final.name + PART_SUFFIX)
