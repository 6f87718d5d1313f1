"""Judges a run: what the relay says of every signed note against what the chart holds."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from bayscribe_relay.writeback.states import OPEN, State
from bayscribe_relay.writeback.tables import letters
from benchmarks.writeback.notes import SignedNote
from emr.census import Census

SETTLED: Final = (State.VERIFIED, State.DEAD, State.REJECTED)


@dataclass(frozen=True)
class Letter:
    """The relay's record of one note.

    Attributes:
        state: as in ``bayscribe_relay.writeback.states``.
        seconds: from signed to settled, or None.
        alerted: whether an alert was sent.
    """

    state: State
    seconds: float | None
    alerted: bool


@dataclass
class Verdict:
    """The outcome of a run; ``faults`` must be empty."""

    verified: int = 0
    dead: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def fault(self, kind: str, key: str) -> None:
        """Count one broken promise."""
        self.faults[kind] += 1
        if len(self.examples) < 20:
            self.examples.append(f"{kind}: {key}")

    def line(self) -> str:
        """The verdict in one line."""
        broken = ", ".join(f"{kind} {n}" for kind, n in sorted(self.faults.items())) or "none"
        return (
            f"verified, in the chart exactly once: {self.verified}; "
            f"dead letters with an alert: {self.dead}; broken promises: {broken}"
        )


def read_letters(engine: sa.Engine) -> dict[str, Letter]:
    """Every letter of a relay's database by key."""
    columns = (
        letters.c.key,
        letters.c.state,
        letters.c.received_ns,
        letters.c.settled_ns,
        letters.c.alerted_ns,
    )
    with engine.connect() as connection:
        rows = connection.execute(sa.select(*columns)).all()
    return {
        key: Letter(
            State(state), None if settled is None else (settled - received) / 1e9, bool(alerted)
        )
        for key, state, received, settled, alerted in rows
    }


def open_letters(engine: sa.Engine) -> int:
    """How many letters are not settled yet."""
    query = sa.select(sa.func.count()).where(letters.c.state.in_(OPEN))
    with engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def judge(
    notes: list[SignedNote], found: dict[str, Letter], chart: Census, alerted: set[str]
) -> Verdict:
    """Hold the relay's word against the chart, note by note.

    Args:
        notes: those whose signature the relay has confirmed.
        found: the relay's letters.
        chart: counted from the EMR's own store.
        alerted: keys that the alert endpoint was told of.
    """
    verdict = Verdict()
    for note in notes:
        letter, count = found.get(note.key), chart.of(note.key)
        present = count.document_references + count.mdm_documents
        if letter is None:
            verdict.fault("signed and lost", note.key)
        elif letter.state not in SETTLED:
            verdict.fault(f"not settled ({letter.state})", note.key)
        elif present > 1:
            verdict.fault("more than once in the chart", note.key)
        elif letter.state is State.VERIFIED:
            if count.exactly_once(note.sha256):
                verdict.verified += 1
            else:
                verdict.fault("verified and not whole in the chart", note.key)
        elif note.key in alerted:
            verdict.dead += 1
        else:
            verdict.fault("dead letter without an alert", note.key)
    for kind, number in (
        ("orphan Binary", chart.orphan_binaries),
        ("Provenance without its document", chart.dangling_provenances),
    ):
        if number:
            verdict.faults[kind] += number
    return verdict
