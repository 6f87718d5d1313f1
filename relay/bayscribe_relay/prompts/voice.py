"""A prompt's words as sound, made at the relay by espeak-ng."""

import io
import subprocess
import wave
from typing import Final

from bayscribe.errors import BadUse

MOST_S: Final = 15.0
"""A prompt is a line; the wire carries at most a megabyte."""

_PATIENCE_S: Final = 10.0


def speak(text: str, voice: str) -> bytes:
    """Speech as a WAV file: 16-bit, mono, at the voice's rate (22,050 Hz as a rule).

    Args:
        text: what is said.
        voice: espeak-ng's name of a voice.

    Raises:
        BadUse: ``speech``: espeak-ng is not installed, fails, or knows no such voice.
    """
    try:
        made = subprocess.run(
            ["espeak-ng", "--stdout", "-v", voice, "-s", "165", "--stdin"],
            input=text.encode(),
            capture_output=True,
            timeout=_PATIENCE_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BadUse(
            f"no speech: {type(error).__name__}",
            "install espeak-ng on the relay, or set prompts.bay to chime",
            code="speech",
        ) from None
    return _whole(made)


def _whole(made: bytes) -> bytes:
    """The same with a length in its header, which a streamed WAV cannot state."""
    try:
        start = made.index(b"data") + 8
    except ValueError:
        raise BadUse("no speech: espeak-ng made no WAV", code="speech") from None
    rate = int.from_bytes(made[24:28], "little")
    end = min(len(made), start + 2 * int(MOST_S * rate))
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        wav.writeframes(made[start : end - (end - start) % 2])
    return file.getvalue()
