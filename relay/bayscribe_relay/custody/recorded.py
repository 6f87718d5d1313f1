"""The recordings' part of a package: records, certificates, audio."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import sqlalchemy as sa

from bayscribe.wire.header import Header, SegmentHeader, decode_header
from bayscribe.wire.seal import OpeningKey
from bayscribe_relay.custody.subject import Subject
from bayscribe_relay.ingest.verify import check_audio
from bayscribe_relay.store import schema
from bayscribe_verify import rows

AudioChoice = Literal["none", "sealed", "pcm"]
Encode = Callable[[Sequence[object]], bytes]
_R = schema.records.c


class Recorded:
    """Reads the recordings of an encounter, one after the other.

    Attributes:
        files: what goes into the package.
        headers: by recording, with the records' numbers.
    """

    def __init__(
        self,
        link: sa.Connection,
        encode: Encode,
        audio: AudioChoice,
        opening: Sequence[OpeningKey],
    ) -> None:
        self._link = link
        self._encode = encode
        self._audio = audio
        self._opening = opening
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, list[Header]] = {}

    def read(self, subject: Subject) -> None:
        """Take in all recordings of an encounter."""
        about = []
        used: set[bytes] = set()
        for device, recording, bound in subject.recordings:
            found = list(self._records(device, recording, bound, used))
            if not found:
                continue
            self.files[f"recordings/{recording}.jsonl"] = self._encode(found)
            headers = self.headers[recording]
            about.append(
                rows.Recording(
                    recording=recording,
                    device=device,
                    first_seq=found[0].seq,
                    last_seq=found[-1].seq,
                    before=headers[0].previous.hex(),
                    after=found[-1].chain,
                    closed=not isinstance(headers[-1], SegmentHeader) and len(headers) > 1,
                    bound=bound,
                )
            )
        self.files["recordings.jsonl"] = self._encode(about)
        self._read_certificates(used)

    def segments(self, recording: str) -> Iterator[SegmentHeader]:
        """Headers of a recording's segments."""
        for header in self.headers.get(recording, ()):
            if isinstance(header, SegmentHeader):
                yield header

    def _records(
        self,
        device: str,
        recording: str,
        bound: tuple[tuple[int, int | None], ...],
        used: set[bytes],
    ) -> Iterator[rows.Record]:
        p = schema.payloads.c
        query = (
            sa.select(schema.records, p.sealed)
            .select_from(
                schema.records.outerjoin(
                    schema.payloads, (p.device == _R.device) & (p.seq == _R.seq)
                )
            )
            .where(_R.device == device, _R.encounter == recording)
            .order_by(_R.seq)
        )
        for row in self._link.execute(query.execution_options(yield_per=16)):
            header = decode_header(bytes(row.header))
            self.headers.setdefault(recording, []).append(header)
            used.add(bytes(row.certificate))
            sealed = None if row.sealed is None else bytes(row.sealed)
            yield rows.Record(
                seq=row.seq,
                header=bytes(row.header),
                chain=bytes(row.chain).hex(),
                signature=bytes(row.signature),
                sealed_sha256=bytes(row.sealed_sha256).hex(),
                certificate=bytes(row.certificate).hex(),
                received_ns=row.received_ns,
                audio=self._keep_audio(recording, header, bytes(row.header), sealed, bound),
            )

    def _keep_audio(
        self,
        recording: str,
        header: Header,
        raw: bytes,
        sealed: bytes | None,
        bound: tuple[tuple[int, int | None], ...],
    ) -> Literal["none", "held", "deleted", "sealed", "pcm"]:
        """Put a segment's audio into the package if it belongs to the encounter."""
        if not isinstance(header, SegmentHeader):
            return "none"
        if sealed is None:
            return "deleted"
        end = header.wall_ns + header.samples * 10**9 // header.sample_rate
        if self._audio == "none" or not rows.within(header.wall_ns, end, bound):
            return "held"
        data = sealed
        if self._audio == "pcm":
            _, data = check_audio(self._opening, header, raw, sealed)
        self.files[f"audio/{recording}/{header.seq}.{self._audio}"] = data
        return self._audio

    def _read_certificates(self, used: set[bytes]) -> None:
        c = schema.certificates.c
        for row in self._link.execute(sa.select(c.sha256, c.der).where(c.sha256.in_(used))):
            self.files[f"certificates/{bytes(row.sha256).hex()}.der"] = bytes(row.der)
