"""Codes to the catalogue's concepts: the site's tables first, then the built-in ones.

A table is TOML, a list of ``[[map]]``::

    [[map]]
    concept = "vital.temp_c"     # of the tracer's catalogue
    system = "L"                 # as the message names it; any if absent
    codes = ["TEMP", "TMPO"]     # or code = "TEMP"
    unit = "[degF]"              # UCUM, where the message gives none

``prefixes`` stand for all codes that begin so (ICD-10, ATC); ``names`` are matched as whole
words in the text where no code is known, ``unless`` names words that forbid it. For drugs:
``routes``, ``route_known``, ``leading``. A concept ``"ignore"`` says that a code is of no
interest, so that it no longer stands in the report of unmapped codes.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from bayscribe import settings
from bayscribe.errors import ConfigError

FOLDER: Final = Path(__file__).parent / "codes"
IGNORE: Final = "ignore"

Context = Literal["order", "result", "report", "medication", "reason", "diagnosis", "procedure"]

_PREFIXES: Final[dict[Context, tuple[str, ...]]] = {
    "order": ("order",),
    "result": ("vital", "lab", "ecg", "img", "nurse", "hx"),
    "report": ("proc", "doc", "img", "ecg"),
    "medication": ("med", "rx"),
    "reason": ("cc",),
    "diagnosis": ("hx", "img", "ecg"),
    "procedure": ("proc",),
}
"""Which concepts a code can mean where it stands: lactate is an order there, a result here."""

KINDS: Final = {
    "vital": "obs",
    "lab": "obs",
    "ecg": "obs",
    "img": "obs",
    "nurse": "doc",
    "doc": "doc",
    "order": "order",
    "proc": "proc",
    "hx": "hx",
    "cc": "cc",
    "rx": "rx",
    "adt": "adt",
}
"""The tracer's kind of each family of concepts; of ``med`` the message decides."""

_SYSTEMS: Final = {
    "HTTP://LOINC.ORG": "LN",
    "LOINC": "LN",
    "HTTP://SNOMED.INFO/SCT": "SCT",
    "SNOMED": "SCT",
    "SNM3": "SCT",
    "HTTP://WWW.NLM.NIH.GOV/RESEARCH/UMLS/RXNORM": "RXNORM",
    "RXN": "RXNORM",
    "HTTP://HL7.ORG/FHIR/SID/CVX": "CVX",
    "HTTP://HL7.ORG/FHIR/SID/ICD-10-CM": "I10",
    "HTTP://HL7.ORG/FHIR/SID/ICD-10": "I10",
    "I10C": "I10",
    "ICD10": "I10",
    "ICD-10": "I10",
    "ICD10CM": "I10",
    "ICD-10-CM": "I10",
    "HTTP://WWW.AMA-ASSN.ORG/GO/CPT": "CPT",
    "C4": "CPT",
    "CPT4": "CPT",
    "CPT-4": "CPT",
    "HTTP://WWW.WHOCC.NO/ATC": "ATC",
    "WC": "ATC",
}
"""Names of code systems (HL7 table 0396, FHIR URIs, common misuses) to one name each."""

_ROUTES: Final = {
    "IV": "IV",
    "IVP": "IV",
    "IVPB": "IV",
    "IVPUSH": "IV",
    "47625008": "IV",
    "C38276": "IV",
    "IM": "IM",
    "78421000": "IM",
    "IO": "IO",
    "PO": "PO",
    "26643006": "PO",
    "C38288": "PO",
    "ORAL": "PO",
    "MOUTH": "PO",
}
_ROUTE_WORDS: Final = (
    ("INTRAVENOUS", "IV"),
    ("INTRAMUSCULAR", "IM"),
    ("INTRAOSSEOUS", "IO"),
    ("ORAL", "PO"),
    ("BY MOUTH", "PO"),
)


class Coding(NamedTuple):
    """One code of a coded element, as received."""

    system: str
    code: str
    display: str


class _Map(Struct, frozen=True, forbid_unknown_fields=True):
    concept: Annotated[str, Meta(pattern=r"^([a-z]+\.[a-z0-9_]+|ignore)$")]
    system: str = ""
    code: str = ""
    codes: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    unit: str = ""
    routes: tuple[str, ...] = ()
    route_known: bool = False
    leading: bool = False


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    map: tuple[_Map, ...] = ()


class Meaning(NamedTuple):
    """What a code stands for; ``unit`` where the message gives none."""

    concept: str
    unit: str


@dataclass(frozen=True)
class Found:
    """Meanings of a coded element.

    Attributes:
        meanings: none if it is unmapped, or of no interest.
        known: a table knows one of the codes, if only as of no interest.
        by_name: the meanings were taken from the text.
    """

    meanings: tuple[Meaning, ...] = ()
    known: bool = False
    by_name: bool = False


@dataclass
class _Table:
    codes: dict[tuple[str, str], list[_Map]] = field(default_factory=dict)
    prefixes: list[tuple[str, str, _Map]] = field(default_factory=list)
    names: list[tuple[re.Pattern[str], _Map]] = field(default_factory=list)

    def add(self, entry: _Map) -> None:
        system = system_name(entry.system)
        for code in (*entry.codes, *((entry.code,) if entry.code else ())):
            self.codes.setdefault((system, code.upper()), []).append(entry)
        self.prefixes += [(system, prefix.upper(), entry) for prefix in entry.prefixes]
        for name in entry.names:
            begin = r"^\W*" if entry.leading else r"(?<!\w)"
            pattern = re.compile(begin + re.escape(name.lower()) + r"(?!\w)")
            self.names.append((pattern, entry))

    def by_code(self, coding: Coding) -> list[_Map]:
        system, code = system_name(coding.system), coding.code.upper()
        found = list(self.codes.get((system, code), ()))
        if system:
            found += self.codes.get(("", code), ())
        return found + [e for s, p, e in self.prefixes if s in ("", system) and code.startswith(p)]

    def by_name(self, text: str) -> list[_Map]:
        low = text.lower()
        return [
            entry
            for pattern, entry in self.names
            if pattern.search(low) and not any(word in low for word in entry.unless)
        ]


class Codebook:
    """All tables of a site.

    Args:
        files: the site's own; later ones win.
        match_names: take drugs, orders and complaints by their text where no code is known.

    Raises:
        ConfigError: a file cannot be read or is wrong.
    """

    def __init__(self, files: tuple[str, ...] = (), *, match_names: bool = True) -> None:
        self._match_names = match_names
        self._tables = [_read((Path(name),)) for name in reversed(files)]
        self._tables.append(_built_in())

    def find(self, context: Context, codings: list[Coding], route: str = "") -> Found:
        """What a coded element means in its context; the first table that knows it decides."""
        families = _PREFIXES[context]
        for table in self._tables:
            entries = [entry for coding in codings for entry in table.by_code(coding)]
            if any(e.concept == IGNORE for e in entries):
                return Found(known=True)
            found = [e for e in entries if e.concept.split(".")[0] in families]
            if found:
                return Found(_meanings(found, route), known=True)
        if self._match_names:
            texts = [coding.display for coding in codings if coding.display]
            for table in self._tables:
                named = [e for text in texts for e in table.by_name(text)]
                found = [e for e in named if e.concept.split(".")[0] in families]
                if found:
                    return Found(_meanings(found, route), by_name=True)
        return Found()


def system_name(system: str) -> str:
    """One name for each code system."""
    upper = system.strip().upper()
    return _SYSTEMS.get(upper, upper)


def route_name(code: str, text: str = "") -> str:
    """``IV``, ``IM``, ``IO``, ``PO``, or the code as it stands."""
    for word in (code, text):
        upper = word.strip().upper()
        if upper in _ROUTES:
            return _ROUTES[upper]
        for part, name in _ROUTE_WORDS:
            if part in upper:
                return name
    return code.strip().upper()


def _meanings(entries: list[_Map], route: str) -> tuple[Meaning, ...]:
    fitting: dict[str, Meaning] = {}
    for entry in entries:
        wrong = route not in entry.routes if route else entry.route_known
        if entry.routes and wrong:
            continue
        fitting.setdefault(entry.concept, Meaning(entry.concept, entry.unit))
    return tuple(fitting.values())


@cache
def _built_in() -> _Table:
    return _read(tuple(sorted(FOLDER.glob("*.toml"))))


def _read(paths: tuple[Path, ...]) -> _Table:
    table = _Table()
    for path in paths:
        for entry in settings.load(path, _File).map:
            if not (entry.code or entry.codes or entry.prefixes or entry.names):
                raise ConfigError(
                    f"{path}: {entry.concept}: names no code", "give code, codes, prefixes or names"
                )
            if entry.concept != IGNORE and entry.concept.split(".")[0] not in (*KINDS, "med"):
                raise ConfigError(
                    f"{path}: {entry.concept}: no such family of concepts",
                    "take a concept of the tracer's catalogue",
                )
            table.add(entry)
    return table
