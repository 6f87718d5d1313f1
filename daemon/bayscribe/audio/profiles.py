"""Array profiles: what a microphone array is, as data.

A profile is a TOML file. Only the channel map, the geometry, the rate and the sensitivity
are asked for; the ``[board]`` table says what a particular board needs of the system and
may carry keys that other tools read.
"""

import itertools
import math
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from bayscribe.errors import ConfigError, ProfileError
from bayscribe.resources import firmware_config
from bayscribe.settings import load
from bayscribe.stream import Pcm
from bayscribe.units import SAMPLE_RATE

LARGEST_APERTURE_M = 1.0
"""Metres. A bigger "array" is a typing error, most likely millimetres."""

SMALLEST_SPACING_M = 0.002
"""Metres. Closer microphones cannot be told apart by sound at 16 kHz."""


class Microphone(Struct, frozen=True, forbid_unknown_fields=True):
    """One microphone: its ALSA channel and its place in metres."""

    channel: Annotated[int, Meta(ge=0)]
    x: float
    y: float
    z: float = 0.0


class MixerSetting(Struct, frozen=True, forbid_unknown_fields=True):
    """A mixer control that the daemon holds at one value, so that levels mean something.

    Attributes:
        control: ALSA simple mixer control.
        percent: 0 to 100, or None.
        raw: value in the control's own units, or None.
        choice: item of an enumerated control or ``On`` / ``Off`` of a switch, or None.
    """

    control: str
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    raw: int | None = None
    choice: str | None = None


class Board(Struct, frozen=True):
    """What a board needs of the system; unknown keys are somebody else's.

    Attributes:
        card: ALSA card id.
        pcm: ALSA device to open when the unit's configuration names none.
        usb_vendor: hexadecimal, or empty.
        usb_product: hexadecimal, or empty.
        udev: udev rules, a file of ``firmware-config``, or empty.
        alsa: ALSA configuration, a file of ``firmware-config``, or empty.
        overlay: device-tree overlay notes, a file of ``firmware-config``, or empty.
        dsp: on-board processing to switch off, a file of ``firmware-config``, or empty.
        mixer: controls to hold.
    """

    card: str = ""
    pcm: str = ""
    usb_vendor: str = ""
    usb_product: str = ""
    udev: str = ""
    alsa: str = ""
    overlay: str = ""
    dsp: str = ""
    mixer: tuple[MixerSetting, ...] = ()


class ArrayProfile(Struct, frozen=True):
    """A microphone array.

    Attributes:
        alsa_channels: channels of the PCM.
        sample_rate: Hz; 16000, at which everything behind capture runs.
        microphones: in profile order, the order of every ``(frames, mics)`` array.
        sensitivity_dbfs_at_94db_spl: RMS level re full scale of a 1 kHz tone of 1 Pa.
        playback_loopback: ALSA channels that carry what the unit itself plays.
        summed_channels: ALSA channels that are added to the only microphone's: parts of one
            conversation (near and far end of a video visit), not places in a room.
        name: what commands call it.
        maker: maker and product.
        compass_deg: compass bearing of the profile's x axis once mounted.
        board: what the board needs of the system.
    """

    alsa_channels: Annotated[int, Meta(ge=1, le=64)]
    sample_rate: int
    microphones: Annotated[tuple[Microphone, ...], Meta(min_length=1)]
    sensitivity_dbfs_at_94db_spl: Annotated[float, Meta(ge=-80, le=0)] = -26.0
    playback_loopback: tuple[int, ...] = ()
    summed_channels: tuple[int, ...] = ()
    name: str = ""
    maker: str = ""
    compass_deg: Annotated[float, Meta(ge=0, lt=360)] = 0.0
    board: Board = Board()

    @property
    def channels(self) -> NDArray[np.intp]:
        """ALSA channel of each microphone: intp (mics,)."""
        return np.array([mic.channel for mic in self.microphones], dtype=np.intp)

    def pick(self, pcm: Pcm) -> Pcm:
        """The microphones, int16 (n, mics), of all ALSA channels, int16 (n, alsa_channels)."""
        if not self.summed_channels:
            return np.ascontiguousarray(pcm[:, self.channels])
        both = [*self.channels, *self.summed_channels]
        total = pcm[:, both].astype(np.int32).sum(axis=1, keepdims=True)
        summed: Pcm = np.clip(total, -32768, 32767).astype(np.int16)
        return summed

    @property
    def geometry(self) -> NDArray[np.float64]:
        """Places of the microphones in metres: float64 (mics, 3)."""
        return np.array([(mic.x, mic.y, mic.z) for mic in self.microphones], dtype=np.float64)

    def db_spl(self, dbfs: float) -> float:
        """Sound pressure level of an RMS level in dB re full scale (32768)."""
        return dbfs - self.sensitivity_dbfs_at_94db_spl + 94.0


def known_profiles() -> tuple[str, ...]:
    """Names of the profiles that ship with the product."""
    return tuple(sorted(path.stem for path in (firmware_config() / "arrays").glob("*.toml")))


def load_profile(name_or_path: str | Path) -> ArrayProfile:
    """Read a profile by its name, or from a TOML file anywhere.

    Raises:
        ProfileError: there is no such profile, or it is not one of a possible array.
    """
    text = str(name_or_path)
    path = Path(text)
    if not text.endswith(".toml") and "/" not in text:
        path = firmware_config() / "arrays" / f"{text}.toml"
    if not path.is_file():
        raise ProfileError(
            f"array profile {text!r} is not known",
            f"give a path to a .toml file or one of: {', '.join(known_profiles())}",
        )
    try:
        profile = load(path, ArrayProfile)
    except ConfigError as error:
        raise ProfileError(str(error), error.what_to_do) from None
    _check(profile, path)
    return profile if profile.name else msgspec.structs.replace(profile, name=path.stem)


def _check(profile: ArrayProfile, path: Path) -> None:
    if profile.sample_rate != SAMPLE_RATE:
        raise ProfileError(
            f"{path}: sample_rate: found {profile.sample_rate}, expected {SAMPLE_RATE}",
            "let an ALSA plug PCM convert the source's rate",
        )
    used = [mic.channel for mic in profile.microphones]
    used += [*profile.playback_loopback, *profile.summed_channels]
    if profile.summed_channels and len(profile.microphones) > 1:
        raise ProfileError(
            f"{path}: summed_channels: {len(profile.microphones)} microphones, expected one",
            "channels are either summed to one or places in a room",
        )
    for channel in used:
        if not 0 <= channel < profile.alsa_channels:
            raise ProfileError(
                f"{path}: channel {channel} is not one of {profile.alsa_channels} ALSA channels",
                "channels count from 0; mend the channel or alsa_channels",
            )
        if used.count(channel) > 1:
            raise ProfileError(f"{path}: channel {channel} is named twice", "name it once")
    places = [(mic.x, mic.y, mic.z) for mic in profile.microphones]
    if not all(math.isfinite(value) for place in places for value in place):
        raise ProfileError(f"{path}: a place is not a finite number", "give x, y, z in metres")
    for (first, here), (second, there) in itertools.combinations(enumerate(places), 2):
        apart = math.dist(here, there)
        if apart < SMALLEST_SPACING_M:
            raise ProfileError(
                f"{path}: microphones {first} and {second} are in the same place",
                "give each microphone its own place in metres",
            )
        if apart > LARGEST_APERTURE_M:
            raise ProfileError(
                f"{path}: microphones {first} and {second} are {apart:.3g} m apart",
                "places are in metres, not millimetres",
            )
