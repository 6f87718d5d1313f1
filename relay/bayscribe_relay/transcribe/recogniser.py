"""The port to a speech recogniser."""

from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bayscribe.errors import BayscribeError
from bayscribe_relay.clinical.speech import Word
from bayscribe_relay.transcribe.model import Model

Pcm = NDArray[np.int16]
"""int16 (samples,), 16 kHz."""

RATE = 16_000


class Stretch(Struct, frozen=True, array_like=True):
    """Words that the recogniser decoded together, and how sure it was of them.

    Attributes:
        words: times in seconds from the first sample that was given.
        no_speech: probability that nobody spoke.
        log_probability: mean over the tokens.
        compression: length of the text by its length under zlib.
    """

    words: tuple[Word, ...]
    no_speech: float
    log_probability: float
    compression: float


class RecogniserFailed(BayscribeError):  # noqa: N818 - what happened, not a kind of mistake
    """This audio was not recognised: the process died, ran out of memory or of time."""

    code = "recogniser"


class RecogniserAbsent(BayscribeError):  # noqa: N818 - likewise
    """No recogniser can be started now; the audio is not to blame."""

    code = "recogniser-absent"


class Recogniser(Protocol):
    """Turns audio into words. Called from one thread."""

    @property
    def model(self) -> Model:
        """Which model answers."""
        ...

    def listen(self, pcm: Pcm) -> tuple[Stretch, ...]:
        """Recognise at most 30 s of speech.

        Raises:
            RecogniserFailed: it failed on this audio.
            RecogniserAbsent: it cannot be started now.
        """
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...
