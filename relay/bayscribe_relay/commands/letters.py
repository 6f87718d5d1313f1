"""``bayscribe-relay letters``: the dead-letter queue."""

import argparse
import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bayscribe.errors import BadUse
from bayscribe_relay.writeback.config import load
from bayscribe_relay.writeback.outbox import Letter, Outbox
from bayscribe_relay.writeback.service import Writeback, answer
from bayscribe_relay.writeback.states import DEAD_LETTER_QUEUE, State


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="letters that are not in the chart")
    listing.add_argument("--all", action="store_true", help="those under way and verified too")
    show = actions.add_parser("show", help="one letter: where it stands and what happened")
    show.add_argument("key")
    show.add_argument("--bundle", action="store_true", help="its Bundle too (holds the note)")
    replay = actions.add_parser("replay", help="send letters again, under their own keys")
    replay.add_argument("keys", nargs="*", metavar="KEY")
    replay.add_argument("--all", action="store_true", help="everything in the dead-letter queue")
    replay.add_argument("--wait", action="store_true", help="until each is settled")
    replay.add_argument("--timeout", type=float, default=180.0, help="seconds (%(default)g)")
    for action in (listing, show, replay):
        action.add_argument("--config", type=Path, required=True, help="the relay's TOML file")
        action.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """List, show or replay."""
    if options.action == "replay":
        return asyncio.run(_replay(options))
    outbox = Outbox(load(options.config).store_url, "letters", 1.0)
    try:
        return _list(outbox, options) if options.action == "list" else _show(outbox, options)
    finally:
        outbox.close()


def _list(outbox: Outbox, options: argparse.Namespace) -> int:
    letters = outbox.letters(tuple(State) if options.all else DEAD_LETTER_QUEUE)
    if options.json:
        print(json.dumps({"letters": [_as_json(letter) for letter in letters]}))
        return 0
    for letter in letters:
        alerted = "alerted" if letter.alerted_ns else ""
        print(f"{letter.key}  {letter.state:<11}  {letter.site:<12} {alerted:<8} {letter.reason}")
    return 0


def _show(outbox: Outbox, options: argparse.Namespace) -> int:
    letter = outbox.get(options.key)
    if letter is None:
        raise BadUse(f"no letter {options.key}", "list them with `letters list --all`")
    events = [
        {"at": _time(at), "event": event, "state": state, "detail": detail}
        for at, event, state, detail in outbox.events(letter.key)
    ]
    shown = _as_json(letter) | {"events": events, "answer": answer(letter)}
    if options.bundle:
        shown["bundle"] = json.loads(outbox.bundle(letter.key))
    if options.json or options.bundle:
        print(json.dumps(shown))
        return 0
    print(f"{letter.key}: {letter.state}, site {letter.site}, {letter.attempts} attempts")
    if letter.reason:
        print(f"  {letter.reason}")
    for event in events:
        print(f"  {event['at']}  {event['event']:<10} -> {event['state']:<11} {event['detail']}")
    return 0


async def _replay(options: argparse.Namespace) -> int:
    outgoing = load(options.config)
    outbox = Outbox(outgoing.store_url, "letters", 1.0)
    try:
        keys = list(options.keys)
        if options.all:
            keys += [letter.key for letter in outbox.letters()]
        for key in keys:
            if outbox.get(key) is None:
                raise BadUse(f"no letter {key}", "list them with `letters list`")
        if not keys:
            raise BadUse("no letter named", "give keys, or --all")
        replayed = await outbox.replay(keys)
    finally:
        outbox.close()
    if options.wait:
        async with Writeback.running(outgoing) as writeback:
            replayed = [await writeback.wait(it.key, options.timeout) for it in replayed]
    print(json.dumps({"replayed": [answer(letter) for letter in replayed]}))
    good = (State.VERIFIED,) if options.wait else (State.QUEUED, State.VERIFIED)
    return 0 if replayed and all(letter.state in good for letter in replayed) else 1


def _as_json(letter: Letter) -> dict[str, Any]:
    shown = {name: value for name, value in asdict(letter).items() if name != "answer"}
    for name in ("received_ns", "queued_ns", "accepted_ns", "settled_ns", "alerted_ns"):
        moment = shown.pop(name)
        shown[name.removesuffix("_ns") + "_at"] = _time(moment) if moment else None
    return shown | {"alerted": letter.alerted_ns is not None}


def _time(moment_ns: int) -> str:
    moment = datetime.fromtimestamp(moment_ns / 1e9, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
