"""``bayscribe-relay trace``: the tracer over recorded patient timelines."""

import argparse
import json
import sys
from pathlib import Path

from bayscribe_relay.tracer.case import Prompt, prompts_of, read, tracer_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("cases", type=Path, metavar="CASES.yaml", help="recorded timelines")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print every prompt with its minute."""
    results: list[tuple[str, list[Prompt]]] = []
    for case in read(options.cases):
        tracer = tracer_of(case)
        prompts = prompts_of(tracer.advance(int(case["horizon_min"])))
        results.append((str(case["id"]), prompts))
        for reason, count in tracer.refused.items():
            print(f"{case['id']}: left out {count} x {reason}", file=sys.stderr)
    if options.json:
        shown = [{"id": name, "prompts": [_as_json(p) for p in ps]} for name, ps in results]
        print(json.dumps({"cases": shown}))
        return 0
    for name, prompts in results:
        print(name)
        for prompt in prompts:
            _print(prompt)
    return 0


def _as_json(prompt: Prompt) -> dict[str, object]:
    return {
        "id": prompt.gap.id,
        "minute": prompt.minute,
        "text": prompt.fired.text,
        "closed_minute": prompt.closed_minute,
        "closed_by": prompt.closed_by,
    }


def _print(prompt: Prompt) -> None:
    print(f"  minute {prompt.minute}: {prompt.fired.text}")
    print(f"    gap {prompt.gap.id} ({prompt.gap.group}: {prompt.gap.title})")
    print(f"    rule {prompt.fired.rule}")
    for reason in prompt.fired.because:
        print(f"    because {reason.text}")
    for claim in prompt.gap.unverified:
        print(f"    to be confirmed by the site: {claim}")
    if prompt.closed is not None:
        print(f"    closed at minute {prompt.closed.minute} ({prompt.closed.by})")
        for reason in prompt.closed.because:
            print(f"      because {reason.text}")
