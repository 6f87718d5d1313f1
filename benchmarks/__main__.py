"""``./run bench [NAME ...]``: run benchmarks by name; all of them without one."""

import argparse
import importlib
import sys

BENCHMARKS = {
    "appliance": "CPU, memory and latency of the whole appliance pipeline on a recording",
    "attribution": "whose speech is whose: ceiling, shelf, one microphone, video visit",
    "buffer": "durable appends, recovery time and write volume of the buffer",
    "faithfulness": "what drafts of ten scripted encounters state, against their sources",
    "feed": "HL7 messages a second with durable acknowledgement, and what kill -9 loses",
    "feed_fuzz": "1,000,000 broken HL7 messages and 100,000 notifications: about two hours",
    "fleet": "500 units on one broker: how far the fleet page lags the truth",
    "health": "a day of clean audio through the channel checks: how many fail",
    "hearing": "diarization, attribution, direction and sound at 55 to 70 dB, beside others",
    "ingest": "records and connections a second that a relay takes in durably",
    "prompt_quiet": "how often a prompt would begin while somebody speaks, on the scenes",
    "transcript": "word errors, cost and latency of the transcript on the committed scenes",
    "prompts": "from an event in the record to the prompt on the page",
    "tracer": "events a second that the tracer judges, and memory of open encounters",
    "tracer_speech": "precision and recall of what the tracer hears in labelled utterances",
    "writeback.latency": "signed to verified in the chart, against polling",
    "writeback.throughput": "notes a second into the chart, and memory, on SQLite and PostgreSQL",
    "writeback.fuzz": "coverage-guided fuzzing of all that comes from outside, 3 min a target",
}


def main() -> int:
    """Run what was asked for; exit status 1 if a benchmark failed."""
    lines = [f"  {name:20} {summary}" for name, summary in BENCHMARKS.items()]
    parser = argparse.ArgumentParser(
        prog="./run bench",
        description="Print the figures of the README.",
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*BENCHMARKS, []])
    names = parser.parse_args().names or list(BENCHMARKS)
    del sys.argv[1:]  # each has options of its own; here it runs as without
    failed = False
    for name in names:
        print(f"== {name}: {BENCHMARKS[name]}", flush=True)
        failed |= importlib.import_module(f"benchmarks.{name}").main() != 0
        print(flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
