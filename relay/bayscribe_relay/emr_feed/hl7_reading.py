"""One HL7 message with what is needed to read it: zone, time of receipt, tables."""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.stays import Clinician, Patient, Sex
from bayscribe_relay.emr_feed.codebook import (
    KINDS,
    Codebook,
    Coding,
    Context,
    Found,
    Meaning,
    system_name,
)
from bayscribe_relay.emr_feed.config import PatientConfig
from bayscribe_relay.emr_feed.interpretation import CannotApply, Interpretation, Unmapped, Who
from bayscribe_relay.hl7.charset import decode
from bayscribe_relay.hl7.er7 import Message, Segment, Separators
from bayscribe_relay.hl7.times import Instant, instant, offset_of
from bayscribe_relay.tracer.units import ucum

ID_MAX: Final = 160
_MS: Final = 10**6
_SEXES: Final[dict[str, Sex]] = {"M": "male", "F": "female", "O": "other", "A": "other"}
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?")
_NPI: Final = re.compile(r"\d{10}")
RANKS: Final = {
    "preliminary": 0,
    "final": 1,
    "corrected": 2,
    "cancelled": 3,
    "not-done": 3,
    "entered-in-error": 4,
}
"""Of two versions with one time stamp the higher status is the later one."""


@dataclass(frozen=True)
class Site:
    """What all messages of a feed share."""

    name: str
    zone: tzinfo
    charset: str
    patient: PatientConfig
    codebook: Codebook


class Reading:
    """A message being read.

    Args:
        data: its bytes.
        n: its place in the inbox.
        received_ns: when it came.
        site: the site's settings.

    Raises:
        Malformed, UnknownCharset: it cannot be read.
    """

    def __init__(self, data: bytes, n: int, received_ns: int, site: Site) -> None:
        separators = Separators.of(data[:16].decode("latin-1"))
        first = data.split(b"\r", 1)[0].split(b"\n", 1)[0].split(separators.field.encode("latin-1"))
        declared = first[17].decode("latin-1") if len(first) > 17 else ""
        declared = declared.split(separators.repetition)[0]
        text, self.clean = decode(data, declared, site.charset)
        self.message = Message.parse(text)
        self.site = site
        self.n = n
        self.received_ns = received_ns
        head = self.message.header
        self._zone = offset_of(head.get(7)) or site.zone
        self.facility = head.get(4) or head.get(3) or site.name
        self.control_id = head.get(10)
        sent = instant(head.get(7), site.zone)
        self.sent_ns = sent.ns if sent is not None and sent.of_clock else received_ns
        self.result = Interpretation()

    # -- times and versions

    def time(self, text: str) -> int | None:
        """A time of day, or None if there is none to the minute."""
        found = self.instant(text)
        return found.ns if found is not None and found.of_clock else None

    def instant(self, text: str) -> Instant | None:
        """A timestamp of this message."""
        return instant(text, self._zone) if text else None

    def first_time(self, *texts: str) -> int:
        """The first that is a time of day; else when the message was sent."""
        return next((t for text in texts if (t := self.time(text)) is not None), self.sent_ns)

    def version(self, status: str, message_ns: int | None = None) -> int:
        """Orders the versions of one event: by sending time, status, receipt."""
        sent = (self.sent_ns if message_ns is None else message_ns) // _MS * _MS
        return sent + RANKS[status] * 100_000 + self.n % 100_000

    # -- who

    def who(self) -> Who:
        """The patient and visit.

        Raises:
            CannotApply: no PID, or no record number of the site's kind in it.
        """
        pid, pv1 = self.message.first("PID"), self.message.first("PV1")
        if pid is None:
            raise CannotApply("no-patient: there is no PID segment")
        mrn = self.record_number(pid, 3)
        if not mrn:
            raise CannotApply("no-patient: PID-3 has no record number of this site's kind")
        if self.site.patient.visit_field == "PID-18":
            visit = pid.get(18)
        else:
            visit = pv1.get(19) if pv1 is not None else ""
        return Who(mrn, visit[:200], self._patient(pid, mrn))

    def record_number(self, segment: Segment, field: int) -> str:
        """The record number among the repetitions of a CX field."""
        wanted = self.site.patient
        typed, untyped = "", ""
        for repetition in range(segment.count(field)):
            number = segment.get(field, 1, 1, repetition)
            kind = segment.get(field, 5, 1, repetition)
            authority = segment.get(field, 4, 1, repetition)
            if not number or (wanted.mrn_authority and authority != wanted.mrn_authority):
                continue
            if kind == wanted.mrn_type:
                typed = typed or number
            elif not kind:
                untyped = untyped or number
        return (typed or untyped)[:200]

    def _patient(self, pid: Segment, mrn: str) -> Patient:
        born = self.instant(pid.get(7))
        date = (
            pid.get(7)[:8] if born is not None and born.precision not in ("year", "month") else ""
        )
        return Patient(
            mrn=mrn,
            family=pid.get(5, 1)[:200],
            given=pid.get(5, 2)[:200],
            birth_date=f"{date[:4]}-{date[4:6]}-{date[6:]}" if date else "",
            sex=_SEXES.get(pid.get(8).upper(), "unknown"),
        )

    def clinician(self, segment: Segment, field: int) -> Clinician | None:
        """The first person of an XCN field who has an NPI."""
        for repetition in range(segment.count(field)):
            number = segment.get(field, 1, 1, repetition)
            authority = segment.get(field, 9, 1, repetition).upper()
            kind = segment.get(field, 13, 1, repetition).upper()
            if _NPI.fullmatch(number) and "NPI" in (authority, kind):
                return Clinician(
                    npi=number,
                    family=segment.get(field, 2, 1, repetition)[:100],
                    given=segment.get(field, 3, 1, repetition)[:100],
                )
        return None

    # -- codes and values

    def codings(self, segment: Segment, field: int) -> list[Coding]:
        """The codes of a CE or CWE field: the primary and the alternate one."""
        found = []
        for base in (1, 4):
            code, display = segment.get(field, base), segment.get(field, base + 1)
            if code or display:
                found.append(Coding(segment.get(field, base + 2), code[:200], display[:200]))
        return found

    def find(self, context: Context, codings: list[Coding], route: str = "") -> tuple[Meaning, ...]:
        """Meanings of a code; what no table knows is noted for the report."""
        found = self.site.codebook.find(context, codings, route)
        note_unmapped(self.result, context, codings, found)
        return found.meanings

    def value(self, segment: Segment) -> tuple[float | str | None, str]:
        """OBX-5 and OBX-6 by OBX-2: a number where it is one, else its text, and UCUM."""
        unit = ucum(segment.get(6, 1)) if segment.get(6, 1) else ""
        kind = segment.get(2).upper()
        if kind == "SN":
            comparator, number = segment.get(5, 1), segment.get(5, 2)
            if comparator in ("", "=") and not segment.get(5, 3):
                return number_or_text(number), unit
            return "".join(segment.get(5, n) for n in range(1, 5))[:4_000] or None, unit
        if kind in ("CE", "CWE", "CNE", "CF"):
            return (segment.get(5, 2) or segment.get(5, 1))[:4_000] or None, unit
        text = segment.text(5).strip()
        return (number_or_text(text) if kind in ("NM", "ST", "") else text[:65_536] or None), unit

    # -- events

    def event_id(self, *parts: str) -> str:
        """A stable identity at the source."""
        return stable_id("hl7", self.facility, *parts)

    def coded(
        self,
        context: Context,
        kind: str,
        segment: Segment,
        field: int,
        ident: tuple[str, ...],
        **values: Any,  # noqa: ANN401 - fields of ClinicalEvent
    ) -> None:
        """Add an event for each meaning of a coded field; one without a concept if none."""
        codings = self.codings(segment, field)
        if not codings:
            return
        first = codings[0]
        for extra, meaning in enumerate(self.find(context, codings) or (Meaning("", ""),)):
            values["kind"] = KINDS[meaning.concept.split(".")[0]] if meaning.concept else kind
            self.add(
                meaning.concept,
                self.event_id(*ident, first.code or first.display),
                extra,
                code=first.code,
                system=first.system,
                display=first.display,
                **values,
            )

    def add(self, concept: str, ident: str, extra: int = 0, **values: Any) -> None:  # noqa: ANN401 - fields of ClinicalEvent
        """Add an event of a concept (or of none)."""
        if "kind" not in values:
            values["kind"] = KINDS[concept.split(".", maxsplit=1)[0]]
        status = values.setdefault("status", "final")
        who = self.result.who
        self.result.events.append(
            ClinicalEvent(
                id=f"{ident}+{extra}" if extra else ident,
                version=self.version(status),
                visit_number=who.visit if who else "",
                mrn=who.mrn if who else "",
                concept=concept,
                received_ns=self.received_ns,
                source="hl7",
                message=self.control_id[:200],
                **values,
            )
        )


def note_unmapped(
    result: Interpretation, context: Context, codings: Sequence[Coding], found: Found
) -> None:
    """Keep a code that no table knows for the report.

    Not diagnoses in ICD-10: most of them mean nothing to the measures.
    """
    ordinary = context == "diagnosis" and codings and system_name(codings[0].system) == "I10"
    if not found.known and codings and not ordinary:
        named = found.meanings[0].concept if found.by_name and found.meanings else ""
        result.unmapped.append(Unmapped(context, codings[0], named))


def stable_id(*parts: str) -> str:
    """Parts joined by colons; too long a one ends in its digest instead."""
    whole = ":".join(part.replace(":", "_") for part in parts)
    if len(whole) <= ID_MAX:
        return whole
    return whole[: ID_MAX - 33] + ":" + hashlib.sha256(whole.encode()).hexdigest()[:32]


def number_or_text(text: str) -> float | str | None:
    """A number, else the text (``>500`` stays what it is), None for nothing."""
    if not text:
        return None
    if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text[:65_536]
