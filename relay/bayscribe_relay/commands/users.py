"""``bayscribe-relay users``: the local password file of the pages."""

import argparse
import getpass
import json
import sys
from pathlib import Path

import msgspec

from bayscribe.errors import BadUse
from bayscribe_relay.web.config import load
from bayscribe_relay.web.people import PasswordFile, Person


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="add an account; asks for its password")
    add.add_argument("name")
    add.add_argument("--role", required=True, choices=("clinician", "operator", "reviewer"))
    add.add_argument("--npi", default="", help="National Provider Identifier of a clinician")
    add.add_argument("--family", default="", help="family name")
    add.add_argument("--given", default="", help="given name")
    add.add_argument("--label", default="", help="label of the enrolled voice")
    add.add_argument(
        "--password-stdin", action="store_true", help="take the password from standard input"
    )
    listing = actions.add_parser("list", help="accounts, without their passwords")
    listing.add_argument("--json", action="store_true", help="one JSON object")
    disable = actions.add_parser("disable", help="let an account in no more")
    disable.add_argument("name")
    for action in (add, listing, disable):
        action.add_argument("--config", type=Path, required=True, help="the relay's TOML file")


def run(options: argparse.Namespace) -> int:
    """Add, list or disable."""
    name = load(options.config).users
    if name is None:
        raise BadUse("web.users names no password file", "add it to the [web] table")
    book = PasswordFile(Path(name))
    if options.action == "add":
        person = Person(
            name=options.name,
            role=options.role,
            npi=options.npi,
            family=options.family,
            given=options.given,
            label=options.label,
        )
        book.add(person, _password(stdin=options.password_stdin))
    elif options.action == "disable":
        book.disable(options.name)
    else:
        _list(book, as_json=options.json)
    return 0


def _list(book: PasswordFile, *, as_json: bool) -> None:
    users = book.users()
    if as_json:
        shown = [msgspec.to_builtins(u.person) | {"disabled": u.disabled} for u in users]
        print(json.dumps({"users": shown}))
        return
    for user in users:
        person, state = user.person, "disabled" if user.disabled else ""
        line = f"{person.name:<24} {person.role:<10} {person.npi:<10} {person.shown} {state}"
        print(line.rstrip())


def _password(*, stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("password: ")
    if first != getpass.getpass("again: "):
        raise BadUse("the two are not the same", "type the same password twice")
    return first
