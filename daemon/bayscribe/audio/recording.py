"""Recordings of an array, read as blocks of its microphones."""

import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import soundfile

from bayscribe.audio.profiles import ArrayProfile
from bayscribe.errors import AudioFormatError
from bayscribe.stream import Block, Pcm
from bayscribe.units import SampleIndex

BLOCK_FRAMES = 1600
"""Frames per block: 100 ms at 16 kHz."""

_FORMATS = ("WAV", "WAVEX", "RF64", "FLAC")

_STREAMED = 0x7FFFFFFF
"""A writer that could not seek back leaves this or more as the length: not a statement."""


def _wav_frames(path: Path) -> int:
    """Frames that a RIFF file's header states; 0 when it states none.

    The decoder takes the length of a truncated file for the length of the recording, so the
    header is asked. Source: Microsoft, "Multimedia Programming Interface and Data
    Specifications 1.0", RIFF WAVE.
    """
    frame_bytes = 0
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            kind, size = struct.unpack("<4sI", head)
            if kind == b"data":
                return size // frame_bytes if frame_bytes and size < _STREAMED else 0
            if kind == b"fmt ":
                frame_bytes = struct.unpack("<12xH", file.read(14))[0]
                size -= 14
            file.seek(size + size % 2, 1)
    return 0


class Recording:
    """A WAV or FLAC file of 16-bit PCM with the channels of an array.

    Its channels are either all ALSA channels of the profile, of which the microphones are
    picked, or exactly the microphones in profile order.

    Args:
        path: the file.
        profile: the array it was made with.

    Raises:
        AudioFormatError: it cannot be read, or has another format, width, rate or channel
            count; the message says what was found and what was expected.
    """

    def __init__(self, path: Path, profile: ArrayProfile) -> None:
        self.path = path
        self.profile = profile
        self._stated_frames = 0
        try:
            self._file: Any = soundfile.SoundFile(str(path))
        except (soundfile.LibsndfileError, OSError, TypeError) as error:
            why = "no such file" if not path.exists() else str(error).rsplit(":", 1)[-1].strip()
            raise AudioFormatError(
                f"{path}: cannot be read as audio: {why}", "give a WAV or FLAC file of 16-bit PCM"
            ) from None
        try:
            self._prove()
        except BaseException:
            self.close()
            raise

    def _prove(self) -> None:
        file, profile = self._file, self.profile
        if file.format not in _FORMATS or file.subtype != "PCM_16":
            raise AudioFormatError(
                f"{self.path}: found {file.format} {file.subtype}, expected WAV or FLAC PCM_16",
                "convert it to 16-bit PCM",
            )
        if file.samplerate != profile.sample_rate:
            raise AudioFormatError(
                f"{self.path}: found {file.samplerate} Hz, expected {profile.sample_rate} Hz",
                "resample it",
            )
        mics = len(profile.microphones)
        if file.channels not in (profile.alsa_channels, mics):
            wanted = f"{profile.alsa_channels} (the ALSA channels of {profile.name})"
            if mics != profile.alsa_channels:
                wanted += f" or {mics} (its microphones)"
            raise AudioFormatError(
                f"{self.path}: found {file.channels} channels, expected {wanted}",
                "name the profile of the array that made the recording",
            )
        if file.frames == 0:
            raise AudioFormatError(f"{self.path}: is empty", "record something")
        self._stated_frames = _wav_frames(self.path) if file.format in ("WAV", "WAVEX") else 0

    @property
    def frames(self) -> int:
        """Length in frames, as the file's header states it."""
        return max(int(self._file.frames), self._stated_frames)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.profile.sample_rate

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[Block]:
        """The microphones, ``frames`` at a time; the last block may be shorter.

        Raises:
            AudioFormatError: the file ends before its header says: everything up to there
                has been given.
        """
        whole = self._file.channels == self.profile.alsa_channels
        for first, pcm in self._read(frames):
            yield Block(first, self.profile.pick(pcm) if whole else pcm)

    def alsa_frames(self, frames: int = 65_536) -> Iterator[Pcm]:
        """All ALSA channels, int16 (n, alsa_channels), as the array would have given them.

        Channels that a recording of the microphones alone does not have are silent.

        Raises:
            AudioFormatError: as :meth:`blocks`.
        """
        for _, pcm in self._read(frames):
            if pcm.shape[1] == self.profile.alsa_channels:
                yield pcm
                continue
            whole = np.zeros((len(pcm), self.profile.alsa_channels), dtype=np.int16)
            whole[:, self.profile.channels] = pcm
            yield whole

    def _read(self, frames: int) -> Iterator[tuple[SampleIndex, Pcm]]:
        self._file.seek(0)
        done, ask = 0, frames
        while done < self.frames and ask:
            try:
                pcm: Pcm = self._file.read(ask, dtype="int16", always_2d=True)
            except soundfile.LibsndfileError:
                ask //= 2  # take what still decodes before the damage
                self._file.close()
                self._file = soundfile.SoundFile(str(self.path))
                self._file.seek(done)
                continue
            if len(pcm) == 0:
                break
            yield SampleIndex(done), pcm
            done += len(pcm)
        if done < self.frames:
            raise AudioFormatError(
                f"{self.path}: ends after {done} of {self.frames} frames",
                "the file is truncated or damaged: copy it again",
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
