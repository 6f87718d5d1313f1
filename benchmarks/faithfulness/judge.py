"""A judge of drafts that shares nothing with the product's own check.

It knows the few forms in which the composer writes, takes each sentence apart, and compares
every part with the fact that it is of. A form that it does not know is a fault.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction

from bayscribe_relay.clinical.drafts import Draft, Sentence
from bayscribe_relay.clinical.events import ClinicalEvent
from bayscribe_relay.clinical.speech import Utterance

_SOUNDS = {"um", "uh", "uhm", "umm", "er", "erm", "hmm", "mhm"}
_KNOWN = "clinician|patient|nurse|visitor|respiratory therapist"
_STATES = re.compile(rf"(?:The ({_KNOWN})|Speaker (\S+)) (?:states|reports): “(.+)”\.")
_ASKED = re.compile(rf"Asked “(.+)”, (?:the ({_KNOWN})|speaker (\S+)) answers “(.+)”\.")
_N = r"-?[\d,]+(?:\.\d+)?"
_VITALS = re.compile(r"(\d\d:\d\d): (.+)\.")
_SIRS = re.compile(r"SIRS criteria met: (.+)\.")
_RESULT = re.compile(
    rf"(.+), (collected|resulted) (\d\d:\d\d)(?:, abnormal: ({_N}) times the upper limit)?"
    r"(?: \((preliminary|corrected)\))?\."
)
_GIVEN = re.compile(
    rf"(.+?)(?: ({_N}) mL)? given (\d\d:\d\d)(?: to (\d\d:\d\d))?(?: \(administration record\))?\."
)
_WEIGHED = re.compile(
    rf"Crystalloid by weight: (?:(.+) = ({_N}) mL; )?({_N}) mL / ({_N}) kg = ({_N}) mL/kg\."
)
_DONE = re.compile(r"(.+) (ordered|recorded) (\d\d:\d\d)\.")
_FLAG = re.compile(r"Flagged critical by the laboratory at (\d\d:\d\d): (.+)\.")
_CODES = {"A41.51": "Escherichia coli", "A41.9": "", "R65.20": "", "R65.21": ""}
_UNITS = {
    "Cel": "°C", "[degF]": "°F", "mm[Hg]": "mm Hg", "[lb_av]": "lb", "10*3/uL": "×10³/µL",
}  # fmt: skip
_LABELS = {
    "vital.temp_c": "Temperature", "vital.hr": "Heart rate", "vital.rr": "Respiratory rate",
    "vital.sbp": "Systolic blood pressure", "vital.dbp": "Diastolic blood pressure",
    "vital.map": "Mean arterial pressure", "vital.spo2": "SpO2", "vital.weight_kg": "Weight",
    "vital.gcs": "Glasgow coma scale", "vital.pain": "Pain score", "vital.nihss": "NIHSS",
    "vital.o2_flow_lpm": "Oxygen flow", "lab.lactate": "Lactate", "lab.wbc": "White cell count",
    "lab.creatinine": "Creatinine", "lab.platelets": "Platelets", "lab.inr": "INR",
    "lab.glucose": "Glucose", "lab.troponin": "Troponin", "lab.hgb": "Haemoglobin",
    "lab.potassium": "Potassium", "lab.ph": "pH", "lab.hco3": "Bicarbonate", "lab.hcg": "hCG",
    "lab.bhb": "Beta-hydroxybutyrate", "lab.ethanol": "Ethanol",
    "lab.blood_culture_organism": "Blood culture organism",
}  # fmt: skip
_POUND_KG = Fraction("0.45359237")  # the international avoirdupois pound, exact


@dataclass
class Verdict:
    """What was judged, and every mismatch as sentence id and reason."""

    sentences: int = 0
    links: int = 0
    numbers: int = 0
    mismatches: list[tuple[str, str]] = field(default_factory=list)


class Record:
    """What was said and charted, as it stands."""

    def __init__(self, events: Iterable[ClinicalEvent], spoken: Sequence[Utterance]) -> None:
        latest: dict[str, ClinicalEvent] = {}
        for event in sorted(events, key=lambda e: e.version):
            latest[event.id] = event
        void = ("cancelled", "entered-in-error", "not-done")
        self.events = {e.id: e for e in latest.values() if e.status not in void}
        self.turns = {u.id: u for u in spoken if not u.withdrawn}
        self.order = [u.id for u in sorted(self.turns.values(), key=lambda u: u.start_ns)]


def judge(draft: Draft, events: Iterable[ClinicalEvent], spoken: Sequence[Utterance]) -> Verdict:
    """Judge every sentence of a composed draft."""
    record, verdict = Record(events, spoken), Verdict()
    for section in draft.sections:
        for one in section.sentences:
            verdict.sentences += 1
            verdict.links += len(one.links)
            verdict.numbers += len(re.findall(r"\d[\d,]*(?:\.\d+)?", one.text))
            if reason := _links(one, record) or _FORMS[one.origin](one, record):
                verdict.mismatches.append((one.id, reason))
    return verdict


def _links(one: Sentence, record: Record) -> str:
    for link in one.links:
        if link.kind == "event" and link.ref in record.events:
            continue
        turn = record.turns.get(link.ref) if link.kind == "utterance" else None
        if turn is None or (link.start, link.end) != (turn.start, turn.end):
            return "a link leads nowhere"
    return "" if one.links else "no link"


def _said(one: Sentence, record: Record) -> str:
    turns = [record.turns[k.ref] for k in one.links if k.kind == "utterance"]
    if (found := _STATES.fullmatch(one.text)) is not None and len(turns) == 1:
        return _quoted(turns[0], found[1] or found[2], found[3])
    if (found := _ASKED.fullmatch(one.text)) is not None and len(turns) == 2:
        question, answer = turns
        between = record.order[record.order.index(question.id) + 1 : record.order.index(answer.id)]
        if any(record.turns[t].speaker != question.speaker for t in between):
            return "somebody else spoke between question and answer"
        return _quoted(question, None, found[1]) or _quoted(answer, found[2] or found[3], found[4])
    return "a form that is not known"


def _quoted(turn: Utterance, who: str | None, text: str) -> str:
    mine = "clinician" if turn.primary else turn.speaker.replace("respiratory-", "respiratory ")
    if who is not None and who != mine:
        return "another speaker"
    wanted = []
    for word in turn.words:
        if word.text.strip(".,!?").lower() not in _SOUNDS:
            wanted += [word.text, *(["[?]"] if word.probability < 0.5 else [])]
    same = " ".join(wanted).split()
    found = text.split()
    return "" if [w.lower() for w in found] == [w.lower() for w in same] else "other words"


def _charted(one: Sentence, record: Record) -> str:
    events = [record.events[k.ref] for k in one.links]
    if (found := _WEIGHED.fullmatch(one.text)) is not None:
        return _weighed(found, events)
    if (found := _VITALS.fullmatch(one.text)) is not None:
        stated = [(part, found[1]) for part in found[2].split("; ")]
        return _each(stated, events)
    if (found := _SIRS.fullmatch(one.text)) is not None:
        stated = [(p.rpartition(" at ")[0], p.rpartition(" at ")[2]) for p in found[1].split("; ")]
        return _each(stated, events) or ("" if all(map(_abnormal, events)) else "no criterion")
    if len(events) != 1:
        return "several sources of one fact"
    event = events[0]
    if (found := _RESULT.fullmatch(one.text)) is not None:
        return _result(found, event)
    if (found := _FLAG.fullmatch(one.text)) is not None:
        own = (_clock(event.clinical_ns), event.display)
        return "" if found.groups() == own and "critical" in event.concept else "another flag"
    if (found := _GIVEN.fullmatch(one.text)) is not None:
        return _given(found, event)
    if (found := _DONE.fullmatch(one.text)) is not None:
        kinds = {"ordered": ("order", "med_order", "rx"), "recorded": ("proc",)}[found[2]]
        right = event.kind in kinds and found[3] == _clock(event.clinical_ns)
        return "" if right and found[1] == _plain_name(event) else "another order or procedure"
    return "a form that is not known"


def _each(stated: Sequence[tuple[str, str]], events: Sequence[ClinicalEvent]) -> str:
    """Each statement is one event's, and each event has its statement."""
    left = list(events)
    for text, at in stated:
        mine = [e for e in left if _fact(e) == text and _clock(e.clinical_ns) == at]
        if not mine:
            return "a value, unit, name or time is not its event's"
        left.remove(mine[0])
    return "" if not left else "an event is not stated"


def _result(found: re.Match[str], event: ClinicalEvent) -> str:
    text, word, at, times, status = found.groups()
    drawn = event.collected_ns
    right = _clock(event.clinical_ns if drawn is None else drawn)
    if word != ("resulted" if drawn is None else "collected") or at != right:
        return "another time"
    if text != _fact(event):
        return "another value"
    if (times is not None) != (event.xuln > 1) or (times and float(times) != event.xuln):
        return "another multiple of the limit"
    return "" if (status or "final") == event.status else "another status"


def _given(found: re.Match[str], event: ClinicalEvent) -> str:
    name, volume, start, end = found.groups()
    if event.kind != "med_given" or start != _clock(event.clinical_ns):
        return "another administration"
    if end is not None and (event.end_ns is None or end != _clock(event.end_ns)):
        return "another end"
    if volume is not None and _value(volume) != Fraction(event.volume_ml):
        return "another volume"
    plain = "Crystalloid" if event.concept == "med.crystalloid_bolus" else _plain_name(event)
    return "" if name == (event.display or plain) else "another drug"


def _weighed(found: re.Match[str], events: Sequence[ClinicalEvent]) -> str:
    parts, whole, total, kg, quotient = found.groups()
    given = [Fraction(e.volume_ml) for e in events if e.concept == "med.crystalloid_bolus"]
    weights = [e for e in events if e.concept == "vital.weight_kg"]
    if len(weights) != 1 or not given:
        return "without its weight or volume"
    (weight,) = weights
    assert isinstance(weight.value, float | int)
    exact = Fraction(str(weight.value)) * (_POUND_KG if weight.unit == "[lb_av]" else 1)
    if parts is not None and [_value(p.removesuffix(" mL")) for p in parts.split(" + ")] != given:
        return "other parts"
    if sum(given) != _value(total) or (whole is not None and whole != total):
        return "another sum"
    if abs(_value(kg) - exact) > Fraction(1, 20):
        return "another weight"
    return "" if abs(sum(given) / _value(kg) - _value(quotient)) <= Fraction(1, 20) else "wrong sum"


def _abnormal(event: ClinicalEvent) -> bool:
    value = event.value
    assert isinstance(value, float | int)
    if event.concept == "vital.temp_c":
        celsius = (value - 32) / 1.8 if event.unit == "[degF]" else value
        return celsius > 38.3 or celsius < 36
    if event.concept == "lab.wbc":
        return value > 12 or value < 4
    return value > {"vital.hr": 90, "vital.rr": 20}[event.concept]


def _offered(one: Sentence, record: Record) -> str:
    for code in re.findall(r"\b[A-Z]\d\d(?:\.\d+)?", one.text):
        if code not in _CODES:
            return "another code"
        grown = [record.events[k.ref].value for k in one.links]
        if _CODES[code] and _CODES[code] not in grown:
            return "a code without its finding"
    left = re.sub(r"ICD-10-CM|\b[A-Z]\d\d(?:\.\d+)?", "", one.text)
    return "a number in a suggestion" if re.search(r"\d", left) else ""


_FORMS = {"said": _said, "charted": _charted, "suggestion": _offered}


def _fact(event: ClinicalEvent) -> str:
    if isinstance(event.value, str):
        return f"{_LABELS[event.concept]} {event.value}"
    assert isinstance(event.value, float | int)
    exact = Fraction(str(event.value))
    number = f"{float(exact):,.10g}" if exact.denominator > 1 else f"{int(exact):,}"
    unit = _UNITS.get(event.unit, event.unit)
    return f"{_LABELS[event.concept]} {number}{unit if unit == '%' else f' {unit}'}".strip()


def _plain_name(event: ClinicalEvent) -> str:
    return event.display or event.concept.partition(".")[2].replace("_", " ")


def _value(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def _clock(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%H:%M")
