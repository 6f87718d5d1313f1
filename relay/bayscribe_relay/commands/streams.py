"""``bayscribe-relay streams``: what has arrived, verified while it is listed."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bayscribe.errors import BadUse
from bayscribe_relay import config
from bayscribe_relay.config import RelayConfig
from bayscribe_relay.store.records import RefusalCount
from bayscribe_relay.store.store import Store
from bayscribe_relay.streams.report import DeviceReport, EncounterReport, device_report


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "action", nargs="?", choices=["list", "verify"], default="list", help="default: list"
    )
    parser.add_argument("which", nargs="?", help="a device or an encounter; all if absent")
    parser.add_argument("--config", type=Path, required=True, help="the relay's TOML file")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """List or verify; 1 if something stored does not verify."""
    settings = config.load(options.config)
    store = Store(settings.store.url)
    try:
        reports = list(_reports(store, settings, options.which))
    finally:
        store.close()
    if options.json:
        print(json.dumps({"devices": [_device_json(report) for report in reports]}))
    elif options.action == "verify":
        for report in reports:
            _print_verdict(report)
    else:
        for report in reports:
            _print_device(report)
    return 0 if all(report.verified for report in reports) else 1


def _reports(store: Store, settings: RelayConfig, which: str | None) -> Iterator[DeviceReport]:
    opening = config.opening_keys(settings)
    marks = store.marks()
    encounter = None
    if which is not None and which not in {mark.device for mark in marks}:
        device = store.device_of(which)
        if device is None:
            raise BadUse(f"no device or encounter {which}", "list them with `streams`")
        encounter, which = which, device
    for mark in marks:
        if which in (None, mark.device):
            report = device_report(store, mark, opening)
            if encounter is not None:
                report.encounters = [
                    found for found in report.encounters if found.state.encounter == encounter
                ]
            yield report


def _device_json(report: DeviceReport) -> dict[str, Any]:
    return {
        "device": report.mark.device,
        "records": report.records,
        "seq": report.mark.seq,
        "chain_sha256": report.mark.chain.hex(),
        "verified": report.verified,
        "problems": report.problems,
        "refusals": [_refusal_json(row) for row in report.refusals],
        "encounters": [_encounter_json(encounter) for encounter in report.encounters],
    }


def _refusal_json(row: RefusalCount) -> dict[str, Any]:
    refusal = row.refusal
    return {
        "seq": refusal.seq,
        "reason": refusal.reason,
        "detail": refusal.detail,
        "encounter": refusal.encounter,
        "times": row.times,
        "first_ns": row.first_ns,
        "last_ns": row.last_ns,
    }


def _encounter_json(encounter: EncounterReport) -> dict[str, Any]:
    return {
        **asdict(encounter.state),
        "audio_s": round(encounter.audio_s, 3),
        "verified": not encounter.problems,
        "problems": encounter.problems,
        "segment_list": [asdict(row) for row in encounter.segments],
        "turns": [asdict(row) for row in encounter.turns],
    }


def _print_verdict(report: DeviceReport) -> None:
    what = "verified" if report.verified else "DOES NOT VERIFY"
    print(f"{report.mark.device}: {report.records} records, {what}")
    for problem in [*report.problems, *(p for e in report.encounters for p in e.problems)]:
        print(f"  {problem}")


def _print_device(report: DeviceReport) -> None:
    mark = report.mark
    verdict = "verified" if report.verified else "DOES NOT VERIFY"
    print(f"device {mark.device}: {report.records} records through {mark.seq}, {verdict}")
    print(f"  chain {mark.chain.hex()}")
    for row in report.refusals:
        print(
            f"  REFUSED record {row.refusal.seq}: {row.refusal.reason}: {row.refusal.detail}"
            f" ({row.times} times)"
        )
    for problem in report.problems:
        print(f"  PROBLEM {problem}")
    for encounter in report.encounters:
        _print_encounter(encounter)


def _print_encounter(encounter: EncounterReport) -> None:
    state = encounter.state
    closed = state.closed_reason or "still open"
    print(
        f"\n  encounter {state.encounter} in {state.bay}: {state.opened_reason} to {closed}, "
        f"{state.segments} segments, {encounter.audio_s:.1f} s, "
        f"{state.gap_samples} samples missing"
    )
    for problem in encounter.problems:
        print(f"    PROBLEM {problem}")
    if encounter.segments:
        print(f"\n    {'seq':>6} {'s':>6} {'sealed':>8}  {'audio SHA-256':<18} state")
    for row in encounter.segments:
        print(
            f"    {row.seq:>6} {row.samples / row.sample_rate:>6.2f} {row.sealed_bytes:>8}  "
            f"{row.pcm_sha256[:16]}   {row.problem or 'verified'}"
        )
    if encounter.turns:
        print(f"\n    {'start':>8} {'end':>8}  {'azimuth':>7}  speaker")
    for turn in encounter.turns:
        azimuth = "" if turn.azimuth_deg is None else f"{turn.azimuth_deg:.0f}°"
        star = " (primary)" if turn.primary else ""
        print(f"    {turn.start:>8.2f} {turn.end:>8.2f}  {azimuth:>7}  {turn.label}{star}")
