"""A stretch of sound to be played: the chime, or speech as the relay sent it."""

import os
from dataclasses import dataclass

import numpy as np
import soundfile

from bayscribe.errors import AudioFormatError
from bayscribe.prompts import chime
from bayscribe.stream import Pcm

LONGEST_S = 20.0
"""A prompt is one sentence; more than this is a mistake of whoever sent it."""

_RATES = range(8_000, 192_001)
_MOST_CHANNELS = 2


@dataclass(frozen=True, slots=True)
class Clip:
    """Mono sound.

    Attributes:
        pcm: int16 (n,).
        rate: Hz.
    """

    pcm: Pcm
    rate: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.pcm) / self.rate

    def at(self, level_db: float) -> "Clip":
        """The same, quieter."""
        gain = 10 ** (level_db / 20)
        return Clip(np.round(self.pcm * gain).astype(np.int16), self.rate)


def chime_clip() -> Clip:
    """The chime."""
    return Clip(chime.chime(), chime.RATE)


def speech_clip(wav: bytes) -> Clip:
    """Read a WAV (or anything else that libsndfile reads) of any rate from 8 kHz.

    Through a descriptor in memory: libsndfile's callbacks need pages that are writable and
    executable at once, and the unit's sandbox refuses those.

    Raises:
        AudioFormatError: it is no sound, too long, or of an impossible rate.
    """
    file = os.memfd_create("bayscribe-prompt", os.MFD_CLOEXEC)
    try:
        os.write(file, wav)
        os.lseek(file, 0, os.SEEK_SET)
        with soundfile.SoundFile(file, closefd=False) as source:
            rate, frames = int(source.samplerate), int(source.frames)
            if rate not in _RATES or source.channels > _MOST_CHANNELS:
                raise AudioFormatError(f"prompt of {source.channels} channels at {rate} Hz")
            if not 0 < frames <= LONGEST_S * rate:
                raise AudioFormatError(f"prompt of {frames / rate:.1f} s")
            pcm = source.read(dtype="int16", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        raise AudioFormatError("a prompt's speech cannot be read as audio") from None
    finally:
        os.close(file)
    return Clip(np.round(pcm.mean(axis=1)).astype(np.int16), rate)
