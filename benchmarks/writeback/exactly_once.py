"""``python -m benchmarks.writeback.exactly_once``: every signed note in the chart exactly once.

Notes of many encounters are signed while the EMR fails in every way that it knows, while
relay, gateway and signer are killed at random, and while other authors write to the same
lists. At the end each note must be in the chart exactly once, whole and with an equal
hash, or be a dead letter of which somebody was told. The chart is counted from the EMR's
own store. Exit status 1 if one promise was broken.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from benchmarks.writeback import figures, notes, postgres, smart
from benchmarks.writeback.chaos import Killer, OtherAuthors
from benchmarks.writeback.signing import Signer
from benchmarks.writeback.stage import MDM_SITE, Setting, Stage, stage
from benchmarks.writeback.verdict import Letter, Verdict, judge, open_letters, read_letters
from emr.census import Census, requests

# One 429 or 503 rightly holds up every note of its EMR for Retry-After seconds; they come
# in storms (below), and alone only as often as leaves most of the time for writing.
FAULT_MIX: Final = {
    "too-many": 0.004,
    "too-many-date": 0.002,
    "unavailable": 0.003,
    "precondition": 0.02,
    "conflict": 0.02,
    "server-error": 0.03,
    "unauthorized": 0.01,
    "hang": 0.01,
    "reset": 0.02,
    "entry-429": 0.01,
    "stored-but-lost": 0.02,
    "partial": 0.01,
    "altered": 0.01,
    "answer-lost": 0.02,
    "reset-after-commit": 0.03,
    "error-after-commit": 0.02,
    "slow-drip": 0.01,
    "malformed": 0.02,
}
MDM_FAULT_MIX: Final = {
    "ae": 0.03,
    "ar": 0.01,
    "no-ack": 0.02,
    "late-ack": 0.02,
    "wrong-control-id": 0.02,
    "two-frames": 0.02,
    "fragmented": 0.03,
    "reset-after-commit": 0.03,
    "answer-lost": 0.02,
    "stored-but-lost": 0.02,
    "malformed": 0.02,
}
DOOMED_SHARE: Final = 0.02
"""Of the notes, those that the EMR never takes: they must end as alerted dead letters."""


CHOICES: Final = {
    "store": ("sqlite", "postgresql"),
    "ids": ("own", "emr"),
    "if_match": ("honoured", "ignored"),
    "auth": ("none", "smart"),
}


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        notes: how many are signed.
        encounters: how many there are; notes go round them.
        kills: how many programs are killed.
        rate: notes signed a second.
        mdm_share: of the notes, those for the site that has HL7 v2 only.
        ack_timeout_s: of the gateway; ten seconds at a real site.
        settle_s: longest wait for the last letter after the last signature.
        seed: of everything that is left to chance.
        store: of the relay, ``sqlite`` or ``postgresql``.
        ids: ``own`` lets the EMR take our resource ids, ``emr`` makes it choose its own.
        if_match: whether the EMR honours ``If-Match``.
        auth: of the FHIR site, ``none`` or ``smart`` (Backend Services).
    """

    notes: int = 60
    encounters: int = 40
    kills: int = 4
    rate: float = 6.0
    mdm_share: float = 0.25
    ack_timeout_s: float = 2.0
    settle_s: float = 180.0
    seed: int = 1
    store: str = "sqlite"
    ids: str = "own"
    if_match: str = "honoured"
    auth: str = "none"


@dataclass
class Outcome:
    """What a run came to."""

    verdict: Verdict
    letters: dict[str, Letter]
    chart: Census
    injected: dict[str, int]
    kills: dict[str, int]
    requests: int
    others_added: int
    seconds: float


def run(plan: Plan, folder: Path) -> Outcome:
    """Carry out a plan; logs and databases are left in the folder."""
    if plan.store == "postgresql":
        with postgres.running() as url:
            return _run(plan, folder, url)
    return _run(plan, folder, None)


def _run(plan: Plan, folder: Path, store_url: str | None) -> Outcome:
    draw, started = random.Random(plan.seed), time.monotonic()
    emr: dict[str, Any] = {
        "seed": plan.seed,
        "fault_mix": FAULT_MIX,
        "mdm_fault_mix": MDM_FAULT_MIX,
        "late_s": plan.ack_timeout_s * 1.5,
        "hang_s": plan.ack_timeout_s * 3,
        "storm_every_s": 20.0,
        "storm_s": 1.5,
        "clock_skew_s": 45.0,
        "update_create": plan.ids == "own",
        "conditional_create": True,
        "honours_if_match": plan.if_match == "honoured",
    }
    site: dict[str, str | float] = {"ack_timeout_s": plan.ack_timeout_s}
    if plan.auth == "smart":
        emr |= {"auth": "smart", "smart_jwks": smart.key_set(folder)}
        site |= smart.SITE
    setting = Setting(plan.encounters, emr, site, store_url)
    with stage(folder, setting) as running:
        signed = [_note(place, plan, draw) for place in range(plan.notes)]
        _doom(running, signed, draw)
        signer = Signer(running.relay_config, folder / "signer.log")
        victims = [
            running.relay.kill_and_restart,
            running.gateway.kill_and_restart,
            signer.kill_and_restart,
        ]
        over_s = plan.notes / plan.rate
        with (
            Killer(victims, plan.kills, over_s, draw),
            OtherAuthors(running.emr, plan.encounters, max(0.2, over_s / 200), draw) as others,
        ):
            for note in signed:
                signer.sign(note)
                time.sleep(draw.expovariate(plan.rate))
        signer.finish()
        engine = sa.create_engine(running.store_url)
        _settle(engine, plan.settle_s)
        chart, letters = running.emr.census(), read_letters(engine)
        engine.dispose()
        verdict = judge(list(signer.confirmed.values()), letters, chart, running.alerts.keys())
        # An EMR that ignores If-Match protects nobody's entries, whoever writes.
        if plan.if_match == "honoured" and chart.foreign_entries < others.added:
            verdict.faults["another author's entry overwritten"] += (
                others.added - chart.foreign_entries
            )
        kills = {s.name: s.kills for s in (running.relay, running.gateway)}
        return Outcome(
            verdict, letters, chart, running.emr.faults(), kills | {"signer": signer.kills},
            len(requests(running.emr.store)), others.added, time.monotonic() - started,
        )  # fmt: skip


def _note(place: int, plan: Plan, draw: random.Random) -> notes.SignedNote:
    note = notes.make(place, plan.encounters, draw=draw)
    if draw.random() >= plan.mdm_share:
        return note
    body = json.loads(note.body) | {"site": MDM_SITE}
    return notes.SignedNote(note.key, note.sha256, note.encounter, json.dumps(body).encode())


def _doom(running: Stage, signed: list[notes.SignedNote], draw: random.Random) -> None:
    """Let the EMR never take some of the notes of the FHIR site: it fails, or it is silent."""
    able = [note for note in signed if json.loads(note.body)["site"] != MDM_SITE]
    doomed = draw.sample(able, max(1, int(len(able) * DOOMED_SHARE)))
    running.emr.script(
        *(
            {"fault": fault, "operation": "transaction", "key": note.key, "times": 1_000_000}
            for note, fault in zip(doomed, cycle(("hang", "server-error")), strict=False)
        )
    )


def _settle(engine: sa.Engine, within_s: float) -> None:
    end = time.monotonic() + within_s
    while open_letters(engine) and time.monotonic() < end:
        time.sleep(0.25)


def report(plan: Plan, outcome: Outcome) -> None:
    """Print the figures with their protocol."""
    seconds = [letter.seconds for letter in outcome.letters.values() if letter.seconds]
    print(f"exactly once: {plan.notes} notes, {plan.encounters} encounters, seed {plan.seed}")
    print(f"  on {figures.machine()}; relay's store {plan.store}")
    print(f"  EMR: ids {plan.ids}, If-Match {plan.if_match}, auth {plan.auth}")
    print(
        f"  {plan.rate:g} signatures/s, {plan.mdm_share:.0%} of them to an HL7 v2 site, "
        f"ack time-out {plan.ack_timeout_s:g} s; took {outcome.seconds:.0f} s"
    )
    total = sum(outcome.injected.values())
    print(f"  faults injected: {total} in {outcome.requests} requests to the EMR")
    for fault, number in sorted(Counter(outcome.injected).items()):
        print(f"    {fault:20s} {number}")
    print("  kill -9: " + ", ".join(f"{name} {n}" for name, n in outcome.kills.items()))
    print(
        f"  entries of other authors added to the lists: {outcome.others_added}, "
        f"still there: {outcome.chart.foreign_entries}"
    )
    print(f"  signed to settled, faults included: {figures.summary(seconds, 's')}")
    print(f"  {outcome.verdict.line()}")
    for example in outcome.verdict.examples:
        print(f"    {example}")


def main(arguments: Sequence[str] = ()) -> int:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(prog="exactly_once", description=__doc__)
    for name, value in Plan.__dataclass_fields__.items():
        option = f"--{name.replace('_', '-')}"
        kind = type(value.default)
        parser.add_argument(option, type=kind, default=value.default, choices=CHOICES.get(name))
    parser.add_argument("--keep", type=Path, help="folder that keeps logs and databases")
    options = vars(parser.parse_args(arguments))
    keep: Path | None = options.pop("keep")
    folder = keep or Path(tempfile.mkdtemp(prefix="bayscribe-exactly-once-"))
    plan = Plan(**options)
    outcome = run(plan, folder)
    report(plan, outcome)
    if keep is None and not outcome.verdict.faults:
        shutil.rmtree(folder)
    elif outcome.verdict.faults:
        print(f"  logs and databases: {folder}")
    return 1 if outcome.verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
