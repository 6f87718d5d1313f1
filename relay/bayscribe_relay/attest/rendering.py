"""The note as it will stand in the chart, as plain text and as XHTML."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Literal

from bayscribe_relay.clinical.drafts import Draft, Section, Sentence
from bayscribe_relay.clinical.stays import Clinician, Stay

MediaType = Literal["text/plain", "application/xhtml+xml"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A note as it would be signed.

    Attributes:
        text: as plain text.
        html: the same as XHTML.
        sha256: of the form that is signed.
        revision: of the draft that it was made of.
        content: the form that is signed.
        evidence_sha256: of the sources of its sentences.
    """

    text: str
    html: str
    sha256: str
    revision: int
    content: str
    evidence_sha256: str


def moment(at_ns: int) -> str:
    """RFC 3339, UTC, milliseconds."""
    made = datetime.fromtimestamp(at_ns / 1e9, UTC)
    return made.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def render(
    stay: Stay, draft: Draft, clinician: Clinician, evidence: str, media_type: MediaType
) -> Rendered:
    """Render a draft; what the clinician rejected, or has not decided, is not in it."""
    head = _head(stay, clinician)
    parts = [(s, kept) for s in draft.sections if (kept := [x for x in s.sentences if stands(x)])]
    foot = f"SHA-256 of the sources of this note: {evidence}"
    text, html = _text(draft.title, head, parts, foot), _html(draft.title, head, parts, foot)
    content = text if media_type == "text/plain" else html
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Rendered(text, html, digest, draft.revision, content, evidence)


def stands(sentence: Sentence) -> bool:
    """Whether a sentence stands in the note."""
    undecided = sentence.origin == "suggestion" and sentence.outcome == "open"
    return sentence.outcome != "rejected" and not undecided


def _head(stay: Stay, clinician: Clinician) -> list[str]:
    who = stay.patient
    return [
        f"Patient: {who.family}, {who.given}; born {who.birth_date}; MRN {who.mrn}",
        f"Visit: {stay.visit_number}; arrived {moment(stay.arrived_ns)}",
        f"Author: {clinician.given} {clinician.family}, NPI {clinician.npi}",
    ]


def _text(
    title: str, head: list[str], parts: list[tuple[Section, list[Sentence]]], foot: str
) -> str:
    blocks = [title, *head]
    for section, sentences in parts:
        blocks += ["", section.title, *(f"- {one.text}" for one in sentences)]
    return "\n".join([*blocks, "", foot, ""])


def _html(
    title: str, head: list[str], parts: list[tuple[Section, list[Sentence]]], foot: str
) -> str:
    body = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(line)}</p>" for line in head)]
    for section, sentences in parts:
        items = "".join(f"<li>{escape(one.text)}</li>" for one in sentences)
        body += [f"<h2>{escape(section.title)}</h2>", f"<ul>{items}</ul>"]
    body.append(f"<p>{escape(foot)}</p>")
    return (
        '<html xmlns="http://www.w3.org/1999/xhtml"><head>'
        f"<title>{escape(title)}</title></head><body>{''.join(body)}</body></html>"
    )
