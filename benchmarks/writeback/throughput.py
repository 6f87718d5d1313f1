"""``python -m benchmarks.writeback.throughput``: commits a second, and memory over time.

All notes are signed as fast as they can be, for an EMR that takes no time; the clock
runs from the first signature to the last note verified in the chart. Signer, relay,
gateway and EMR share the machine. Resident memory of relay and gateway is sampled every
second; *flat* compares the medians of the second and the last quarter of the samples.
"""

import argparse
import contextlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from benchmarks.writeback import figures, notes, postgres
from benchmarks.writeback.services import Service, cpu_s
from benchmarks.writeback.signing import Signer
from benchmarks.writeback.stage import Setting, Stage, stage
from benchmarks.writeback.verdict import judge, open_letters, read_letters

ENCOUNTERS = 400
"""More encounters than bays, so that no encounter's list grows beyond a real one's."""
_AHEAD = 2_000
"""Notes that the signer may be ahead of the chart: as many as a bad day would pile up."""


def measure(folder: Path, count: int, store_url: str | None) -> None:
    """Carry ``count`` notes and print the figures."""
    draw = random.Random(11)
    every = max(1_000, count // 20)
    encounters = max(ENCOUNTERS, count // 20)
    with stage(folder, Setting(encounters, {}, {"in_flight_max": 64}, store_url)) as running:
        signer = Signer(running.relay_config, folder / "signer.log")
        engine = sa.create_engine(running.store_url)
        before = _cpu(running, signer)
        start = sampled = time.monotonic()
        given = told = 0
        while True:
            waiting = open_letters(engine) + (given - len(signer.confirmed))
            for _ in range(min(200, _AHEAD - waiting, count - given)):
                signer.sign(notes.make(given, encounters, draw=draw))
                given += 1
            if given == count and waiting == 0:
                break
            if time.monotonic() - sampled >= 1.0:
                sampled = time.monotonic()
                rss = [service.sample() for service in (running.relay, running.gateway)]
                done = given - waiting
                if done >= told + every:
                    told = done
                    sizes = f"relay {rss[0]:.0f} MiB, gateway {rss[1]:.0f} MiB"
                    rate = done / (sampled - start)
                    print(f"    after {done} notes: {sizes}, {rate:.0f} commits/s", flush=True)
            time.sleep(0.05)
        took = time.monotonic() - start
        after = _cpu(running, signer)
        signer.finish()
        chart = running.emr.census()
        verdict = judge(list(signer.confirmed.values()), read_letters(engine), chart, set())
        engine.dispose()
        print(f"    {count} notes in {took:.1f} s: {count / took:.0f} commits/s, all read back")
        print(f"    {verdict.line()}")
        spent = {name: 1000 * (after[name] - before[name]) / count for name in after}
        parts = ", ".join(f"{name} {ms:.1f}" for name, ms in spent.items())
        whole = sum(spent.values())
        print(f"    CPU ms a note: {parts}; in all {whole:.1f}, of the product "
              f"{spent['relay'] + spent['gateway']:.1f}")  # fmt: skip
        print(f"    two idle CPUs would be full at {2000 / whole:.0f} commits/s")
        for service in (running.relay, running.gateway):
            print(f"    memory of the {service.name}: {_memory(service)}")


def _cpu(running: Stage, signer: Signer) -> dict[str, float]:
    """Processor seconds so far of everything that has a part in a commit."""
    return {
        "relay": running.relay.cpu_s(),
        "gateway": running.gateway.cpu_s(),
        "signer": cpu_s(signer.pid),
        "EMR": cpu_s(running.emr.pid),
        "load generator": sum(os.times()[:2]),
        "PostgreSQL": postgres.cpu_s(),
    }


def _memory(service: Service) -> str:
    samples = service.rss_mib
    if len(samples) < 8:
        return f"{max(samples, default=0.0):.0f} MiB at most (too short for a trend)"
    quarter = len(samples) // 4
    early = statistics.median(samples[quarter : 2 * quarter])
    late = statistics.median(samples[-quarter:])
    return f"{early:.0f} MiB in the second quarter, {late:.0f} MiB in the last"


def main(arguments: Sequence[str] = ()) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="throughput", description=__doc__)
    parser.add_argument("--notes", type=int, default=2_000)
    parser.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="both")
    options = parser.parse_args(arguments)
    print(f"sustained commits; {figures.machine()}")
    for store in ("sqlite", "postgresql"):
        if options.store not in (store, "both"):
            continue
        if store == "postgresql" and not postgres.available():
            print("  PostgreSQL: not installed here, not measured")
            continue
        server = postgres.running() if store == "postgresql" else contextlib.nullcontext(None)
        with tempfile.TemporaryDirectory(prefix="bayscribe-commits-") as folder, server as url:
            print(f"  {store} (write-ahead log flushed at each transaction):")
            measure(Path(folder), options.notes, url)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
