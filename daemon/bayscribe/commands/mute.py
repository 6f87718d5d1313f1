"""``bayscribe mute`` and ``bayscribe unmute``: silence the microphones, and end it."""

import argparse
from pathlib import Path

from bayscribe.commands import add_config
from bayscribe.config import load_config
from bayscribe.control.socket import ask


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    """Ask the running unit; 0 once capture obeys.

    Raises:
        NotRunning: no unit runs here.
    """
    config = load_config(options.config.absolute())
    ask(Path(config.unit.runtime_directory), options.command)
    print(f"{options.command}d")
    return 0
