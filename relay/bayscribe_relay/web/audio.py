"""Play-back: the samples of a stretch of a recording, opened from its sealed segments.

Nothing is kept but where segments stand on the recording's time line.
"""

import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bayscribe.errors import BadUse, IntegrityError
from bayscribe.wire.header import SegmentHeader, decode_header
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.ingest.verify import check_audio
from bayscribe_relay.store.records import StoredRecord
from bayscribe_relay.store.store import Store
from bayscribe_relay.streams.report import Placement

MOST_S: Final = 600.0
"""The longest stretch that is opened at once."""

_MOST_KNOWN: Final = 256
"""Recordings whose time lines are remembered."""


@dataclass(slots=True)
class _TimeLine:
    """Where a recording's segments begin, in samples from its first one."""

    placement: Placement = field(default_factory=Placement)
    after: int = 0
    begins: dict[int, int] = field(default_factory=dict)


class Playback:
    """Opens stretches of recordings. May be used from any thread.

    Args:
        store: the sealed audio.
        keys: that open it.
    """

    def __init__(self, store: Store, keys: Sequence[OpeningKey]) -> None:
        self._store = store
        self._keys = keys
        self._lines: dict[str, _TimeLine] = {}
        self._lock = threading.Lock()

    def wav(self, utterance: Utterance, start: float | None, end: float | None) -> bytes:
        """An utterance, or a stretch within it, as a WAV file; exactly its samples.

        A hole in the recording is silence.

        Args:
            utterance: whose audio.
            start: seconds of the recording; None for the utterance's own.
            end: likewise.

        Raises:
            BadUse: ``stretch`` if it is no stretch of the utterance, ``deleted`` if the audio
                is no longer kept.
            IntegrityError: a segment does not verify.
        """
        begin = utterance.start if start is None else start
        until = utterance.end if end is None else end
        inside = utterance.start <= begin < until <= utterance.end
        if not inside or until - begin > MOST_S:
            raise BadUse("this is no stretch of what was said", code="stretch")
        samples, rate = self._cut(utterance, begin, until)
        return _wav(samples, rate)

    def _cut(self, utterance: Utterance, begin: float, until: float) -> tuple[bytes, int]:
        """Samples of a stretch (int16 LE, silence where nothing was recorded) and their rate."""
        begins = self._begins(utterance)
        samples, rate, deleted = bytearray(), 0, False
        first = last = 0
        for record in self._records(utterance.device, utterance.first_seq, utterance.last_seq):
            header = decode_header(record.header)
            if not isinstance(header, SegmentHeader) or header.encounter != utterance.recording:
                continue
            if rate == 0:
                rate = header.sample_rate
                first, last = round(begin * rate), round(until * rate)
                samples = bytearray(2 * (last - first))
            at = begins[record.seq]
            low, high = max(at, first), min(at + header.samples, last)
            if low >= high:
                continue
            if record.sealed is None:
                deleted = True
                continue
            _, pcm = check_audio(self._keys, header, record.header, record.sealed)
            samples[2 * (low - first) : 2 * (high - first)] = pcm[2 * (low - at) : 2 * (high - at)]
        if rate == 0 or deleted:
            raise BadUse("this audio was deleted by the retention policy", code="deleted")
        return bytes(samples), rate

    def _records(self, device: str, first: int, last: int) -> list[StoredRecord]:
        found = []
        for record in self._store.read_records(device, page=8, after=first - 1):
            if record.seq > last:
                break
            found.append(record)
        return found

    def _begins(self, utterance: Utterance) -> dict[int, int]:
        with self._lock:
            line = self._lines.pop(utterance.recording, None) or self._new(utterance)
            self._lines[utterance.recording] = line
            while len(self._lines) > _MOST_KNOWN:
                self._lines.pop(next(iter(self._lines)))
            if line.after >= utterance.last_seq:
                return line.begins
            for record in self._store.read_records(utterance.device, after=line.after):
                if record.seq > utterance.last_seq:
                    break
                header = decode_header(record.header)
                if isinstance(header, SegmentHeader) and record.encounter == utterance.recording:
                    line.begins[record.seq] = line.placement.place(header)
                line.after = record.seq
            return line.begins

    def _new(self, utterance: Utterance) -> _TimeLine:
        for state in self._store.encounters(utterance.device):
            if state.encounter == utterance.recording:
                return _TimeLine(after=state.opened_seq - 1)
        raise IntegrityError("this recording is not in the store", code="encounter")


def _wav(pcm: bytes, rate: int) -> bytes:
    """RIFF WAVE, 16-bit mono."""
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16),
        *(b"data", len(pcm)),
    )
    return head + pcm
