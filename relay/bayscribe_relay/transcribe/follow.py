"""One recording, record after record: open, recognise, join, write."""

import logging
from collections.abc import Sequence

import msgspec
import numpy as np

from bayscribe.errors import IntegrityError
from bayscribe.wire.header import EncounterClosed, SegmentHeader, decode_header
from bayscribe.wire.payload import TurnRecord
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.clinical.speech import Utterance
from bayscribe_relay.clinical.stays import Binding
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.ingest.verify import check_audio
from bayscribe_relay.store.records import StoredRecord
from bayscribe_relay.store.store import Store
from bayscribe_relay.transcribe import zone as zones
from bayscribe_relay.transcribe.hearing import Hearing
from bayscribe_relay.transcribe.joining import SpokenTurn
from bayscribe_relay.transcribe.progress import Held, Progress
from bayscribe_relay.transcribe.recogniser import Pcm

log = logging.getLogger("bayscribe.transcribe")


class Recording:
    """A recording that this relay works on, in the state after its last finished record.

    Discard it after any error: what is stored is the truth.

    Args:
        held: as taken.
        device: who recorded it.
        store: the sealed audio.
        clinical: where utterances go.
        keys: that open it.
    """

    def __init__(
        self,
        held: Held,
        device: str,
        store: Store,
        clinical: ClinicalStore,
        keys: Sequence[OpeningKey],
    ) -> None:
        self._held = held
        self._device = device
        self._store = store
        self._clinical = clinical
        self._keys = keys
        self._zone = zones.decode(held.zone)
        self._audio = self._recall()

    @property
    def done_seq(self) -> int:
        """Last finished record."""
        return self._held.done_seq

    def advance(self, record: StoredRecord, hearing: Hearing, progress: Progress) -> bool:
        """Take in the recording's next record and write what it gives.

        Returns:
            False if another relay went on with the recording.

        Raises:
            RecogniserAbsent: no recogniser can be started now.
            StorageError: the database failed.
        """
        zone = self._zone
        closed = self._take_in(record)
        zones.take(zone, lambda z, span: hearing.words(z, span, self._audio))
        bindings = self._clinical.bindings(recording=self._held.recording)
        utterances = self._utterances(bindings, hearing.model_sha256, closed=closed)
        zone.forget()
        self._audio = {s.seq: self._audio[s.seq] for s in zone.spans if s.seq in self._audio}
        done = (record.seq, zone, hearing.model_sha256, utterances)
        if not progress.commit(self._held, *done):
            return False
        self._held = Held(self._held.recording, record.seq, b"")
        if self._clinical.bindings(recording=self._held.recording) != bindings:
            rebind(self._clinical, self._held.recording)
        return True

    def _take_in(self, record: StoredRecord) -> bool:
        """Place a record's audio and turns; whether it ends the recording."""
        header = decode_header(record.header)
        if not isinstance(header, SegmentHeader):
            return isinstance(header, EncounterClosed)
        pcm, turns, problem = self._open(record, header)
        span = self._zone.add(header, turns)
        span.problem = problem
        if pcm is not None:
            self._audio[record.seq] = pcm
        return False

    def _open(
        self, record: StoredRecord, header: SegmentHeader
    ) -> tuple[Pcm | None, tuple[TurnRecord, ...], str]:
        if record.sealed is None:
            return None, (), "deleted"
        try:
            payload, pcm = check_audio(self._keys, header, record.header, record.sealed)
        except IntegrityError as error:
            self._zone.count("segments-unreadable")
            log.error("record %d is not transcribed: %s", record.seq, error.code)  # noqa: TRY400
            return None, (), error.code
        return np.frombuffer(pcm, "<i2").astype(np.int16), payload.turns, ""

    def _recall(self) -> dict[int, Pcm]:
        """The audio of the zone's segments, from the store."""
        spans = self._zone.spans
        found: dict[int, Pcm] = {}
        if not spans:
            return found
        for record in self._store.read_records(self._device, after=spans[0].seq - 1):
            if record.seq > spans[-1].seq:
                break
            header = decode_header(record.header)
            if isinstance(header, SegmentHeader):
                pcm = self._open(record, header)[0]
                if pcm is not None:
                    found[record.seq] = pcm
        return found

    def _utterances(
        self, bindings: Sequence[Binding], model: str, *, closed: bool
    ) -> list[Utterance]:
        """What has changed: new and longer turns, and those that are gone."""
        zone, recording = self._zone, self._held.recording
        now = zones.ids(recording, zone.turns())
        changed = []
        before = (self._clinical.utterance(ident) for ident in zone.written if ident not in now)
        gone = [old for old in before if old is not None]
        for ident, turn in now.items():
            made = self._made(ident, turn, model, final=closed or zone.settled(turn))
            made = msgspec.structs.replace(made, stay=stay_of(made, bindings))
            stored = self._clinical.utterance(ident)
            made = _as_corrected(made, stored, gone)
            if made != stored:
                changed.append(made)
        withdrawn = [msgspec.structs.replace(old, withdrawn=True, final=True) for old in gone]
        kept = zone.end / zone.rate - zones.HORIZON_S
        zone.written = [ident for ident, turn in now.items() if turn.end >= kept]
        return withdrawn + changed

    def _made(self, ident: str, turn: SpokenTurn, model: str, *, final: bool) -> Utterance:
        zone = self._zone
        spans = zone.spans_of(turn.start, turn.end)
        problems = {span.problem for span in spans if span.problem}
        return Utterance(
            id=ident,
            device=self._device,
            recording=self._held.recording,
            start=round(turn.start, 3),
            end=round(turn.end, 3),
            start_ns=zone.wall_ns(turn.start),
            end_ns=zone.wall_ns(turn.end),
            speaker=turn.pieces[0].label,
            primary=turn.pieces[-1].primary,
            confidence=round(turn.confidence, 4),
            azimuth_deg=turn.azimuth_deg,
            first_seq=spans[0].seq,
            last_seq=spans[-1].seq,
            words=tuple(turn.words),
            final=final,
            model_sha256=model,
            not_transcribed=", ".join(sorted(problems)),
        )


def _as_corrected(made: Utterance, before: Utterance | None, gone: list[Utterance]) -> Utterance:
    """Keep the speaker that a person gave, to this turn or to the one that it replaces."""
    told = before if before is not None and before.reattributed else None
    if told is None:
        replaced = [
            old
            for old in gone
            if old.reattributed and min(old.end, made.end) - max(old.start, made.start) > 0
        ]
        told = replaced[0] if replaced else None
    if told is None:
        return made
    return msgspec.structs.replace(
        made, speaker=told.speaker, primary=told.primary, reattributed=True
    )


def stay_of(utterance: Utterance, bindings: Sequence[Binding]) -> str:
    """Whose stay an utterance belongs to: the binding that holds its middle, the latest made."""
    middle = (utterance.start_ns + utterance.end_ns) // 2
    stay = ""
    for binding in bindings:
        ends = binding.until_ns is None or middle < binding.until_ns
        if binding.device == utterance.device and binding.from_ns <= middle and ends:
            stay = binding.stay
    return stay


def rebind(clinical: ClinicalStore, recording: str) -> int:
    """Give a recording's utterances the stays that its bindings now say.

    Returns:
        how many changed hands.

    Raises:
        StorageError: the database failed.
    """
    bindings = clinical.bindings(recording=recording)
    moved = 0
    for utterance in clinical.utterances(recording=recording):
        stay = stay_of(utterance, bindings)
        if stay != utterance.stay:
            clinical.put_utterance(msgspec.structs.replace(utterance, stay=stay))
            moved += 1
    return moved
