"""In which form a note goes to a site: as it was submitted, as narrative, or as C-CDA.

The clinician attests the narrative. What is sent in its stead is derived from it alone;
the hash of what is sent goes with the document, the attested one with its Provenance.
"""

from typing import Literal

import msgspec

from bayscribe.errors import BadUse
from bayscribe_relay.writeback import cda
from bayscribe_relay.writeback.note import CONTENT_MAX, Note

Format = Literal["as-is", "narrative", "cda"]


def as_sent(note: Note, form: Format) -> Note:
    """The note with the content that the site is sent; its attestation stays.

    Args:
        note: with its key, as submitted.
        form: what the site asks for.

    Raises:
        BadUse: ``note-format`` if the note cannot be given that form, ``note-size``.
    """
    media = note.note.media_type
    if form == "as-is" or (form == "narrative" and media == "text/plain"):
        return note
    if form == "cda" and media == cda.MEDIA_TYPE:
        return note
    if form == "cda" and media == "text/plain":
        document = cda.make_cda(note)
        if len(document.encode()) > 2 * CONTENT_MAX:
            raise BadUse("note.content: too long as C-CDA", "shorten it", code="note-size")
        content = msgspec.structs.replace(note.note, media_type=cda.MEDIA_TYPE, content=document)
        return msgspec.structs.replace(note, note=content)
    raise BadUse(
        f"note.media_type: {media} cannot be sent as {form}",
        "submit text/plain, or change note_format of the site in [writeback.sites]",
        code="note-format",
    )
