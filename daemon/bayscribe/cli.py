"""The ``bayscribe`` command.

Each subcommand is a module of :mod:`bayscribe.commands` with ``configure(parser)`` and
``run(arguments) -> exit status``; it is imported only when it is asked for. Exit status:
0 done, 1 it ran and the answer is no, 2 bad use or bad input with one line on stderr.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from bayscribe import __version__
from bayscribe.errors import BayscribeError

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    # Small matrices: threads of the linear algebra cost more than they bring, and take
    # processors from the next bay's work. Has to be said before numpy is loaded.
    os.environ.setdefault(_variable, "1")

COMMANDS = {
    "run": "run the appliance daemon",
    "process": "run the same pipeline offline over a recording",
    "replay": "play a recording into the PCM that a running daemon captures from",
    "mute": "silence the microphones of the running unit",
    "unmute": "let them hear again",
    "voices": "list, add and delete the known voices of this unit",
    "check": "say whether the unit may go live: array, clock, keys, disk, relay, broker",
    "commission": "guided commissioning, on the terminal or a local web page",
    "enrol": "get the unit's identity from its site, at the first start",
    "update": "install, confirm and inspect updates of the whole unit",
    "inspect": "print and verify a sealed record or a whole buffer, without any secret",
}


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command line; ``only`` limits it to the subcommand that is about to run."""
    top = argparse.ArgumentParser(
        prog="bayscribe", description="Ambient clinical scribe: the appliance of one bay."
    )
    top.add_argument("--version", action="version", version=f"bayscribe {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:])
        if name == only:
            importlib.import_module(f"bayscribe.commands.{name}").configure(sub)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``bayscribe`` executable."""
    words = list(sys.argv[1:] if argv is None else argv)
    only = next((word for word in words if not word.startswith("-")), None)
    arguments = parser(only if only in COMMANDS else None).parse_args(words)
    module = importlib.import_module(f"bayscribe.commands.{arguments.command}")
    try:
        status: int = module.run(arguments)
    except BayscribeError as error:
        print(f"bayscribe {arguments.command}: {error.line()}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
