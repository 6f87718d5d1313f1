"""The subcommands of ``bayscribe``, one module each: ``configure(parser)`` and ``run(arguments)``.

A command reads its arguments, calls the parts of the product and prints; what it does
beyond that belongs into a part.
"""

import argparse
from pathlib import Path

CONFIG = Path("/etc/bayscribe/bayscribe.toml")
"""Where a unit's configuration lies unless a command is told otherwise."""


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` to a command that works on an installed unit."""
    parser.add_argument("--config", type=Path, default=CONFIG, help="TOML file (%(default)s)")
