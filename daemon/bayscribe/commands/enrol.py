"""``bayscribe enrol``: the unit's identity, at its first start."""

import argparse
from pathlib import Path

from bayscribe.enrol import first_start

FOLDER = Path("/var/lib/bayscribe-unit")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    request = actions.add_parser(
        "request", help="make the key, ask for its certificate, write the configuration"
    )
    request.add_argument(
        "--search",
        type=Path,
        action="append",
        metavar="FILE",
        help="where enrol.toml may lie; repeatable (default: in the folder)",
    )
    request.set_defaults(action_run=_request)
    request.add_argument("--folder", type=Path, default=FOLDER, help="(%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Carry out the action."""
    status: int = options.action_run(options)
    return status


def _request(options: argparse.Namespace) -> int:
    places = options.search or [options.folder / "enrol.toml"]
    device = first_start.request(options.folder, places)
    print(f"enrolled as {device}" if device else "enrolled already")
    return 0
