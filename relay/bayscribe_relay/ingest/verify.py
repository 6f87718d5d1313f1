"""Whether a record is the next true link of its device's chain.

Pure: records in, verdicts out. The order of the checks is from cheap to dear, and
nothing is decrypted before the signature has been found good.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import IntegrityError
from bayscribe.wire import chain
from bayscribe.wire.header import (
    EncounterClosed,
    EncounterOpened,
    Header,
    SegmentHeader,
    decode_header,
)
from bayscribe.wire.messages import Encounter, Segment
from bayscribe.wire.payload import Payload, decode_payload, decode_pcm
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.store.records import Batch, DeviceMark, EncounterState, Refusal, StoredRecord

NO_ENCOUNTER = ""

Keys = dict[bytes, ec.EllipticCurvePublicKey]
"""Public keys that may sign for a device, by SHA-256 of their certificate."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of some messages.

    Attributes:
        batch: records to store, or None.
        duplicates: how many were stored before, identically.
        refusal: the record at which it ended, or None; what follows it is not looked at.
    """

    batch: Batch | None
    duplicates: int
    refusal: Refusal | None


class _RefusedError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def open_payload(keys: Sequence[OpeningKey], header: bytes, sealed: bytes) -> Payload:
    """Open a sealed payload with whichever key it was made for.

    Raises:
        IntegrityError: none of the keys opens it, or it is not a payload.
    """
    problem = IntegrityError("the relay holds no key", code="other-key")
    for key in keys:
        try:
            return decode_payload(key.open(sealed, header))
        except IntegrityError as error:
            problem = error
            if error.code != "other-key":
                break
    raise problem


def check_audio(
    keys: Sequence[OpeningKey], header: SegmentHeader, raw: bytes, sealed: bytes
) -> tuple[Payload, bytes]:
    """Open a segment and check everything in it against its header.

    Args:
        keys: opening keys, current first.
        header: the decoded header.
        raw: its bytes as hashed.
        sealed: sealed payload.

    Returns:
        the payload, and its PCM as little-endian int16.

    Raises:
        IntegrityError: it does not open, or audio or weight sets do not match a hash.
    """
    payload = open_payload(keys, raw, sealed)
    pcm = decode_pcm(payload.audio, header)
    if chain.steering_digest(header.steering) != header.weights_sha256:
        raise IntegrityError("steering schedule does not match its digest", code="steering")
    for digest, weights in payload.weights.items():
        if hashlib.sha256(weights).digest() != digest:
            raise IntegrityError("a weight set does not match its hash", code="weights")
    return payload, pcm


class StreamVerifier:
    """One device's stream, from its durable mark on.

    Args:
        mark: up to where it is stored.
        open_encounters: encounters that are open there.
        keys: who may sign.
        opening: keys that open sealed audio.
        chain_at: chain value after a stored record, or None.
        encounter_known: whether an encounter id was ever used by this device.
    """

    def __init__(
        self,
        mark: DeviceMark,
        open_encounters: Sequence[EncounterState],
        keys: Keys,
        opening: Sequence[OpeningKey],
        chain_at: Callable[[int], bytes | None],
        encounter_known: Callable[[str], bool],
    ) -> None:
        self.mark = mark
        self._encounters = {state.encounter: state for state in open_encounters}
        self._keys = keys
        self._opening = opening
        self._chain_at = chain_at
        self._encounter_known = encounter_known

    def check(self, messages: Sequence[Segment | Encounter]) -> Verdict:
        """Check messages in order, up to the first that must be refused.

        The verifier then stands at the last good record: store the batch, or drop the
        verifier.
        """
        before = self.mark.seq
        accepted: list[StoredRecord] = []
        changed: dict[str, EncounterState] = {}
        duplicates = 0
        refusal = None
        for message in messages:
            try:
                record = self._check(message, accepted, changed)
            except _RefusedError as refused:
                refusal = self._refusal(message, refused)
                break
            if record is None:
                duplicates += 1
                continue
            accepted.append(record)
            self.mark = DeviceMark(self.mark.device, record.seq, record.chain)
        batch = None
        if accepted:
            states = tuple(changed.values())
            batch = Batch(self.mark.device, before, tuple(accepted), states)
        return Verdict(batch, duplicates, refusal)

    def _check(
        self,
        message: Segment | Encounter,
        accepted: Sequence[StoredRecord],
        changed: dict[str, EncounterState],
    ) -> StoredRecord | None:
        """The record, or None for one that is stored already."""
        sealed = message.sealed if isinstance(message, Segment) else None
        digest = chain.sealed_digest(sealed or b"")
        header = self._decode(message)
        value = chain.link(header.previous, message.header)
        if header.seq <= self.mark.seq:
            self._known(header, value, digest, message.signature, accepted)
            return None
        if header.seq != self.mark.seq + 1:
            raise _RefusedError("gap", f"expected {self.mark.seq + 1}")
        if header.previous != self.mark.chain:
            raise _RefusedError("chain", "does not continue the chain at the durable mark")
        signer = self._signer(value, digest, message.signature)
        if isinstance(header, SegmentHeader):
            self._check_audio(header, message.header, sealed or b"")
        state = self._advance(header)
        changed[state.encounter] = state
        if state.closed_seq is None:
            self._encounters[state.encounter] = state
        else:
            self._encounters.pop(state.encounter, None)
        return StoredRecord(
            seq=header.seq,
            chain=value,
            kind=_kind(header),
            encounter=header.encounter,
            header=message.header,
            signature=message.signature,
            sealed_sha256=digest,
            certificate=signer,
            received_ns=time.time_ns(),
            sealed=sealed,
        )

    def _decode(self, message: Segment | Encounter) -> Header:
        try:
            header = decode_header(message.header)
        except IntegrityError as error:
            raise _RefusedError("header", error.code) from None
        if header.device != self.mark.device:
            raise _RefusedError("identity", "the record is another device's")
        if isinstance(header, SegmentHeader) != isinstance(message, Segment):
            raise _RefusedError("kind", "audio and header do not belong together")
        return header

    def _known(
        self,
        header: Header,
        value: bytes,
        digest: bytes,
        signature: bytes,
        accepted: Sequence[StoredRecord],
    ) -> None:
        """Let an identical repetition pass; anything else under an old number is refused."""
        stored = next((r.chain for r in accepted if r.seq == header.seq), None)
        if stored is None:
            stored = self._chain_at(header.seq)
        if stored == value:
            return
        self._signer(value, digest, signature)
        raise _RefusedError("fork", "the device signed two different records with this number")

    def _signer(self, value: bytes, digest: bytes, signature: bytes) -> bytes:
        for fingerprint, key in self._keys.items():
            try:
                chain.verify_signature(key, value, digest, signature)
            except IntegrityError:
                continue
            return fingerprint
        raise _RefusedError("signature", "not signed by a key of this device")

    def _check_audio(self, header: SegmentHeader, raw: bytes, sealed: bytes) -> None:
        try:
            check_audio(self._opening, header, raw, sealed)
        except IntegrityError as error:
            raise _RefusedError(error.code, str(error)) from None

    def _advance(self, header: Header) -> EncounterState:
        """The encounter's totals with this record in them."""
        if isinstance(header, EncounterOpened):
            known = header.encounter in self._encounters
            if known or self._encounter_known(header.encounter):
                raise _RefusedError("encounter", "opened a second time")
            return EncounterState(header.encounter, header.bay, header.seq, header.reason)
        state = self._encounters.get(header.encounter)
        if state is None:
            raise _RefusedError("encounter", "not open")
        if isinstance(header, SegmentHeader):
            return replace(
                state,
                segments=state.segments + 1,
                samples=state.samples + header.samples,
                gap_samples=state.gap_samples + sum(gap.samples for gap in header.gaps),
            )
        self._check_totals(state, header)
        return replace(state, closed_seq=header.seq, closed_reason=header.reason)

    @staticmethod
    def _check_totals(state: EncounterState, header: EncounterClosed) -> None:
        stated = (header.opened_seq, header.segments, header.samples, header.gap_samples)
        held = (state.opened_seq, state.segments, state.samples, state.gap_samples)
        if stated != held:
            raise _RefusedError("totals", f"device states {stated}, relay holds {held}")

    def _refusal(self, message: Segment | Encounter, refused: _RefusedError) -> Refusal:
        try:
            header = decode_header(message.header)
            seq, encounter = header.seq, header.encounter
        except IntegrityError:
            seq, encounter = self.mark.seq + 1, NO_ENCOUNTER
        return Refusal(
            device=self.mark.device,
            seq=seq,
            reason=refused.reason,
            detail=refused.detail,
            encounter=encounter,
            header_sha256=hashlib.sha256(message.header).digest(),
        )


def _kind(header: Header) -> str:
    if isinstance(header, SegmentHeader):
        return "segment"
    return "opened" if isinstance(header, EncounterOpened) else "closed"
