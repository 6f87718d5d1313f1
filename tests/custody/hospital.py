"""A relay's database with one patient's stay in it, as the services would have left it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from bayscribe.segments.sealer import ChainWriter, Moment, Origin, SealedRecord
from bayscribe.stream import CutSegment
from bayscribe.units import SampleIndex
from bayscribe.wire import chain
from bayscribe.wire.messages import Encounter, Segment
from bayscribe.wire.seal import Kem, OpeningKey
from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.prompts import PromptCard
from bayscribe_relay.clinical.speech import Utterance, Word
from bayscribe_relay.clinical.stays import Binding, Clinician, Patient, Stay
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.custody.config import Signer
from bayscribe_relay.custody.package import Custody
from bayscribe_relay.ingest.verify import StreamVerifier
from bayscribe_relay.pki.authority import Authority, Issued
from bayscribe_relay.store.database import make_tables
from bayscribe_relay.store.store import Store
from bayscribe_relay.writeback import tables as letter_tables
from bayscribe_relay.writeback.letters import Move, move_all
from bayscribe_relay.writeback.protocol import Committed
from bayscribe_relay.writeback.states import Event

T0 = 1_790_000_000_000_000_000
RECORDING = "e" * 32
STAY = "5" * 32
SECOND = 10**9
NPI = "1234567893"
CLINICIAN = Clinician(npi=NPI, family="Who", given="Ada", label="clinician")
PATIENT = Patient(
    mrn="MRN-CANARY-77", id="p1", family="Canaryfamily", given="Jane", birth_date="1958-02-03",
    sex="female",
)  # fmt: skip


@dataclass
class Hospital:
    """One relay, one unit, one stay."""

    folder: Path
    device: str = "bay-1"
    rate: int = 8_000
    url: str = ""
    authority: Authority = field(default_factory=lambda: Authority.create("site"))
    opening: OpeningKey = field(default_factory=lambda: OpeningKey.generate(Kem.X25519))

    def __post_init__(self) -> None:
        self.url = self.url or f"sqlite:///{self.folder / 'relay.db'}"
        self.store = Store(self.url)
        self.clinical = ClinicalStore(self.url)
        make_tables(self.clinical.engine, letter_tables.metadata)
        issued = self.authority.device(self.device)
        assert issued.key is not None
        self.key: ec.EllipticCurvePrivateKey = issued.key
        self.certificate = issued.certificate
        custody = self.authority.custody("relay-1")
        assert custody.key is not None
        self.signer = Signer(custody.certificate, custody.key)
        origin = Origin(self.device, "b" * 32, "bay-1", "0.1.0", bytes(32))
        head = (0, chain.genesis(self.device))
        self.writer = ChainWriter(origin, self.key, self.opening.sealing_key(), head, codec="raw16")
        self.noise = np.random.default_rng(7)

    def close(self) -> None:
        self.store.close()
        self.clinical.close()

    @property
    def custody(self) -> Custody:
        ca = Issued(self.authority.certificate, None).pem()
        return Custody(
            clinical=self.clinical, signer=self.signer, device_ca=ca, opening=[self.opening]
        )

    # -- what happens

    def record(self, recording: str = RECORDING, segments: int = 3, *, close: bool = True) -> None:
        """A recording of one-second segments, the first at T0."""
        self.keep([self.writer.open_encounter(recording, "adt", Moment(0, T0, "synchronised"))])
        self.go_on(segments)
        if close:
            self.end()

    def go_on(self, segments: int, after: int = 0) -> None:
        for n in range(after, after + segments):
            pcm = self.noise.integers(-90, 90, 400).astype(np.int16)
            cut = CutSegment(first=SampleIndex(n * self.rate), pcm=pcm)
            at = Moment(n * SECOND, T0 + n * SECOND, "synchronised")
            self.keep([self.writer.segment(cut, at)])

    def end(self) -> None:
        self.keep([self.writer.close_encounter("adt", Moment(0, T0, "synchronised"))])

    def keep(self, records: Sequence[SealedRecord]) -> None:
        """As ingest does: admit, verify, commit."""
        der = self.certificate.public_bytes(Encoding.DER)
        name = self.certificate.fingerprint(hashes.SHA256())
        verifier = StreamVerifier(
            self.store.admit(self.device, name, der),
            self.store.open_encounters(self.device),
            {name: self.key.public_key()},
            [self.opening],
            lambda seq: self.store.chain_at(self.device, seq),
            lambda known: self.store.encounter_known(self.device, known),
        )
        verdict = verifier.check([_message(record) for record in records])
        assert verdict.refusal is None, verdict.refusal
        assert verdict.batch is not None
        assert self.store.commit([verdict.batch]) == [True]

    def admit(self, stay: str = STAY, recording: str = RECORDING, visit: str = "V-1001") -> Stay:
        """A stay that the recording belongs to."""
        made = Stay(
            id=stay, site="demo", patient=PATIENT, visit_number=visit, fhir_id="e1", bay="bay-1",
            clinician=CLINICIAN, arrived_ns=T0, reason="A01",
        )  # fmt: skip
        self.clinical.put_stay(made)
        self.clinical.bind(Binding(stay=stay, device=self.device, recording=recording, from_ns=T0))
        audit.record(self.clinical, "adt", "stay-opened", stay)
        return made

    def say(self, number: int, text: str, *, primary: bool = True, stay: str = STAY) -> Utterance:
        """An utterance in the recording's segment ``number``."""
        words = tuple(
            Word(word, number + i / 10, number + i / 10 + 0.1, 0.95)
            for i, word in enumerate(text.split())
        )
        one = Utterance(
            id=f"{RECORDING}/{number}", device=self.device, recording=RECORDING, stay=stay,
            start=float(number), end=number + 0.9, start_ns=T0 + number * SECOND,
            end_ns=T0 + number * SECOND + 9 * SECOND // 10,
            speaker="clinician" if primary else "patient", primary=primary, confidence=0.9,
            first_seq=2 + number, last_seq=2 + number, words=words, model_sha256="ab" * 32,
        )  # fmt: skip
        self.clinical.put_utterance(one)
        return one

    def chart(self, concept: str, value: float, unit: str, *, minute: int = 1) -> ClinicalEvent:
        """A vital sign or result."""
        at = T0 + minute * 60 * SECOND
        event = ClinicalEvent(
            id=f"hl7:{concept}:{minute}", version=1, stay=STAY, kind="obs", concept=concept,
            display=concept, value=value, unit=unit, clinical_ns=at, received_ns=at, message="M1",
        )  # fmt: skip
        self.clinical.add_events([event])
        return event

    def prompt(self) -> PromptCard:
        card = PromptCard(
            id=f"{STAY}-sep1-lactate", stay=STAY, gap="sep1-lactate", title="Lactate",
            text="Repeat lactate due?", minute=3, fired_ns=T0 + 180 * SECOND, state="answered",
            shown_ns=T0 + 181 * SECOND, settled_ns=T0 + 190 * SECOND, answered_by="voice",
        )  # fmt: skip
        self.clinical.put_prompt(card)
        self.store.note_outcome(self.device, card.id, "played", "", T0 + 181 * SECOND)
        return card

    def verified(self, key: str) -> None:
        """The gateway says that a letter is in the chart."""
        said = Committed(
            key=key, resources={"DocumentReference": "DocumentReference/d1"}, etag='W/"1"',
            verified_at="2026-09-21T15:00:00Z", path="fhir",
        )  # fmt: skip
        with self.clinical.transaction() as link:
            move_all(link, [Move(key, Event.ACCEPT)])
            move_all(link, [Move(key, Event.COMMIT, answer=msgspec.json.encode(said), attempts=1)])


def _message(record: SealedRecord) -> Segment | Encounter:
    if record.sealed:
        return Segment(header=record.header, signature=record.signature, sealed=record.sealed)
    return Encounter(header=record.header, signature=record.signature)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
