"""``python -m benchmarks.writeback.latency``: how long from signed to verified in the chart.

Three measurements, each on a fresh relay, gateway and EMR:

- *own share*: an EMR that takes no time; 40 notes signed within one second, again and
  again. From each note's time the EMR's own time is subtracted: the union of the
  intervals in which the EMR was busy with a request of that key, by the EMR's record.
- *end to end*: EMRs as slow as sites report, 40 notes signed within one second.
- *polling*: the same notes, the same EMR, and no product: every bay is asked every 2 to
  5 s whether there is a note.

A note's time begins with its durable signature. The process that signs carries the letter,
as a relay does with what is signed on its own pages; the own share is also shown for notes
that another process has put into the outbox and the relay must first notice.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from benchmarks.writeback import figures, notes, polling
from benchmarks.writeback.signing import Signer
from benchmarks.writeback.stage import MDM_SITE, Setting, stage
from benchmarks.writeback.verdict import judge, open_letters, read_letters
from emr.census import requests
from emr.process import EmrProcess
from emr.settings import PROFILES

BAYS: Final = 40
PROFILE_SITES: Final = (("epic", "demo"), ("athenahealth", "demo"), ("oracle-health", MDM_SITE))


def sign_in_one_second(signer: Signer, batch: Sequence[notes.SignedNote]) -> None:
    """Sign a batch at random moments of one second."""
    start = time.monotonic()
    for moment, note in zip(sorted(random.uniform(0, 1) for _ in batch), batch, strict=True):
        time.sleep(max(0.0, start + moment - time.monotonic()))
        signer.sign(note)


def measure(
    folder: Path, profile: str, site: str, rounds: int, *, carry: bool = True
) -> tuple[list[float], list[float], int]:
    """Sign ``rounds`` batches; milliseconds in all, own milliseconds, requests to the EMR."""
    draw = random.Random(7)
    latency: dict[str, Any] = {
        name: list(getattr(PROFILES[profile], name)) for name in ("write", "read", "mdm")
    }
    with stage(folder, Setting(BAYS, {"latency": latency})) as running:
        signer = Signer(running.relay_config, folder / "signer.log", carry=carry)
        engine = sa.create_engine(running.store_url)
        # The first notes find cold connections and unknown encounters, as after a restart.
        for place in range(-1, rounds):
            batch = [_at(site, notes.make(n, BAYS, draw=draw)) for n in range(BAYS)]
            sign_in_one_second(signer, batch)
            _settled(engine, (place + 2) * BAYS)
            if place == -1:
                warm = {note.key for note in batch}
        signer.finish()
        letters, chart = read_letters(engine), running.emr.census()
        engine.dispose()
        asked = requests(running.emr.store)
        verdict = judge(list(signer.confirmed.values()), letters, chart, set())
    if verdict.faults or verdict.dead:
        raise RuntimeError(verdict.line())
    busy = _busy(asked)
    measured = {key: letter for key, letter in letters.items() if key not in warm}
    total = [1000 * (letter.seconds or 0.0) for letter in measured.values()]
    own = [1000 * ((letter.seconds or 0.0) - busy[key]) for key, letter in measured.items()]
    return total, own, len(asked)


def _at(site: str, note: notes.SignedNote) -> notes.SignedNote:
    body = json.loads(note.body) | {"site": site}
    return notes.SignedNote(note.key, note.sha256, note.encounter, json.dumps(body).encode())


def _settled(engine: sa.Engine, count: int) -> None:
    end = time.monotonic() + 300
    while len(read_letters(engine)) < count or open_letters(engine):
        if time.monotonic() > end:
            raise RuntimeError("letters do not settle")
        time.sleep(0.1)


def _busy(asked: list[tuple[str, str, str, float, float | None]]) -> dict[str, float]:
    """Seconds in which the EMR was busy with a key: the union of its requests' intervals."""
    intervals: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _, key, _, arrived, answered in asked:
        if key and answered is not None:
            intervals[key].append((arrived, answered))
    busy: dict[str, float] = defaultdict(float)
    for key, found in intervals.items():
        until = 0.0
        for start, end in sorted(found):
            busy[key] += max(0.0, end - max(start, until))
            until = max(until, end)
    return busy


def _polled(folder: Path, profile: str, rounds: int) -> polling.PollingResult:
    draw = random.Random(7)
    latency = {name: list(getattr(PROFILES[profile], name)) for name in ("write", "read", "mdm")}
    with EmrProcess(folder, {"latency": latency}) as emr:
        emr.seed(*notes.hospital(BAYS))
        batch = [notes.make(n, BAYS, draw=draw) for n in range(BAYS * rounds)]
        return asyncio.run(polling.measure(batch, BAYS, 0.25, emr.fhir))


def main(arguments: Sequence[str] = ()) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="latency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="batches of 40 for the own share")
    parser.add_argument("--slow-rounds", type=int, default=3, help="batches of 40 a profile")
    options = parser.parse_args(arguments)
    print(f"signed to verified; {BAYS} bays signing within one second; {figures.machine()}")
    with tempfile.TemporaryDirectory(prefix="bayscribe-latency-") as top:
        base = Path(top)
        total, own, asked = measure(base / "own", "zero", "demo", options.rounds)
        print(f"  own share (EMR's time subtracted): {figures.summary(own)}")
        print(f"    with an EMR that takes no time:  {figures.summary(total)}")
        _, noticed, _ = measure(base / "beside", "zero", "demo", options.rounds, carry=False)
        print(f"    signed by another process:       {figures.summary(noticed)}")
        print(f"    requests to the EMR a note: {asked / ((options.rounds + 1) * BAYS):.1f}")
        for profile, site in PROFILE_SITES:
            total, own, asked = measure(base / profile, profile, site, options.slow_rounds)
            path = "MDM, read back by query" if site == MDM_SITE else "FHIR, read back"
            bounds = PROFILES[profile].mdm if site == MDM_SITE else PROFILES[profile].write
            print(f"  {profile}-like, write {bounds[0]:g}-{bounds[1]:g} s, {path}:")
            print(f"    {figures.summary(total)}; {asked} requests to the EMR")
            print(f"    own share: {figures.summary(own)}")
        polled = _polled(base / "polling", "epic", options.slow_rounds)
        print("  contrast: polling every 2-5 s a bay, epic-like, document read back:")
        print(f"    {figures.summary(polled.total_ms)}; {polled.polls} polls for")
        print(f"    {len(polled.total_ms)} notes; {polled.emr_requests} requests to the EMR")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
