"""``bayscribe run``: the appliance daemon."""

import argparse
from pathlib import Path

from bayscribe import logs
from bayscribe.config import load_config
from bayscribe.listening import listen


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="TOML file")


def run(options: argparse.Namespace) -> int:
    """Run until told to stop.

    The array is captured before the rest of the appliance is so much as imported.
    """
    path = options.config.absolute()
    config = load_config(path)
    logs.set_up(config.unit.log, config.unit.log_level)
    listening = listen(config, path)
    try:
        from bayscribe.daemon import Daemon

        return Daemon(config, path, listening).run()
    finally:
        listening.source.stop()
