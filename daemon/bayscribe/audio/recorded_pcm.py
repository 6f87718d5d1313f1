"""ALSA configuration under which a recorded microphone is a PCM like any other."""

import os
from pathlib import Path

from bayscribe.audio.profiles import ArrayProfile
from bayscribe.audio.recorded_mic import Idle, RecordedMicrophone, runtime_directory
from bayscribe.errors import CaptureError
from bayscribe.resources import firmware_config

LIBRARY = "libasound_module_pcm_bayscribe.so"
SYSTEM_CONFIGURATION = Path("/usr/share/alsa/alsa.conf")


def plugin_library() -> Path:
    """The built plug-in: ``$BAYSCRIBE_ALSA_PLUGIN``, ALSA's own folder, or the checkout's.

    Raises:
        CaptureError: it has not been built.
    """
    checkout = firmware_config().parent / ".build" / "alsa" / LIBRARY
    places = [checkout, *sorted(Path("/usr/lib").glob(f"*/alsa-lib/{LIBRARY}"))]
    if stated := os.environ.get("BAYSCRIBE_ALSA_PLUGIN"):
        places.insert(0, Path(stated))
    for place in places:
        if place.is_file():
            return place
    raise CaptureError(
        f"the recorded-microphone plug-in {LIBRARY} is not built",
        "run ./run setup, or firmware-config/recorded-mic/build.sh",
    )


def configuration(name: str, profile: ArrayProfile, directory: Path) -> str:
    """The text of an ALSA configuration in which ``name`` is the recorded microphone."""
    return (
        f"<{SYSTEM_CONFIGURATION}>\n"
        f'pcm_type.bayscribe {{ lib "{plugin_library()}" }}\n'
        f"pcm.{name} {{\n"
        "    type bayscribe\n"
        f'    dir "{directory}"\n'
        f"    channels {profile.alsa_channels}\n"
        f"    rate {profile.sample_rate}\n"
        f'    hint {{ show on  description "Recorded microphone {name}" }}\n'
        "}\n"
    )


def make_pcm(
    name: str,
    profile: ArrayProfile,
    folder: Path,
    *,
    directory: Path | None = None,
    idle: Idle = Idle.WAIT,
) -> dict[str, str]:
    """Make a recorded microphone and the ALSA configuration that shows it.

    Args:
        name: of the PCM.
        profile: the array it stands for.
        folder: where ``asound.conf`` is written.
        directory: of the microphone; by its name when absent.
        idle: what it does until something plays.

    Returns:
        What the environment of a process needs in order to open the PCM.

    Raises:
        BadUse: the name is none, or the microphone exists for another array.
        CaptureError: the plug-in has not been built.
    """
    place = runtime_directory(name) if directory is None else directory
    RecordedMicrophone(place, profile.alsa_channels, profile.sample_rate, idle).close()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "asound.conf"
    path.write_text(configuration(name, profile, place), encoding="utf-8")
    return {"ALSA_CONFIG_PATH": str(path)}
