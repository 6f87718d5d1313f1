"""``bayscribe voices``: the known voices of this unit."""

import argparse
import json
from pathlib import Path
from typing import Any

from bayscribe.commands import add_config
from bayscribe.config import Config, load_config
from bayscribe.control.socket import NotRunning, ask
from bayscribe.identity import unit_identity
from bayscribe.voices.store import VoiceStore


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    what = parser.add_subparsers(dest="what", required=True, metavar="list|add|delete")
    what.add_parser("list", help="labels and dates; never a voiceprint")
    add = what.add_parser("add", help="record a voice at the running unit, between encounters")
    add.add_argument("label")
    add.add_argument("--seconds", default="30", help="15 to 60 (%(default)s)")
    delete = what.add_parser("delete", help="erase a voice; says the digest of what is gone")
    delete.add_argument("label")


def run(options: argparse.Namespace) -> int:
    """List, add or delete.

    Raises:
        BayscribeError: the unit refuses, or none runs (for ``add``).
    """
    path = options.config.absolute()
    config = load_config(path)
    folder = Path(config.unit.runtime_directory)
    if options.what == "add":
        print(f"Speak for {options.seconds} s, alone, where you will work.", flush=True)
        said = ask(
            folder,
            "voices-add",
            timeout_s=200.0,
            label=options.label,
            seconds=options.seconds,
        )
    else:
        values = {"label": options.label} if options.what == "delete" else {}
        try:
            said = ask(folder, f"voices-{options.what}", **values)
        except NotRunning:
            said = _without_daemon(config, path, options)
    _print(said, options)
    return 0


def _without_daemon(config: Config, file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A unit that does not run has the same files."""
    store = VoiceStore(Path(config.unit.state_directory) / "voices", unit_identity(config, file)[1])
    if options.what == "delete":
        return {"sealed_sha256": store.delete(options.label), "until_encounter_ends": False}
    own = [
        {"label": one.print.label, "enrolled_wall_ns": one.enrolled_wall_ns, "file": one.file}
        for one in store.load()
    ]
    return {"voices": own, "configured": [voice.label for voice in config.voices]}


def _print(said: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps({key: value for key, value in said.items() if key != "ok"}))
    elif options.what == "list":
        for voice in said["voices"]:
            print(f"{voice['label']}  (this unit, {voice['file']})")
        for label in said["configured"]:
            print(f"{label}  (configuration)")
    elif options.what == "add":
        print(f"{options.label} is known from the next encounter on")
    else:
        tail = "; the open encounter's line forgets it at its end"
        print(f"erased, sealed file {said['sealed_sha256']}", end="")
        print(tail if said["until_encounter_ends"] else "")
