"""``bayscribe-relay retention``: delete by policy, hold, release, show."""

import argparse
import getpass
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bayscribe.errors import ConfigError
from bayscribe_relay import config
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.custody.config import Signer
from bayscribe_relay.retention.erase import Retention


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run_now = actions.add_parser("run", help="delete what is due now")
    run_now.add_argument("--dry-run", action="store_true", help="only say what is due")
    hold = actions.add_parser("hold", help="keep everything of a stay until it is released")
    hold.add_argument("stay")
    hold.add_argument("--reason", required=True, help="without anything of the patient")
    release = actions.add_parser("release", help="let the policy take a stay again")
    release.add_argument("stay")
    show = actions.add_parser("show", help="the policy, the holds and the number of proofs")
    for action in (run_now, hold, release, show):
        action.add_argument("--config", type=Path, required=True, help="the relay's TOML file")


def run(options: argparse.Namespace) -> int:
    """Do it and print one JSON object."""
    settings = config.load(options.config)
    if settings.retention is None:
        raise ConfigError(
            "retention: the configuration has no such table", "add [retention], with its days"
        )
    clinical = ClinicalStore(settings.store.url)
    try:
        retention = Retention(clinical, Signer.load(settings.custody), settings.retention)
        print(json.dumps(_do(retention, options)))
    finally:
        clinical.close()
    return 0


def _do(retention: Retention, options: argparse.Namespace) -> dict[str, object]:
    actor = f"os:{getpass.getuser()}"
    if options.action == "run":
        done = retention.run(dry=options.dry_run)
        return {"dry_run": options.dry_run, **asdict(done)}
    if options.action == "hold":
        retention.hold(options.stay, actor, options.reason)
        return {"held": options.stay}
    if options.action == "release":
        retention.release(options.stay, actor)
        return {"released": options.stay}
    policy = retention.config
    return {
        "policy": {name: getattr(policy, name) for name in policy.__struct_fields__},
        "holds": [
            {"stay": stay, "since": _utc(since), "actor": by, "reason": reason}
            for stay, since, by, reason in retention.held()
        ],
        "proofs": retention.deletions(),
    }


def _utc(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="seconds")
