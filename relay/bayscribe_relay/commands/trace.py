"""``bayscribe-relay trace``: the tracer over recorded patient timelines."""

import argparse
import json
from pathlib import Path

from bayscribe_relay.tracer.case import read, replay
from bayscribe_relay.tracer.evaluate import Prompt


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("cases", type=Path, metavar="CASES.yaml", help="recorded timelines")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print every prompt with its minute."""
    results = [(str(case["id"]), replay(case)) for case in read(options.cases)]
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
        "text": prompt.text,
        "closed_minute": prompt.closed_minute,
        "closed_by": prompt.closed_by,
    }


def _print(prompt: Prompt) -> None:
    print(f"  minute {prompt.minute}: {prompt.text}")
    print(f"    rule {prompt.gap.id} ({prompt.gap.group}: {prompt.gap.title})")
    for line in prompt.because:
        print(f"    because {line}")
    for claim in prompt.gap.unverified:
        print(f"    to be confirmed by the site: {claim}")
    if prompt.closed_minute is not None:
        print(f"    closed at minute {prompt.closed_minute} ({prompt.closed_by})")
