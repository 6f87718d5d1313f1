"""``bayscribe replay``: play a recording into the PCM that a running daemon captures from."""

import argparse
import json
from pathlib import Path

from bayscribe.audio.profiles import ArrayProfile, known_profiles, load_profile
from bayscribe.audio.recorded_mic import Idle, RecordedMicrophone, runtime_directory
from bayscribe.audio.recorded_pcm import make_pcm
from bayscribe.audio.recording import Recording
from bayscribe.audio.replay import FAULTS, command, parse_fault, replay
from bayscribe.errors import BadUse

_EPILOG = """\
The PCM is an ALSA plug-in that behaves like hardware. Make it once with --setup, start the
daemon with `pcm = "NAME"` under the printed environment, then replay. By default it gives no
samples while nothing plays, so that the daemon's first sample is the recording's first.

faults, behind t=SECONDS of the recording (microphones count from 0, in profile order):
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """State the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG + "".join(f"  {written}\n" for _, written in FAULTS.values())
    parser.add_argument("input", nargs="?", type=Path, help="WAV or FLAC, 16-bit PCM")
    parser.add_argument(
        "--array",
        required=True,
        metavar="PROFILE",
        help=", ".join(known_profiles()) + ", or a path",
    )
    parser.add_argument("--pcm", required=True, metavar="NAME", help="the recorded microphone")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="SPEC",
        help='for instance "t=12.0 dead 2"; may be given again',
    )
    parser.add_argument(
        "--at-end",
        choices=[idle.name.lower() for idle in Idle],
        default="wait",
        help="what the microphone does behind the recording's end (default: wait)",
    )
    parser.add_argument(
        "--control",
        metavar="COMMAND",
        help="show a fault now, or `replug`, on a microphone that plays; needs no INPUT",
    )
    parser.add_argument(
        "--setup",
        type=Path,
        metavar="FOLDER",
        help="make the PCM, write FOLDER/asound.conf, print the environment; needs no INPUT",
    )
    parser.add_argument(
        "--idle",
        choices=["wait", "silence"],
        default="wait",
        help="with --setup: what the microphone does until something plays (default: wait)",
    )
    parser.add_argument("--json", action="store_true", help="accepted; the summary is JSON anyway")


def run(arguments: argparse.Namespace) -> int:
    """Do it; exit status 0 when the recording came to its end."""
    profile = load_profile(arguments.array)
    if arguments.setup:
        return _setup(arguments, profile)
    with RecordedMicrophone(
        runtime_directory(arguments.pcm), profile.alsa_channels, profile.sample_rate
    ) as microphone:
        if arguments.control:
            command(microphone, arguments.control, profile)
            return 0
        if arguments.input is None:
            raise BadUse("no INPUT", "name a recording, or use --control or --setup")
        faults = [parse_fault(text, profile) for text in arguments.fault]
        with Recording(arguments.input, profile) as recording:
            summary = replay(
                recording, microphone, faults=faults, at_end=Idle[arguments.at_end.upper()]
            )
    print(json.dumps(summary.as_dict()))
    return 0 if summary.complete else 1


def _setup(arguments: argparse.Namespace, profile: ArrayProfile) -> int:
    idle = Idle[arguments.idle.upper()]
    environment = make_pcm(arguments.pcm, profile, arguments.setup.resolve(), idle=idle)
    for name, value in environment.items():
        print(f"{name}={value}")
    return 0
