"""``bayscribe mute``: silence the microphones."""

import argparse
from pathlib import Path

from bayscribe.config import load_config
from bayscribe.control.socket import ask

CONFIG = Path("/etc/bayscribe/bayscribe.toml")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--config", type=Path, default=CONFIG, help="TOML file (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Ask the running unit; 0 once capture obeys.

    Raises:
        NotRunning: no unit runs here.
    """
    config = load_config(options.config.absolute())
    ask(Path(config.unit.runtime_directory), "mute")
    print("muted")
    return 0
