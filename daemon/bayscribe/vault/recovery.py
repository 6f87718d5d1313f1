"""Opening a buffer after whatever happened to it.

Three things can be found: nothing unusual; the traces of a power cut, which are removed;
and damage that no power cut explains (a failing card, or somebody's hand). Damage never
keeps a unit from recording: a damaged record in the middle stays where it is and blocks
the stream behind it until an operator has looked, a damaged last one is put aside.

Only the newest record is read whole; of the others the header, which carries the chain.
A day of backlog is therefore opened in seconds, and a damaged payload is found when it
is about to be sent, or by ``bayscribe inspect``.
"""

import logging
from dataclasses import dataclass, field

from bayscribe.errors import IntegrityError
from bayscribe.vault.folder import APPEND_FLUSHES, FLUSH_BYTES, Folder, blocks, numbers
from bayscribe.vault.recordfile import (
    FIXED_BYTES,
    KEY_SUFFIX,
    PART_SUFFIX,
    SUFFIX,
    parse,
    start_bytes,
)
from bayscribe.vault.state import OpenEncounter, VaultState, after, decode_state
from bayscribe.wire.chain import genesis, link
from bayscribe.wire.header import Header, SegmentHeader, decode_header

DAMAGED_SUFFIX = ".damaged"

_FIRST_READ_BYTES = 4096

log = logging.getLogger("bayscribe.vault")


@dataclass(frozen=True, slots=True)
class Mark:
    """How the stream stands after a record.

    Attributes:
        chain: chain value there; empty if the record's header is lost.
        encounter: what is open there.
        size: what the record's files take on the disk, in whole blocks.
    """

    chain: bytes
    encounter: OpenEncounter | None
    size: int


@dataclass(slots=True)
class Recovered:
    """What a buffer holds.

    Attributes:
        acked: the state file's content.
        marks: unacknowledged records, ascending.
        retained: sizes on the disk of acknowledged records that are still there.
        damaged: numbers of records that were altered or are missing.
        samples: samples of audio ever appended.
        written_bytes: bytes ever written.
    """

    acked: VaultState
    marks: dict[int, Mark] = field(default_factory=dict)
    retained: dict[int, int] = field(default_factory=dict)
    damaged: list[int] = field(default_factory=list)
    samples: int = 0
    written_bytes: int = 0

    @property
    def newest(self) -> int:
        """Number of the newest record."""
        return max(self.marks, default=self.acked.seq)

    @property
    def last(self) -> Mark:
        """How the stream stands there."""
        return self.marks.get(self.newest, Mark(self.acked.chain, self.acked.encounter, 0))


def recover(folder: Folder, device: str) -> Recovered:
    """Read a buffer's folder, finishing what a power cut interrupted.

    Raises:
        StorageError: the disk refuses.
        IntegrityError: the buffer belongs to another device, or its state file is damaged.
    """
    names = folder.names()
    present = numbers(names, SUFFIX)
    acked = _read_state(folder, device, present)
    found = Recovered(acked, samples=acked.samples, written_bytes=acked.written_bytes)
    for name in names:
        if name.endswith(PART_SUFFIX):
            folder.remove(name)
    for seq in numbers(names, KEY_SUFFIX):
        if seq <= acked.seq:
            folder.destroy_key(seq)
    found.retained = {seq: blocks(folder.sizes(seq)[0]) for seq in present if seq <= acked.seq}
    waiting = [seq for seq in present if seq > acked.seq]
    for seq in waiting:
        _take_up(folder, found, seq, last=seq == waiting[-1])
    for seq in numbers(names, KEY_SUFFIX):
        if seq > found.newest:
            folder.destroy_key(seq)
    if found.marks:
        log.info("buffer holds records %d to %d", min(found.marks), found.newest)
    return found


def _read_state(folder: Folder, device: str, present: list[int]) -> VaultState:
    data = folder.read_state()
    copy = _whole(folder.read_state_copy())
    state = _whole(data)
    new = data is None and copy is None and present[:1] in ([], [1])
    if new:
        state = VaultState(device, 0, genesis(device))
    elif state is None:
        state = _rebuild(folder, copy, present)
    if state.device != device:
        raise IntegrityError(
            f"the buffer {folder.path} belongs to {state.device}, not to {device}",
            "give each device a state directory of its own",
            code="other-device",
        )
    return state


def _whole(data: bytes | None) -> VaultState | None:
    try:
        return None if data is None else decode_state(data)
    except IntegrityError:
        return None


def _rebuild(folder: Folder, copy: VaultState | None, present: list[int]) -> VaultState:
    """The state, without its file: from its copy or from the oldest record that has its key.

    Raises:
        IntegrityError: ``state-damaged``: neither tells where the chain goes on.
    """
    if copy is not None:
        waiting = [seq for seq in present if seq > copy.seq]
        if waiting[:1] in ([], [copy.seq + 1]):
            log.error("the buffer's state was restored from its copy", extra={"code": "state"})
            return copy
    for seq in present:
        problem, _, header = _examine(folder, seq, whole=True)
        if header is not None and not problem:
            log.error("the buffer's state was rebuilt from record %d", seq, extra={"code": "state"})
            return VaultState(header.device, seq - 1, header.previous)
    raise IntegrityError(
        f"the state file of the buffer {folder.path} is damaged or gone",
        "run `bayscribe inspect` on it; move the folder away to record anew",
        code="state-damaged",
    )


def _take_up(folder: Folder, found: Recovered, seq: int, *, last: bool) -> None:
    """Count one unacknowledged record that lies in the folder."""
    problem, header_bytes, header = _examine(folder, seq, whole=last)
    if problem and last:
        _put_aside(folder, seq, problem)
        return
    before = found.last
    if seq != found.newest + 1:
        _note(found, found.newest + 1, "hole")
        found.marks[found.newest + 1] = Mark(b"", before.encounter, 0)
    size = sum(blocks(part) for part in folder.sizes(seq))
    if problem:
        _note(found, seq, problem)
    if header is None:
        found.marks[seq] = Mark(b"", found.last.encounter, size)
        return
    _join(found, seq, header)
    found.marks[seq] = Mark(
        link(header.previous, header_bytes), after(before.encounter, header), size
    )
    if seq > found.acked.appended:
        found.written_bytes += size + APPEND_FLUSHES * FLUSH_BYTES
        found.samples += header.samples if isinstance(header, SegmentHeader) else 0


def _join(found: Recovered, seq: int, header: Header) -> None:
    """Check a header against the chain before it, or take the value of a lost one from it."""
    before, newest = found.last, found.newest
    if before.chain:
        if header.previous != before.chain:
            _note(found, seq, "chain")
        return
    found.marks[newest] = Mark(header.previous, before.encounter, before.size)


def _examine(folder: Folder, seq: int, *, whole: bool) -> tuple[str, bytes, Header | None]:
    """What is wrong with a record's files (nothing: empty), and its header if that is sound."""
    record_bytes, key_bytes = folder.sizes(seq)
    try:
        start = folder.start(seq, _FIRST_READ_BYTES)
        header_end, length = start_bytes(start)
        if record_bytes < length:
            return "record-short", b"", None
        if whole:
            parse(folder.start(seq, record_bytes + 1))
        if len(start) < header_end:
            start = folder.start(seq, header_end)
        header_bytes = start[FIXED_BYTES:header_end]
        header = decode_header(header_bytes)
    except IntegrityError as error:
        return error.code, b"", None
    if header.seq != seq:
        return "sequence", b"", None
    missing = isinstance(header, SegmentHeader) and not key_bytes
    return "key-missing" if missing else "", header_bytes, header


def _put_aside(folder: Folder, seq: int, problem: str) -> None:
    """The last record is not whole: a cut append that never returned, or damage.

    A record without its key is the first: the two names become durable together or, when
    the power goes before append returns, one without the other.
    """
    if problem == "key-missing":
        folder.remove_record(seq)
        log.warning("dropped record %d: power was cut while it was appended", seq)
    else:
        folder.put_aside(seq, DAMAGED_SUFFIX)
        log.error("put aside record %d: damaged", seq, extra={"code": problem})


def _note(found: Recovered, seq: int, code: str) -> None:
    if seq not in found.damaged:
        found.damaged.append(seq)
    log.error("record %d in the buffer is damaged (%s)", seq, code, extra={"code": code})
