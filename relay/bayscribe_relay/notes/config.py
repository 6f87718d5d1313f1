"""The ``[notes]`` table: which note a site wants.

::

    [notes]
    type = "emergency"
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bayscribe.errors import ConfigError
from bayscribe_relay.notes.kinds import NOTE_TYPES


class NotesConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How drafts are made.

    Attributes:
        type: ``emergency``, ``history-and-physical``, ``procedure``, ``discharge`` or
            ``critical-care``.
        doubtful_below: probability under which a recognised word is marked.
        media_type: in which form the signed note is sent.
        every_s: least time between two compositions of one stay's draft.
    """

    type: str = "emergency"
    doubtful_below: Annotated[float, Meta(ge=0, le=1)] = 0.5
    media_type: Literal["text/plain", "application/xhtml+xml"] = "text/plain"
    every_s: Annotated[float, Meta(gt=0)] = 1.0

    def __post_init__(self) -> None:
        if self.type not in NOTE_TYPES:
            raise ConfigError(f"notes.type: {self.type!r} is not one of {', '.join(NOTE_TYPES)}")
