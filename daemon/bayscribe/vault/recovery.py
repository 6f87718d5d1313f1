"""Opening a buffer after whatever happened to it.

Three things can be found: nothing unusual; the traces of a power cut, which are removed;
and damage that no power cut explains (a failing card, or somebody's hand). Damage never
keeps a unit from recording: a damaged record in the middle stays where it is and blocks
the stream behind it until an operator has looked, a damaged last one is put aside.
"""

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from bayscribe.errors import IntegrityError
from bayscribe.vault.disk import Disk
from bayscribe.vault.recordfile import KEY_SUFFIX, PART_SUFFIX, SUFFIX, parse, stem
from bayscribe.vault.state import OpenEncounter, VaultState, after, decode_state
from bayscribe.wire.chain import genesis, link
from bayscribe.wire.header import Header, decode_header

STATE = "state"
ASIDE_SUFFIX = ".damaged"
BLOCK_BYTES = 4096
"""What the smallest write costs on flash; the write volume is counted in these."""

log = logging.getLogger("bayscribe.vault")


@dataclass(slots=True)
class Recovered:
    """What a buffer holds.

    Attributes:
        acked: the state file's content.
        newest: number of the newest record.
        chain: chain value after it.
        encounter: what is open there.
        sizes: bytes on disk of each unacknowledged record.
        damaged: numbers of records that were altered.
    """

    acked: VaultState
    newest: int
    chain: bytes
    encounter: OpenEncounter | None
    sizes: dict[int, int] = field(default_factory=dict)
    damaged: list[int] = field(default_factory=list)

    @property
    def appended(self) -> int:
        """Records ever appended: they are numbered without holes."""
        return self.newest


def recover(path: Path, device: str, disk: Disk) -> Recovered:
    """Read a buffer's folder, finishing what a power cut interrupted.

    Raises:
        StorageError: the disk refuses.
        IntegrityError: the buffer belongs to another device, or its state file is damaged.
    """
    names = disk.names(path)
    acked = _read_state(path, device, disk, numbers(names, SUFFIX))
    found = Recovered(acked, acked.seq, acked.chain, acked.encounter)
    for name in names:
        if name.endswith(PART_SUFFIX):
            disk.remove(path / name)
    for seq in sorted({*numbers(names, SUFFIX), *numbers(names, KEY_SUFFIX)}):
        if seq <= acked.seq:
            destroy(disk, path, seq)
    waiting = [seq for seq in numbers(names, SUFFIX) if seq > acked.seq]
    for seq in waiting:
        _take_up(path, disk, found, seq, last=seq == waiting[-1])
    for seq in numbers(names, KEY_SUFFIX):
        if seq > found.newest:
            disk.remove(path / (stem(seq) + KEY_SUFFIX))
    if found.sizes:
        log.info("buffer holds records %d to %d", min(found.sizes), found.newest)
    return found


def destroy(disk: Disk, path: Path, seq: int) -> int:
    """Overwrite a record's key, then remove key and record; bytes written to do so."""
    key = path / (stem(seq) + KEY_SUFFIX)
    size = disk.size(key)
    if size:
        disk.overwrite(key, os.urandom(size))
    disk.remove(key)
    disk.remove(path / (stem(seq) + SUFFIX))
    return blocks(size)


def numbers(names: list[str], suffix: str) -> list[int]:
    """Numbers of the records that have a file with this suffix, ascending."""
    stems = [name.removesuffix(suffix) for name in names if name.endswith(suffix)]
    return sorted(int(name) for name in stems if name.isdecimal())


def blocks(size: int) -> int:
    """Bytes that a write of ``size`` costs, in whole blocks."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _read_state(path: Path, device: str, disk: Disk, present: list[int]) -> VaultState:
    data = disk.read(path / STATE)
    if data is None:
        if present and present[0] != 1:
            raise IntegrityError(
                f"the state file of the buffer {path} is gone", code="state-missing"
            )
        return VaultState(device, 0, genesis(device))
    state = decode_state(data)
    if state.device != device:
        raise IntegrityError(
            f"the buffer {path} belongs to {state.device}, not to {device}",
            "give each device a state directory of its own",
            code="other-device",
        )
    return state


def _take_up(path: Path, disk: Disk, found: Recovered, seq: int, *, last: bool) -> None:
    """Count one unacknowledged record that lies in the folder."""
    name = path / (stem(seq) + SUFFIX)
    key_bytes = disk.size(path / (stem(seq) + KEY_SUFFIX))
    header_bytes, header = _header(disk, name)
    has_key = key_bytes > 0 or not _has_body(disk, name)
    if header is None or header_bytes is None or not has_key:
        if last:
            _put_aside(path, disk, seq, unfinished=header is not None)
            return
        found.damaged.append(seq)
        log.error("record %d in the buffer is damaged", seq, extra={"code": "record-damaged"})
    if seq != found.newest + 1 and header is not None:
        missing = list(range(found.newest + 1, seq))
        found.damaged += missing
        log.error("records %s are missing from the buffer", missing, extra={"code": "hole"})
        found.chain = header.previous
    if header is not None and header_bytes is not None:
        if header.previous != found.chain:
            if seq - 1 not in found.damaged:
                found.damaged.append(seq)
                log.error("record %d breaks the chain", seq, extra={"code": "chain"})
            found.chain = header.previous
        found.chain = link(found.chain, header_bytes)
        found.encounter = after(found.encounter, header)
    found.newest = seq
    found.sizes[seq] = disk.size(name) + key_bytes


def _header(disk: Disk, name: Path) -> tuple[bytes | None, Header | None]:
    try:
        file = parse(disk.read(name) or b"")
        return file.header, decode_header(file.header)
    except IntegrityError:
        return None, None


def _has_body(disk: Disk, name: Path) -> bool:
    try:
        return bool(parse(disk.read(name) or b"").body)
    except IntegrityError:
        return True


def _put_aside(path: Path, disk: Disk, seq: int, *, unfinished: bool) -> None:
    """The last record is not whole: a cut append that never returned, or damage."""
    name = path / (stem(seq) + SUFFIX)
    if unfinished:
        disk.remove(name)
        log.warning("dropped record %d: power was cut while it was appended", seq)
    else:
        disk.rename(name, path / (stem(seq) + SUFFIX + ASIDE_SUFFIX))
        log.error("put aside record %d: damaged", seq, extra={"code": "record-damaged"})
    disk.flush_folder(path)
