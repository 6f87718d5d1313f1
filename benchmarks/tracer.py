"""How fast one core judges events, and what open encounters cost in memory.

Protocol: a septic adult's stay as a busy ED charts it (vitals every 5 minutes, monitored
pressure and rate in between, laboratory results in bursts, orders, administrations, fluids,
attributed utterances, 2 % corrections), of 300 events with random values. Events arrive one
by one in order of receipt, interleaved over all open encounters; after each the encounter is
moved to that minute, so each event is judged by itself. All gaps of the catalogue are on.
Memory is the growth of the process's resident size from before the first encounter to all of
them open with their whole timeline, compiled catalogue included.

``--timelines N`` instead compares N random timelines (out-of-order arrival, corrections,
cancellations, other units) with the slow second evaluator in tests/tracer.
"""

import argparse
import gc
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bayscribe_relay.tracer.case import replay
from bayscribe_relay.tracer.catalogue import load
from bayscribe_relay.tracer.network import Network
from bayscribe_relay.tracer.timeline import Event, Mention, Utterance
from bayscribe_relay.tracer.tracer import Closed, Fired, Tracer

EVENTS = 300
ENCOUNTERS = 500

_MEASURED = (
    # concept, low, high, one in how many
    ("vital.hr", 55, 130, 6),
    ("vital.sbp", 78, 160, 6),
    ("vital.dbp", 45, 95, 6),
    ("vital.map", 55, 110, 6),
    ("vital.rr", 12, 28, 4),
    ("vital.spo2", 86, 100, 6),
    ("vital.temp_c", 36.0, 39.4, 3),
    ("vital.gcs", 13, 15, 1),
    ("lab.lactate", 0.8, 5.5, 1),
    ("lab.creatinine", 0.7, 2.6, 1),
    ("lab.wbc", 3.5, 18, 1),
    ("lab.platelets", 80, 300, 1),
    ("lab.glucose", 70, 350, 1),
    ("lab.potassium", 3.0, 5.5, 1),
    ("lab.hgb", 7, 15, 1),
    ("vital.weight_kg", 50, 110, 1),
)
_ACTS = (
    ("order", "order.blood_culture"),
    ("order", "order.lactate"),
    ("collected", "lab.blood_culture"),
    ("med_order", "med.iv_antibiotic"),
    ("med_given", "med.iv_antibiotic"),
    ("med_order", "med.crystalloid_bolus"),
    ("med_given", "med.crystalloid_bolus"),
    ("med_given", "med.vasopressor"),
    ("order", "order.admit"),
)
_SAID = ("suspected_infection", "sepsis", "sirs_criteria", "septic_shock", "aki_other_cause")


def stay(seed: int) -> list[Event | Utterance]:
    """The events and utterances of one encounter, in order of receipt."""
    draw = random.Random(seed)
    weights = [share for *_, share in _MEASURED]
    found: list[Event | Utterance] = []
    for i in range(EVENTS):
        t = i * 360 // EVENTS
        received = t + (draw.randint(1, 20) if draw.random() < 0.1 else 0)
        if draw.random() < 0.9:
            concept, low, high, _ = draw.choices(_MEASURED, weights)[0]
            replaces = f"e{draw.randrange(i)}" if i and draw.random() < 0.02 else None
            found.append(
                Event(
                    kind="obs",
                    concept=concept,
                    t=t,
                    received=received,
                    value=round(draw.uniform(low, high), 1),
                    id=f"e{i}",
                    replaces=replaces,
                )
            )
        elif draw.random() < 0.7:
            kind, concept = draw.choice(_ACTS)
            volume = 500.0 if "bolus" in concept else 0.0
            found.append(
                Event(
                    kind=kind,
                    concept=concept,
                    t=t,
                    received=received,
                    id=f"e{i}",
                    volume_ml=volume,
                    end=t + 30 if kind == "med_given" and volume else None,
                )
            )
        else:
            said = Mention(
                t=t,
                received=t,
                speaker=draw.choice(("attending", "nurse")),
                text="as spoken",
                concept=draw.choice(_SAID),
            )
            found.append(Utterance(t=t, received=t, mentions=(said,), id=f"u{i}"))
    return sorted(found, key=lambda item: item.received)


def _rounds(stays: list[list[Event | Utterance]]) -> Iterator[tuple[int, Event | Utterance]]:
    for k in range(EVENTS):
        for i, items in enumerate(stays):
            yield i, items[k]


def throughput() -> None:
    """Events a second on one core, each judged by itself."""
    network = Network(load())
    stays = [stay(seed) for seed in range(60)]
    tracers = [Tracer(network, {"age_years": 67, "sex": "F"}, start=600) for _ in stays]
    decisions: list[Fired | Closed] = []
    slowest = 0.0
    begun = time.process_time()
    for i, item in _rounds(stays):
        at = time.perf_counter()
        tracer = tracers[i]
        if isinstance(item, Event):
            tracer.add(item)
        else:
            tracer.add_utterance(item)
        decisions += tracer.advance(max(tracer.minute, item.received))
        slowest = max(slowest, time.perf_counter() - at)
    spent = time.process_time() - begun
    count = len(stays) * EVENTS
    fired = sum(isinstance(d, Fired) for d in decisions)
    print(f"events judged: {count} in {spent:.2f} s of one core: {count / spent:,.0f} a second")
    print(f"prompts {fired}, closed {len(decisions) - fired}; slowest event {slowest * 1e3:.1f} ms")


def memory() -> None:
    """Resident size of open encounters."""
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    network = Network(load())
    tracers = []
    for seed in range(ENCOUNTERS):
        tracer = Tracer(network, {"age_years": 67, "sex": "F"}, start=600)
        for item in stay(seed):
            if isinstance(item, Event):
                tracer.add(item)
            else:
                tracer.add_utterance(item)
            tracer.advance(max(tracer.minute, item.received))
        tracers.append(tracer)
    gc.collect()
    grown = (process.memory_info().rss - before) / 2**20
    print(f"{len(tracers)} open encounters of {EVENTS} events each: {grown:.0f} MiB resident")


def differences(count: int) -> int:
    """Random timelines on which the product and the second evaluator disagree."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from tracer.oracle import evaluate
    from tracer.timelines import random_case

    differing, prompts = [], 0
    for seed in range(count):
        case = random_case(seed)
        expected = evaluate(case)
        prompts += len(expected)
        found = [(p.gap.id, p.minute, p.closed_minute, p.closed_by) for p in replay(case)]
        if found != expected:
            differing.append(seed)
            print(f"timeline {seed}: {set(found) ^ set(expected)}", flush=True)
    print(f"{count} random timelines, {prompts} prompts: {len(differing)} differences")
    return int(bool(differing))


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--timelines", type=int, metavar="N", help="compare N random timelines")
    options = parser.parse_args(arguments)
    if options.timelines:
        return differences(options.timelines)
    memory()
    throughput()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
