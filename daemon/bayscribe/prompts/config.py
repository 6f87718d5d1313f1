"""What a unit can be told about prompts."""

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0, le=10)]


class BayPromptsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[prompts]`` table.

    Attributes:
        device: ALSA playback device, for instance ``plughw:CARD=ArrayUAC10``; empty: the
            unit plays nothing and answers every prompt with ``suppressed``, ``off``. Speech
            comes at the relay's rate, so the device must convert rates (``plug``).
        quiet_s: seconds without anybody speaking before anything is played.
        level_db: level of the chime and the speech against what was sent, dB, 0 or less.
        speech_within_s: seconds after the chime in which the speech must find a quiet
            moment of its own; later it would be about nothing.
    """

    device: str = ""
    quiet_s: Seconds = 0.7
    level_db: Annotated[float, Meta(ge=-60, le=0)] = 0.0
    speech_within_s: Seconds = 8.0
