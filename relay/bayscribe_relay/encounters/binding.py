"""Whose recording it is: a pure function of presences, taps and corrections.

A stretch of a bay's recording belongs, in this order,

1. to whom a correction on the page gave it;
2. to the patient whom the latest tap in the bay chose, while that patient is there;
3. to the one patient who is in the bay, if there is exactly one.

With two patients in a bay and no tap it belongs to nobody until somebody says: audio in
no record can be given to one, audio in the wrong record has been read by then.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from bayscribe_relay.clinical.stays import Binding
from bayscribe_relay.encounters.course import Presence


class Recording(NamedTuple):
    """One recording of an appliance: wall times of its first and last instant."""

    device: str
    recording: str
    bay: str
    from_ns: int
    until_ns: int | None


class Tap(NamedTuple):
    """The clinician's tap in a bay; ``n`` orders those of one instant."""

    n: int
    bay: str
    stay: str
    action: Literal["open", "close"]
    at_ns: int


class Correction(NamedTuple):
    """A stretch of a recording given to a stay by a person; an empty stay: to nobody."""

    n: int
    recording: str
    stay: str
    from_ns: int
    until_ns: int | None


def bind(
    recording: Recording,
    presences: Iterable[Presence],
    taps: Iterable[Tap],
    corrections: Iterable[Correction],
) -> list[Binding]:
    """The stretches of one recording and the stays that they belong to, in order of time."""
    there = [p for p in presences if p.bay == recording.bay]
    chosen = sorted((t for t in taps if t.bay == recording.bay), key=lambda t: (t.at_ns, t.n))
    said = sorted(c for c in corrections if c.recording == recording.recording)
    bindings: list[Binding] = []
    for start, end in _slices(recording, there, chosen, said):
        owner = _owner(start, there, chosen, said)
        if owner is None:
            continue
        stay, reason = owner
        last = bindings[-1] if bindings else None
        if last and last.until_ns == start and (last.stay, last.reason) == owner:
            start = last.from_ns  # noqa: PLW2901 - the two are one stretch
            bindings.pop()
        bindings.append(
            Binding(
                stay=stay,
                device=recording.device,
                recording=recording.recording,
                from_ns=start,
                until_ns=end,
                reason=reason,
            )
        )
    return bindings


def _slices(
    recording: Recording,
    presences: Sequence[Presence],
    taps: Sequence[Tap],
    corrections: Sequence[Correction],
) -> list[tuple[int, int | None]]:
    start, end = recording.from_ns, recording.until_ns
    if end is not None and end <= start:
        return []
    edges = {t.at_ns for t in taps}
    stretches: list[Presence | Correction] = [*presences, *corrections]
    for one in stretches:
        edges.add(one.from_ns)
        if one.until_ns is not None:
            edges.add(one.until_ns)
    inner = sorted(e for e in edges if e > start and (end is None or e < end))
    starts = [start, *inner]
    ends: list[int | None] = [*inner, end]
    return list(zip(starts, ends, strict=True))


def _owner(
    at: int,
    presences: Sequence[Presence],
    taps: Sequence[Tap],
    corrections: Sequence[Correction],
) -> tuple[str, str] | None:
    for correction in reversed(corrections):
        if _covers(correction, at):
            return (correction.stay, "correction") if correction.stay else None
    there = {p.stay for p in presences if _covers(p, at)}
    tapped = chosen(at, there, taps)
    if tapped:
        return tapped, "tap"
    return (next(iter(there)), "adt") if len(there) == 1 else None


def chosen(at: int, there: set[str], taps: Iterable[Tap]) -> str:
    """The stay that the taps of a bay (in order of time) have chosen at an instant."""
    found = ""
    for tap in taps:
        if tap.at_ns > at:
            break
        if tap.action == "open":
            found = tap.stay
        elif tap.stay in (found, ""):
            found = ""
    return found if found in there else ""


def _covers(stretch: Presence | Correction, at: int) -> bool:
    return stretch.from_ns <= at and (stretch.until_ns is None or at < stretch.until_ns)
