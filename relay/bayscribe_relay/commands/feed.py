"""``bayscribe-relay feed``: what the EMR sent and what became of it."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from bayscribe.errors import BadUse
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.emr_feed.codebook import Codebook
from bayscribe_relay.emr_feed.config import FeedConfig, load
from bayscribe_relay.emr_feed.inbox import Inbox
from bayscribe_relay.emr_feed.unmapped import unmapped_codes


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    unmapped = actions.add_parser(
        "unmapped", help="codes that no table knows, with counts and without values"
    )
    status = actions.add_parser("status", help="messages by state")
    parked = actions.add_parser("parked", help="messages that could not be applied, and why")
    replay = actions.add_parser("replay", help="have parked messages interpreted again")
    replay.add_argument("numbers", nargs="*", type=int, metavar="N", help="as `parked` lists them")
    replay.add_argument("--all", action="store_true", help="every parked message")
    for action in (unmapped, status, parked, replay):
        action.add_argument("--config", type=Path, required=True, help="the relay's TOML file")
        action.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """Report, list or replay."""
    config, url = load(options.config)
    store = ClinicalStore(url)
    inbox = Inbox(store)
    try:
        if options.action == "unmapped":
            return _unmapped(store, config, options)
        if options.action == "status":
            return _status(inbox, options)
        return _replay(inbox, options) if options.action == "replay" else _parked(inbox, options)
    finally:
        inbox.close()
        store.close()


def _unmapped(store: ClinicalStore, config: FeedConfig, options: argparse.Namespace) -> int:
    book = Codebook(config.mapping.files, match_names=config.mapping.match_names)
    found = unmapped_codes(store.engine, config.site, book)
    if options.json:
        print(json.dumps({"unmapped": [one._asdict() for one in found]}))
        return 0
    for one in found:
        taken = f"  taken by its name for {one.by_name}" if one.by_name else ""
        name = f"{one.context:<10} {one.system or '-':<12} {one.code:<24} {one.display}"
        print(f"{one.times:>8}  {name}{taken}")
    if not found:
        print("every code that came is mapped")
    return 0


def _status(inbox: Inbox, options: argparse.Namespace) -> int:
    counts = inbox.counts()
    if options.json:
        print(json.dumps({"messages": counts}))
        return 0
    for state in ("received", "done", "ignored", "waiting", "parked"):
        print(f"{counts.get(state, 0):>10}  {state}")
    return 0


def _parked(inbox: Inbox, options: argparse.Namespace) -> int:
    found = [
        {
            "n": one.n,
            "type": one.type,
            "control_id": one.control_id,
            "received": datetime.fromtimestamp(one.received_ns / 1e9, UTC).isoformat(),
            "reason": one.reason,
        }
        for one in inbox.parked()
    ]
    if options.json:
        print(json.dumps({"parked": found}))
        return 0
    for row in found:
        print(f"{row['n']:>8}  {row['received']!s:.19}  {row['type']:<10} {row['reason']}")
    return 0


def _replay(inbox: Inbox, options: argparse.Namespace) -> int:
    if bool(options.numbers) == options.all:
        raise BadUse("nothing to replay was named", "give numbers, or --all")
    done = inbox.replay() if options.all else sum(inbox.replay(n) for n in options.numbers)
    print(json.dumps({"replayed": done}) if options.json else f"{done} will be interpreted again")
    return 0 if done else 1
