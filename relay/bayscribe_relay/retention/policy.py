"""What is due, by the policy and what is on record; nothing is changed here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import sqlalchemy as sa

from bayscribe_relay.clinical import tables
from bayscribe_relay.clinical.stays import Stay
from bayscribe_relay.custody.subject import letters_of
from bayscribe_relay.retention.config import RetentionConfig
from bayscribe_relay.retention.tables import holds
from bayscribe_relay.store import schema
from bayscribe_relay.writeback import tables as letter_tables
from bayscribe_relay.writeback.states import State

DAY_NS: Final = 86_400 * 10**9
_ABANDONED_NS: Final = 2 * DAY_NS
"""A recording without an end whose unit has sent nothing for so long is over."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Why something of a stay may be deleted.

    Attributes:
        stay: id; empty for a recording of no stay.
        policy: in words that hold nothing of a patient.
        letters: the verified letters on which it rests.
    """

    stay: str
    policy: str
    letters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording whose audio is due, for every stay that it belongs to."""

    device: str
    recording: str
    grounds: tuple[Ground, ...]


def due_recordings(
    link: sa.Connection, config: RetentionConfig, now_ns: int
) -> Iterator[Recording]:
    """Recordings that still have audio, all of whose stays let it go."""
    r, p = schema.records.c, schema.payloads.c
    query = (
        sa.select(r.device, r.encounter, sa.func.max(r.received_ns).label("last_ns"))
        .join(schema.payloads, (p.device == r.device) & (p.seq == r.seq))
        .group_by(r.device, r.encounter)
        .order_by(r.device, r.encounter)
    )
    for row in link.execute(query).all():
        if not _over(link, row.device, row.encounter, row.last_ns, now_ns):
            continue
        b = tables.bindings.c
        bound = sa.select(b.stay).where(b.device == row.device, b.recording == row.encounter)
        stays = sorted(set(link.execute(bound).scalars()))
        if stays:
            found = [ground(link, stay, "audio", config, now_ns) for stay in stays]
        else:
            found = [_unclaimed(row.last_ns, config, now_ns)]
        grounds = tuple(one for one in found if one is not None)
        if len(grounds) == len(found):
            yield Recording(row.device, row.encounter, grounds)


def due_transcripts(
    link: sa.Connection, config: RetentionConfig, now_ns: int
) -> Iterator[tuple[Ground, str]]:
    """Grounds on which a transcript goes, with the recording where no stay has it."""
    u = tables.utterances.c
    for stay in link.execute(sa.select(tables.stays.c.id).order_by(tables.stays.c.id)).scalars():
        one = ground(link, stay, "transcript", config, now_ns)
        if one is not None:
            yield one, ""
    free = sa.select(u.recording, sa.func.max(u.start_ns))
    for recording, last_ns in link.execute(free.where(u.stay == "").group_by(u.recording)).all():
        one = _unclaimed(last_ns, config, now_ns)
        if one is not None:
            yield one, recording


def ground(
    link: sa.Connection, stay: str, what: str, config: RetentionConfig, now_ns: int
) -> Ground | None:
    """Whether a stay's ``audio`` or ``transcript`` may go, and why; None while it is kept.

    A hold keeps it, so does a stay that is open, and so does any note of the visit that
    is not verified in the chart.
    """
    if link.execute(sa.select(holds.c.stay).where(holds.c.stay == stay)).first() is not None:
        return None
    body = link.execute(sa.select(tables.stays.c.body).where(tables.stays.c.id == stay)).scalar()
    if body is None:
        return None
    known = msgspec.json.decode(body, type=Stay)
    if known.state == "open":
        return None
    keys = letters_of(link, known)
    if not keys:
        return _unsigned(link, known, config, now_ns)
    c = letter_tables.letters.c
    rows = link.execute(sa.select(c.state, c.settled_ns).where(c.key.in_(keys))).all()
    if len(rows) != len(keys) or any(row.state != State.VERIFIED for row in rows):
        return None
    days = config.audio_days if what == "audio" else config.transcript_days
    if max(row.settled_ns for row in rows) + days * DAY_NS > now_ns:
        return None
    return Ground(stay, f"{what} {days:g} days after the note was verified in the chart", keys)


def _unsigned(
    link: sa.Connection, stay: Stay, config: RetentionConfig, now_ns: int
) -> Ground | None:
    r, b = schema.records.c, tables.bindings.c
    last = sa.select(sa.func.max(r.received_ns)).join(
        tables.bindings, (b.device == r.device) & (b.recording == r.encounter)
    )
    known = link.execute(last.where(b.stay == stay.id)).scalar() or 0
    since = max(known, stay.closed_ns or stay.arrived_ns)
    if config.unsigned_days == 0 or since + config.unsigned_days * DAY_NS > now_ns:
        return None
    return Ground(stay.id, f"{config.unsigned_days:g} days without a note")


def _unclaimed(last_ns: int, config: RetentionConfig, now_ns: int) -> Ground | None:
    if config.unclaimed_days == 0 or last_ns + config.unclaimed_days * DAY_NS > now_ns:
        return None
    return Ground("", f"{config.unclaimed_days:g} days in which no stay claimed the recording")


def _over(link: sa.Connection, device: str, recording: str, last_ns: int, now_ns: int) -> bool:
    e = schema.encounters.c
    query = sa.select(e.closed_seq).where(e.device == device, e.encounter == recording)
    return link.execute(query).scalar() is not None or last_ns + _ABANDONED_NS <= now_ns
