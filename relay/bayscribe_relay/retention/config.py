"""The ``[retention]`` table: how long what is kept.

::

    [retention]
    audio_days = 30          # after the note was read back from the chart
    transcript_days = 30
    unsigned_days = 365      # after the last audio of a closed stay that has no note; 0: never
    unclaimed_days = 7       # after the last audio of a recording of no stay; 0: never
"""

from typing import Annotated

from msgspec import Meta, Struct

Days = Annotated[float, Meta(ge=0, le=36_500)]


class RetentionConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy. Days are of 24 hours.

    Attributes:
        audio_days: from the read-back of a stay's last note to the deletion of its audio.
        transcript_days: likewise for its transcript and what quotes it.
        unsigned_days: for both, of a closed stay without a note; 0 keeps them.
        unclaimed_days: for both, of a recording that belongs to no stay; 0 keeps them.
        every_h: hours between runs of a serving relay.
    """

    audio_days: Days = 30.0
    transcript_days: Days = 30.0
    unsigned_days: Days = 365.0
    unclaimed_days: Days = 7.0
    every_h: Annotated[float, Meta(gt=0, le=24)] = 24.0
