"""The few file-system operations that the buffer is made of.

All of them in one place, so that a test may cut the power before and after each.
"""

import errno
import fcntl
import os
import shutil
from pathlib import Path

from bayscribe.errors import StorageError

FILE_MODE = 0o600
FOLDER_MODE = 0o700


class Disk:
    """The real file system.

    Raises:
        StorageError: from every method; its code says what kind: ``disk-full``,
            ``disk-read-only`` or ``disk-failing``.
    """

    def __init__(self) -> None:
        self.flushes = 0
        """How often something was flushed to the disk."""

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, if absent, durably."""
        if path.is_dir():
            return
        self.make_folder(path.parent)
        try:
            path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        except OSError as error:
            raise storage_error(error, path) from None
        self.flush_folder(path.parent)

    def write(self, path: Path, data: bytes) -> None:
        """Write a whole new file and flush its content to the disk."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            descriptor = os.open(path, flags, FILE_MODE)
            try:
                _write_all(descriptor, data)
                self._flush(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise storage_error(error, path) from None

    def overwrite(self, path: Path, data: bytes) -> None:
        """Write over an existing file's bytes, in place, and flush."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                _write_all(descriptor, data)
                self._flush(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return
        except OSError as error:
            raise storage_error(error, path) from None

    def rename(self, old: Path, new: Path) -> None:
        """Give a file its final name; durable only after :meth:`flush_folder`."""
        try:
            old.rename(new)
        except OSError as error:
            raise storage_error(error, new) from None

    def flush_folder(self, path: Path) -> None:
        """Make all renames and removals in a folder durable."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._flush(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise storage_error(error, path) from None

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, path) from None

    def read(self, path: Path, most: int = -1) -> bytes | None:
        """A file's bytes, its first ``most`` if that is not negative; None if it is absent."""
        try:
            with path.open("rb") as file:
                return file.read(most)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise storage_error(error, path) from None

    def names(self, path: Path) -> list[str]:
        """Names in a folder, sorted."""
        try:
            return sorted(entry.name for entry in path.iterdir())
        except OSError as error:
            raise storage_error(error, path) from None

    def size(self, path: Path) -> int:
        """Bytes of a file, 0 if it is absent."""
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise storage_error(error, path) from None

    def free_bytes(self, path: Path) -> int:
        """Bytes that are free on the disk under ``path``."""
        try:
            return shutil.disk_usage(path).free
        except OSError as error:
            raise storage_error(error, path) from None

    def lock(self, path: Path) -> int:
        """Take the lock file; a descriptor that holds it until it is closed.

        Raises:
            StorageError: ``buffer-in-use`` if another process has it.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise storage_error(error, path) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise StorageError(
                f"the buffer {path.parent} is in use by another process",
                "stop the other daemon first",
                code="buffer-in-use",
            ) from None
        return descriptor

    def unlock(self, descriptor: int) -> None:
        """Let go of the lock."""
        os.close(descriptor)

    def _flush(self, descriptor: int) -> None:
        os.fsync(descriptor)
        self.flushes += 1


def storage_error(error: OSError, path: Path) -> StorageError:
    """What an operating-system error means for the buffer."""
    name = f"{path}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(name, "free space on the disk, or raise its size", code="disk-full")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StorageError(
            name, "mount the disk writable for the daemon's user", code="disk-read-only"
        )
    return StorageError(name, "check the disk; replace the card if it fails", code="disk-failing")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
