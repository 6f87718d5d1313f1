"""What is due, by the policy and what is on record; nothing is changed here."""

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


def recordings_with_audio(link: sa.Connection) -> list[tuple[str, str]]:
    """Device and recording wherever sealed audio is left."""
    r, p = schema.records.c, schema.payloads.c
    query = (
        sa.select(r.device, r.encounter)
        .join(schema.payloads, (p.device == r.device) & (p.seq == r.seq))
        .distinct()
        .order_by(r.device, r.encounter)
    )
    return [(row.device, row.encounter) for row in link.execute(query)]


def transcripts(link: sa.Connection) -> list[tuple[str, str]]:
    """Each stay's id with an empty recording, then each recording with turns of no stay."""
    s, u = tables.stays.c, tables.utterances.c
    stays = link.execute(sa.select(s.id).order_by(s.id)).scalars().all()
    free = sa.select(u.recording).where(u.stay == "").distinct().order_by(u.recording)
    return [(stay, "") for stay in stays] + [
        ("", recording) for recording in link.execute(free).scalars()
    ]


def audio_grounds(
    link: sa.Connection, device: str, recording: str, config: RetentionConfig, now_ns: int
) -> tuple[Ground, ...]:
    """Why a recording's audio may go, for every stay that it belongs to; none while it is kept."""
    r = schema.records.c
    newest = sa.select(sa.func.max(r.received_ns)).where(
        r.device == device, r.encounter == recording
    )
    last_ns = link.execute(newest).scalar() or 0
    if not _over(link, device, recording, last_ns, now_ns):
        return ()
    stays = _stays_of(link, recording)
    found = [ground(link, stay, "audio", config, now_ns) for stay in stays]
    if not stays:
        found = [_unclaimed(last_ns, config, now_ns)]
    grounds = tuple(one for one in found if one is not None)
    return grounds if len(grounds) == len(found) else ()


def words_ground(
    link: sa.Connection, stay: str, recording: str, config: RetentionConfig, now_ns: int
) -> Ground | None:
    """Why a transcript may go: a stay's, or a recording's turns that no stay has.

    The latter may yet be given to a stay that the recording belongs to: they are kept as
    long as one of those keeps its own.
    """
    if stay:
        return ground(link, stay, "transcript", config, now_ns)
    stays = _stays_of(link, recording)
    if any(ground(link, one, "transcript", config, now_ns) is None for one in stays):
        return None
    u = tables.utterances.c
    newest = sa.select(sa.func.max(u.start_ns)).where(u.recording == recording, u.stay == "")
    return _unclaimed(link.execute(newest).scalar() or 0, config, now_ns)


def _stays_of(link: sa.Connection, recording: str) -> list[str]:
    b = tables.bindings.c
    query = sa.select(b.stay).where(b.recording == recording).distinct().order_by(b.stay)
    return list(link.execute(query).scalars())


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
    return Ground("", f"{config.unclaimed_days:g} days in which no stay claimed it")


def _over(link: sa.Connection, device: str, recording: str, last_ns: int, now_ns: int) -> bool:
    e = schema.encounters.c
    query = sa.select(e.closed_seq).where(e.device == device, e.encounter == recording)
    return link.execute(query).scalar() is not None or last_ns + _ABANDONED_NS <= now_ns
