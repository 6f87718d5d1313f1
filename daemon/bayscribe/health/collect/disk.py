"""The disk under the state directory: space, inodes, wear."""

import os
import secrets
from pathlib import Path

from bayscribe.health.snapshot import DiskView

SYS = Path("/sys")
_TENTHS = 10
_MIB = 1 << 20


def look(
    folder: Path,
    *,
    least_free_mib: float,
    written_per_day: int | None,
    budget_gib: float,
    sys: Path = SYS,
) -> DiskView:
    """The disk now, without writing to it."""
    try:
        found = os.statvfs(folder)
        device = folder.stat().st_dev
    except OSError:
        return DiskView(writable=False, least_free_mib=least_free_mib)
    life, ending = wear(device, sys)
    return DiskView(
        free_mib=round(found.f_bavail * found.f_frsize / _MIB, 1),
        least_free_mib=least_free_mib,
        free_inodes_share=found.f_favail / found.f_files if found.f_files else None,
        life_used=life,
        end_of_life=ending,
        written_gib_per_day=None if not written_per_day else written_per_day / (1 << 30),
        budget_gib_per_day=budget_gib,
    )


def wear(device: int, sys: Path = SYS) -> tuple[float | None, bool]:
    """Share of the flash's life that is used, and whether it announces its end.

    eMMC says so in tenths (``life_time``, JEDEC JESD84-B51: EXT_CSD 268 and 269, 0x01 for up
    to 10 %, 0x0b beyond) and in ``pre_eol_info`` (3 is urgent). SD cards and USB sticks say
    nothing.
    """
    block = (sys / "dev" / "block" / f"{os.major(device)}:{os.minor(device)}").resolve()
    for place in (block / "device", block.parent / "device"):
        tenths = [int(word, 16) for word in _words(place / "life_time") if _is_hex(word)]
        ending = any(int(word, 16) >= 3 for word in _words(place / "pre_eol_info") if _is_hex(word))
        if tenths or ending:
            return (max(tenths) / _TENTHS if tenths else None), ending
    return None, False


def can_be_written(folder: Path) -> bool:
    """Whether a small file can be written, flushed and removed again."""
    probe = folder / f".probe-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with probe.open("wb") as file:
            file.write(b"\0" * 512)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []


def _is_hex(word: str) -> bool:
    try:
        int(word, 16)
    except ValueError:
        return False
    return True
