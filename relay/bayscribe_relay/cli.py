"""``bayscribe-relay``: one command, one module of :mod:`bayscribe_relay.commands` each."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from bayscribe import __version__
from bayscribe.errors import BayscribeError
from bayscribe_relay.commands import COMMANDS


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done; 1 it ran and the answer is no; 2 bad use or bad input.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(arguments)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except BayscribeError as error:
        print(f"bayscribe-relay: {error.line()}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        # The reader of our output went away (`... | head`): nothing left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 1


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the module of the command asked for is imported."""
    parser = argparse.ArgumentParser(
        prog="bayscribe-relay", description="The central commit relay of Bayscribe."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary)
        if name == asked:
            module = importlib.import_module(f"bayscribe_relay.commands.{name}")
            module.configure(sub)
            sub.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
