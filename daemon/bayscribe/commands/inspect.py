"""``bayscribe inspect``: headers and verdict of a buffer or a record, without any secret."""

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec

from bayscribe.vault.inspect import Inspection, Verdict, inspect
from bayscribe.wire.header import EncounterClosed, EncounterOpened, Header, SegmentHeader


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("path", type=Path, metavar="PATH", help="a buffer's folder or a .record")
    parser.add_argument(
        "--trust", type=Path, metavar="CERT", help="the unit's certificate, to check signatures"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print what is there; 1 if it was tampered with.

    Raises:
        BadUse: there is nothing to inspect.
    """
    result = inspect(options.path, options.trust)
    if options.json:
        print(json.dumps(_as_json(result)))
    else:
        _print(result)
    return 1 if result.verdict is Verdict.TAMPERED else 0


def _as_json(result: Inspection) -> dict[str, Any]:
    return {
        "verdict": result.verdict.value,
        "signatures_checked": result.signed,
        "acknowledged": result.acknowledged,
        "records": [
            {**_plain(header), "chain_sha256": value.hex()} for header, value in result.headers
        ],
        "findings": [
            {"where": f.where, "what": f.what, "explained_by": f.verdict.value}
            for f in result.findings
        ],
    }


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Records as dictionaries, hashes in hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, msgspec.Struct):
        kind = {"kind": tag} if (tag := value.__struct_config__.tag) else {}
        return kind | {key: _plain(item) for key, item in msgspec.structs.asdict(value).items()}
    return value


def _print(result: Inspection) -> None:
    if result.acknowledged:
        print(f"records up to {result.acknowledged} are acknowledged: their keys are destroyed")
    for header, value in result.headers:
        print(f"{header.seq:>8}  {_summary(header):<64}  chain {value.hex()[:16]}")
    for finding in result.findings:
        print(f"{finding.verdict.value:>10}: {finding.where}: {finding.what}")
    checked = "signatures verify" if result.signed else "signatures not checked (no certificate)"
    if result.verdict is Verdict.TAMPERED:
        checked = "see above"
    print(f"{len(result.headers)} records, {result.verdict.value}, {checked}")


def _summary(header: Header) -> str:
    match header:
        case SegmentHeader():
            seconds = header.samples / header.sample_rate
            marks = f"{len(header.gaps)} gaps, {len(header.faults)} faults"
            return f"segment {seconds:6.2f} s from sample {header.first_sample}, {marks}"
        case EncounterOpened():
            return f"opened  encounter {header.encounter[:8]} in {header.bay}: {header.reason}"
        case EncounterClosed():
            return (
                f"closed  encounter {header.encounter[:8]}: {header.reason}, "
                f"{header.segments} segments"
            )
