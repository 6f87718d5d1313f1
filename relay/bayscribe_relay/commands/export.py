"""``bayscribe-relay export``: one encounter's beam and turns as files, for development."""

import argparse
from pathlib import Path

from bayscribe_relay import config
from bayscribe_relay.store.store import Store
from bayscribe_relay.streams.export import export


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("encounter", help="its id, from `bayscribe-relay streams`")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--config", type=Path, required=True, help="the relay's TOML file")


def run(options: argparse.Namespace) -> int:
    """Write the files and print their names."""
    settings = config.load(options.config)
    opening = config.opening_keys(settings)
    store = Store(settings.store.url)
    try:
        for path in export(store, options.encounter, opening, options.out):
            print(path)
    finally:
        store.close()
    return 0
