"""From finished segments to durable records: seal, chain, store, and tell the uplink.

Sealing happens once. A record that the disk refuses is kept, sealed, in memory and
offered again, in order, until the disk takes it; the disk may be full or read-only for as
long as :data:`MOST_HELD_BYTES` of sealed audio lasts without a loss.
"""

import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from bayscribe.errors import StorageError
from bayscribe.segments.sealer import ChainWriter, Moment, SealedRecord
from bayscribe.stream import CutSegment, Gap, GapReason
from bayscribe.vault.state import OpenEncounter

MOST_HELD_BYTES = 96 << 20
"""Sealed audio held in memory while the disk refuses it: well over an hour as FLAC."""

log = logging.getLogger("bayscribe.recorder")


class Buffer(Protocol):
    """The part of the vault that a recorder needs."""

    @property
    def open_encounter(self) -> OpenEncounter | None:
        """What an unclean stop left open."""
        ...

    def append(self, record: SealedRecord) -> None:
        """Store a record durably, or raise StorageError."""
        ...


class Recorder:
    """Writes one device's chain into its buffer.

    Args:
        writer: continues the chain from the buffer's head.
        buffer: where records become durable.
        stored: called after records became durable.
    """

    def __init__(self, writer: ChainWriter, buffer: Buffer, stored: Callable[[], None]) -> None:
        self._writer = writer
        self._buffer = buffer
        self._stored = stored
        self._held: deque[SealedRecord] = deque()
        self._held_bytes = 0
        self.problem: StorageError | None = None
        self.samples = 0
        self.lost_samples = 0
        self._lost: Gap | None = None

    @property
    def recording(self) -> bool:
        """Whether an encounter is open."""
        return self._writer.encounter is not None

    @property
    def held(self) -> int:
        """Records that wait in memory for the disk."""
        return len(self._held)

    def recover(self, when: Moment) -> None:
        """Close what an unclean stop left open."""
        left = self._buffer.open_encounter
        if left is None:
            return
        totals = (left.segments, left.samples, left.gap_samples)
        self._writer.resume_encounter(left.encounter, left.opened_seq, totals)
        self._keep(self._writer.close_encounter("recovered", when))
        log.warning("closed an encounter that an unclean stop had left open")

    def open(self, reason: str, when: Moment) -> None:
        """Begin an encounter under a new random id."""
        self._keep(self._writer.open_encounter(secrets.token_hex(16), reason, when))

    def segment(self, segment: CutSegment, when: Moment) -> None:
        """Seal and store a segment; count it as lost if neither disk nor memory has room."""
        if self._held_bytes > MOST_HELD_BYTES:
            self._lose(segment)
            return
        if self._lost is not None:
            segment = replace(segment, gaps=(self._lost, *segment.gaps))
            self._lost = None
        self._keep(self._writer.segment(segment, when))
        self.samples += len(segment.pcm)

    def close(self, reason: str, when: Moment) -> None:
        """End the encounter."""
        self._keep(self._writer.close_encounter(reason, when))

    def retry(self) -> bool:
        """Offer the disk again what it refused; whether nothing is left."""
        stored = False
        while self._held:
            try:
                self._buffer.append(self._held[0])
            except StorageError as error:
                self._note(error)
                break
            self._held_bytes -= len(self._held.popleft().sealed)
            stored = True
        if not self._held and self.problem is not None:
            log.info("the buffer takes records again")
            self.problem = None
        if stored:
            self._stored()
        return not self._held

    def _keep(self, record: SealedRecord) -> None:
        """Store a record, behind those that wait."""
        self._held.append(record)
        self._held_bytes += len(record.sealed)
        self.retry()

    def _lose(self, segment: CutSegment) -> None:
        """There is no room left anywhere; what is lost becomes a gap of the next segment."""
        first = segment.first if self._lost is None else self._lost.first
        end = segment.first + len(segment.pcm)
        self._lost = Gap(first, end - first, GapReason.STORAGE)
        self.lost_samples += len(segment.pcm)
        log.critical(
            "audio is being lost: the disk refuses records and memory is full",
            extra={"code": "buffer-lost", "lost_samples": self.lost_samples},
        )

    def _note(self, error: StorageError) -> None:
        if self.problem is None or self.problem.code != error.code:
            log.error("%s; %s", error, error.what_to_do, extra={"code": error.code})
        self.problem = error
