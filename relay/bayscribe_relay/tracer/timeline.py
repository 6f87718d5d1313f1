"""What a tracer is told: events of the record and attributed utterances.

Times are whole minutes from arrival. ``t`` is the clinical time, ``received`` the minute at
which the relay came to know it; a thing counts from the later of the two.
"""

from typing import Any

import msgspec

from bayscribe.errors import BadUse

CLINICIANS = ("attending", "resident", "app")
VOID = ("cancelled", "entered-in-error", "not-done")


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One fact of the record.

    Attributes:
        kind: the catalogue's kind (``obs``, ``order``, ``med_given`` ...).
        concept: the catalogue's concept.
        t: clinical time, in minutes from arrival.
        received: when it became known.
        value: in ``unit``; in the catalogue's unit once a tracer holds it.
        unit: UCUM, or None for the catalogue's own.
        id: identity at the source; repeated by later versions.
        version: a higher one supersedes the lower ones of the same id.
        replaces: id of another event that this one supersedes.
        status: a void one (``VOID``) takes what it replaces away and leaves nothing.
        collected: when the specimen was taken.
        end: end of an administration.
        volume_ml: of a fluid.
        xuln: multiple of the assay's upper limit of normal.
        name: drug, organism or test as the source named it.
        place: position in the record where the source has one (a case file); orders
            events of one concept. Without it they stand in order of clinical time.
    """

    kind: str
    concept: str
    t: int
    received: int
    value: Any = None
    unit: str | None = None
    id: str | None = None
    version: int = 0
    replaces: str | None = None
    status: str = "final"
    collected: int | None = None
    end: int | None = None
    volume_ml: float = 0.0
    xuln: float = 0.0
    name: str | None = None
    place: int | None = None

    @property
    def sampled(self) -> int:
        """When the specimen was taken, as far as known."""
        return self.t if self.collected is None else self.collected

    def order(self) -> tuple[int, int, str, str]:
        """Where it stands among events of its concept, however they arrived."""
        place = self.t if self.place is None else self.place
        return place, self.received, self.id or "", str(self.value)


class Mention(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A concept in an utterance.

    Attributes:
        t: when it was spoken, in minutes from arrival.
        received: when it became known.
        speaker: role of the speaker (``attending``, ``nurse``, ``family`` ...).
        text: the utterance.
        concept: the catalogue's concept.
        polarity: ``affirmed``, ``negated``, ``historical``, ``hypothetical``, ``family`` or
            ``question``.
        criterion: the criterion that a stated cause excuses (``hr``, ``lactate`` ...).
        value: a stated number.
        stated: the minute that the words give for the concept.
        about: likewise, of last known well.
        utterance: id of the utterance.
    """

    t: int
    received: int
    speaker: str
    text: str
    concept: str
    polarity: str = "affirmed"
    criterion: str | None = None
    value: Any = None
    stated: int | None = None
    about: int | None = None
    utterance: str | None = None


class Utterance(msgspec.Struct, frozen=True, kw_only=True):
    """An attributed utterance and the concepts in it.

    Attributes:
        t: when it was spoken, in minutes from arrival.
        received: when it became known.
        mentions: what of the catalogue was said in it.
        id: stable identity; a corrected or re-attributed utterance repeats it.
        version: a higher one supersedes the lower ones of the same id.
        withdrawn: nothing was said after all.
    """

    t: int
    received: int
    mentions: tuple[Mention, ...] = ()
    id: str | None = None
    version: int = 0
    withdrawn: bool = False


def event_of(raw: dict[str, Any], place: int | None = None) -> Event:
    """An event of a case file; ``place`` is its position there.

    Raises:
        BadUse: a key is missing or of the wrong kind.
    """
    try:
        return Event(
            kind=str(raw["kind"]),
            concept=str(raw["concept"]),
            t=int(raw["t"]),
            received=int(raw.get("t_recv", raw["t"])),
            value=raw.get("value"),
            unit=raw.get("unit"),
            id=_name(raw.get("id")),
            replaces=_name(raw.get("replaces")),
            status=raw.get("status", "final"),
            collected=_minute(raw.get("collected_t")),
            end=_minute(raw.get("end_t")),
            volume_ml=float(raw.get("volume_ml", 0)),
            xuln=float(raw.get("xuln", 0)),
            name=_name(raw.get("name")),
            place=place,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadUse(f"an event of the case is wrong: {error!r}", "correct the case") from None


def utterance_of(raw: dict[str, Any]) -> Utterance:
    """An utterance of a case file with the concepts that the file gives.

    Raises:
        BadUse: a key is missing or of the wrong kind.
    """
    try:
        t = int(raw["t"])
        received = int(raw.get("t_recv", t))
        mentions = tuple(
            Mention(
                t=t,
                received=received,
                speaker=str(raw["speaker"]),
                text=str(raw.get("text", "")),
                concept=str(said["concept"]),
                polarity=said.get("polarity", "affirmed"),
                criterion=said.get("criterion"),
                value=said.get("value"),
                stated=_minute(said.get("stated_t")),
                about=_minute(said.get("t")),
                utterance=_name(raw.get("id")),
            )
            for said in raw.get("concepts") or []
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadUse(f"an utterance of the case is wrong: {error!r}", "correct the case") from None
    return Utterance(t=t, received=received, mentions=mentions, id=_name(raw.get("id")))


def _name(value: Any) -> str | None:  # noqa: ANN401 - parsed YAML
    return None if value is None else str(value)


def _minute(value: Any) -> int | None:  # noqa: ANN401 - parsed YAML
    return None if value is None else int(value)
