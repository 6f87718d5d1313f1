"""``bayscribe update``: the unit's two slots, and what may change them."""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bayscribe import logs
from bayscribe.config import load_config
from bayscribe.errors import BayscribeError, LinkError
from bayscribe.update import fetch
from bayscribe.update.before_install import admit
from bayscribe.update.install import Bundle, describe, examine, install
from bayscribe.update.machine import Machine

IDLE_POLL_S = 2.0
FETCH_AGAIN_S = 15.0
FETCH_TIMES = 40

log = logging.getLogger("bayscribe.update")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    status = actions.add_parser("status", help="what runs, what starts next, both slots")
    status.add_argument("--json", action="store_true", help="one JSON object")
    status.set_defaults(action_run=_status)
    stage = actions.add_parser("stage", help="check a bundle and keep it for installation")
    stage.add_argument("bundle", type=Path)
    stage.set_defaults(action_run=_stage)
    put = actions.add_parser("install", help="write a bundle to the other slot, on trial")
    put.add_argument("bundle", type=Path, nargs="?", help="default: the staged one")
    put.set_defaults(action_run=_install)
    asked = actions.add_parser("fetch", help="fetch what the relay asked for")
    asked.set_defaults(action_run=_fetch)
    confirm = actions.add_parser("confirm", help="judge a new system by its job checks")
    confirm.add_argument("--patience", type=float, help="seconds until it is given up")
    confirm.set_defaults(action_run=_confirm)
    for action in (put, confirm):
        action.add_argument("--reboot", action="store_true", help="restart when it is time to")


def run(options: argparse.Namespace) -> int:
    """Carry out the action."""
    logs.set_up("journal" if "JOURNAL_STREAM" in os.environ else "stderr", "info")
    status: int = options.action_run(options, Machine())
    return status


def _key() -> Path:
    """The device's key, as the service manager hands it to this service."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", "/run/bayscribe-identity")) / "device.key"


def _status(options: argparse.Namespace, machine: Machine) -> int:
    told = describe(machine)
    if options.json:
        print(json.dumps(told))
    else:
        print("\n".join(f"{name.replace('_', ' '):12} {value}" for name, value in told.items()))
    return 0


def _checked(path: Path, machine: Machine) -> Bundle:
    bundle = examine(path)
    admit(bundle.release, machine)
    return bundle


def _stage(options: argparse.Namespace, machine: Machine) -> int:
    _checked(options.bundle, machine)
    folder = machine.state / "staged"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / options.bundle.name
    if not (kept.exists() and kept.samefile(options.bundle)):
        part = kept.with_suffix(".part")
        try:
            shutil.copyfile(options.bundle, part)
            _checked(part, machine)
        except (OSError, BayscribeError):
            part.unlink(missing_ok=True)
            raise
        part.replace(kept)
    for old in folder.iterdir():
        if old != kept:
            old.unlink()
    print(kept)
    return 0


def _install(options: argparse.Namespace, machine: Machine) -> int:
    staged = sorted((machine.state / "staged").glob("*.raucb"))
    path = options.bundle or (staged[0] if staged else None)
    if path is None:
        raise BayscribeError("nothing is staged", "name a bundle", code="update")
    return _put(path, machine, reboot=options.reboot)


def _put(path: Path, machine: Machine, *, reboot: bool) -> int:
    bundle = examine(path)
    slot = install(bundle, machine)
    print(f"release {bundle.release.release} is in slot {slot}, on trial from the next start")
    if path.parent == machine.state / "staged":
        path.unlink()
    if reboot:
        _await_idle(machine)
        _reboot()
    return 0


def _fetch(_options: argparse.Namespace, machine: Machine) -> int:
    request = fetch.requested(machine.runtime)
    tls = fetch.context(machine, _key())
    for attempt in range(FETCH_TIMES):
        try:
            path = fetch.fetch(request, machine, tls)
            break
        except LinkError as error:
            log.warning("%s", error.line())
            if attempt == FETCH_TIMES - 1:
                raise
            time.sleep(FETCH_AGAIN_S)
    print(path)
    return 0


def _confirm(options: argparse.Namespace, machine: Machine) -> int:
    from bayscribe.update.confirm import PATIENCE_S, Outcome, confirm
    from bayscribe.update.jobchecks import JobChecks

    checks = JobChecks(machine, _key())
    outcome, found = confirm(machine, checks.run, options.patience or PATIENCE_S)
    for check in found:
        print(f"{check.name:12} {'pass' if check.passed else 'FAIL'}  {check.found}")
    print(outcome.value)
    if outcome is Outcome.BAD and options.reboot:
        _reboot()
    return 1 if outcome is Outcome.BAD else 0


def _await_idle(machine: Machine) -> None:
    """Wait until no encounter is open: nobody's visit is cut short by an update."""
    while _recording(machine):
        time.sleep(IDLE_POLL_S)


def _recording(machine: Machine) -> bool:
    """Whether a visit is being recorded; a unit that records always has no visits."""
    try:
        if load_config(machine.unit / "bayscribe.toml").encounter.mode == "always":
            return False
    except BayscribeError as error:
        log.warning("%s", error.line())
    try:
        state = json.loads((machine.runtime / "state.json").read_bytes())
    except (OSError, ValueError):
        return False
    return bool(state.get("state") == "recording")


def _reboot() -> None:
    sys.stdout.flush()
    subprocess.run(["systemctl", "--no-block", "reboot"], check=True)
