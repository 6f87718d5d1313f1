"""MDM: notes of others, their corrections and cancellations."""

from typing import Final

from bayscribe_relay.clinical.events import EventStatus
from bayscribe_relay.emr_feed.acknowledge import APPLICATION
from bayscribe_relay.emr_feed.codebook import KINDS, Meaning
from bayscribe_relay.emr_feed.hl7_reading import Reading

EVENTS: Final = ("T01", "T02", "T03", "T04", "T05", "T06", "T07", "T08", "T09", "T10", "T11")
_CANCELLED: Final = ("T11",)
_AMENDED: Final = ("T06", "T08", "T10")
_TEXT: Final = ("TX", "FT", "ST")
TEXT_MAX: Final = 65_536


def mdm(reading: Reading, event: str) -> None:
    """Interpret an MDM message; what we wrote ourselves is no news.

    Raises:
        CannotApply: it names no patient.
    """
    txa = reading.message.first("TXA")
    if reading.message.header.get(3).upper() == APPLICATION:
        reading.result.ignored = "own-document: written by this product"
        return
    if event not in EVENTS or txa is None:
        reading.result.ignored = "no-document: no TXA segment, or an event without one"
        return
    reading.result.who = reading.who()
    status: EventStatus = "final"
    if event in _CANCELLED or txa.get(19).upper() in ("CA", "OB"):
        status = "entered-in-error"
    elif event in _AMENDED:
        status = "corrected"
    elif txa.get(17).upper() in ("DI", "IP", "IN", "PA"):
        status = "preliminary"
    codings = reading.codings(txa, 2)
    text = "\n".join(
        obx.text(5)
        for obx in reading.message.all("OBX")
        if obx.get(2).upper() in ("TX", "FT", "ST")
    )
    number = txa.get(13) if event in _AMENDED and txa.get(13) else txa.get(12)
    first = codings[0] if codings else None
    meanings = reading.find("report", codings) if codings else ()
    for extra, meaning in enumerate(meanings or (Meaning("", ""),)):
        reading.add(
            meaning.concept,
            reading.event_id("document", number or reading.control_id),
            extra,
            kind=KINDS[meaning.concept.split(".")[0]] if meaning.concept else "doc",
            code=first.code if first else "",
            system=first.system if first else "",
            display=(first.display or first.code) if first else "",
            value=text[:TEXT_MAX] or None if status != "entered-in-error" else None,
            clinical_ns=reading.first_time(txa.get(4), txa.get(6), txa.get(8)),
            status=status,
        )
