"""``bayscribe process``: the daemon's pipeline, offline, over a recording."""

import argparse
from pathlib import Path

from bayscribe.errors import BadUse
from bayscribe.offline import Offline, Request


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("input", type=Path, metavar="INPUT", help="WAV or FLAC, 16-bit, 16 kHz")
    parser.add_argument(
        "--array",
        required=True,
        metavar="PROFILE",
        help="name of an array profile, or a path to one (see firmware-config/arrays)",
    )
    parser.add_argument(
        "--enrol",
        action="append",
        default=[],
        type=_enrolment,
        metavar="LABEL=WAV",
        help="a known voice: its label and a clean recording of 15 to 60 s; repeatable",
    )
    parser.add_argument("--primary", metavar="LABEL", help="which enrolled label is the author")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the results")
    parser.add_argument("--realtime", action="store_true", help="no faster than it was recorded")
    parser.add_argument("--threads", type=_threads, default=1, metavar="N", help="for the networks")


def run(options: argparse.Namespace) -> int:
    """Process the recording.

    Raises:
        BadUse: the recording, the profile or an enrolment cannot be taken.
    """
    labels = [label for label, _ in options.enrol]
    if len(set(labels)) != len(labels):
        raise BadUse("--enrol: the same label twice", "give each person a label of their own")
    if options.primary is not None and options.primary not in labels:
        raise BadUse(
            f"--primary: {options.primary!r} is not enrolled", "enrol it with --enrol LABEL=WAV"
        )
    request = Request(
        recording=options.input,
        profile=options.array,
        voices=tuple(options.enrol),
        primary=options.primary,
        out=options.out,
        realtime=options.realtime,
        threads=options.threads,
    )
    Offline(request).run()
    return 0


def _enrolment(text: str) -> tuple[str, Path]:
    label, equals, path = text.partition("=")
    if not (label and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not LABEL=WAV")
    return label, Path(path)


def _threads(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 64")
    return int(text)
