"""Acknowledgements: original and enhanced mode.

HL7 v2.5.1 2.9.2 (original mode), 2.9.3 (enhanced mode), table 0155 (accept conditions).
"Accepted" means here: durably received and readable as a message. What it then means for a
patient is decided later; a message that cannot be applied is parked and listed.
"""

import re
import time
import uuid
from typing import Final

from bayscribe_relay.emr_feed.envelope import Envelope, Problem
from bayscribe_relay.hl7.er7 import Separators, escape
from bayscribe_relay.hl7.times import stamp

APPLICATION: Final = "BAYSCRIBE"
_ELD_UNTIL: Final = ("2.1", "2.2", "2.3", "2.3.1", "2.4")
"""Versions whose ERR has only ERR-1."""


def answers(envelope: Envelope) -> list[bytes]:
    """What the sender is to be told: none, one or two messages.

    In enhanced mode the accept acknowledgement (CA, CE, CR) and the application's (AA, AE,
    AR) are asked for separately; otherwise there is one, the application's.
    """
    problem = envelope.problem
    if not envelope.enhanced:
        return [_answer(envelope, _code("A", problem), problem)]
    told = []
    if _wanted(envelope.header.get(15), problem):
        told.append(_answer(envelope, _code("C", problem), problem))
    if problem is None and _wanted(envelope.header.get(16), None):
        told.append(_answer(envelope, "AA", None))
    elif problem is not None and not told and _wanted(envelope.header.get(16), problem):
        told.append(_answer(envelope, _code("A", problem), problem))
    return told


def unreadable(reason: str) -> bytes:
    """The answer to something that is no message: there is no control id to repeat."""
    head = f"MSH|^~\\&|{APPLICATION}||||{stamp(time.time_ns())}||ACK|{_control_id()}|P|2.5.1"
    text = escape(f"not a readable HL7 message: {reason}", Separators())
    return f"{head}\rMSA|AR||{text}\rERR||MSH^1|100|E||||{text}\r".encode()


def batch(headers: list[bytes], told: list[bytes]) -> bytes:
    """Acknowledgements of a batch, as a batch."""
    kinds = [line[:3] for line in headers]
    separators = Separators()
    top = [
        f"{kind}|{separators.encoding()}|{APPLICATION}||||{stamp(time.time_ns())}".encode()
        for kind in ("FHS", "BHS")
        if kind.encode() in kinds or kind == "BHS"
    ]
    end = [f"BTS|{len(told)}".encode()] + ([b"FTS|1"] if b"FHS" in kinds else [])
    return b"\r".join([*top, *(one.rstrip(b"\r") for one in told), *end]) + b"\r"


def _wanted(condition: str, problem: Problem | None) -> bool:
    if condition in ("AL", ""):
        return condition == "AL"
    return condition == ("ER" if problem else "SU")


def _code(letter: str, problem: Problem | None) -> str:
    if problem is None:
        return letter + "A"
    return letter + ("R" if problem.reject else "E")


def _answer(envelope: Envelope, code: str, problem: Problem | None) -> bytes:
    head, s = envelope.header, envelope.header.separators
    event = head.get(9, 2)
    parts = ["ACK", escape(event, s)] if event else ["ACK"]
    if event and head.get(12) not in ("2.1", "2.2", "2.3"):
        parts.append("ACK")
    fields = [
        "MSH",
        s.encoding(),
        APPLICATION,
        "",
        _line(head.raw(3)),
        _line(head.raw(4)),
        stamp(time.time_ns()),
        "",
        s.component.join(parts),
        _control_id(),
        _line(head.raw(11)) or "P",
        _line(head.raw(12)) or "2.5.1",
    ]
    if (charset := head.raw(18)) and (problem is None or problem.field != 18):
        fields += [""] * 5 + [_line(charset)]
    told = [s.field.join(fields)]
    text = escape(problem.text, s) if problem else ""
    acknowledged = ["MSA", code, _line(head.raw(10)), text]
    told.append(s.field.join(acknowledged).rstrip(s.field))
    if problem is not None:
        told.append(_error(problem, head.get(12), s, text))
    return ("\r".join(told) + "\r").encode("latin-1", "replace")


def _error(problem: Problem, version: str, s: Separators, text: str) -> str:
    place = s.component.join(("MSH", "1", str(problem.field)))
    if version in _ELD_UNTIL:
        code = s.subcomponent.join((str(problem.code), text, "HL70357"))
        return s.field.join(("ERR", place + s.component + code))
    code = s.component.join((str(problem.code), text, "HL70357"))
    return s.field.join(("ERR", "", place, code, "E", "", "", "", text))


def _line(raw: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", "", raw)


def _control_id() -> str:
    return uuid.uuid4().hex[:20]
