"""Drafts of scripted encounters, judged by a reader that shares nothing with the product's check.

What lives here: ten invented encounters as data, a judge of composed drafts, alterations of what a
language model might propose, and the command that prints how each fares. What may not: the
product's own check as a judge of the composer.
"""

import random
from collections import Counter
from datetime import UTC

from bayscribe_relay.clinical.drafts import Draft
from bayscribe_relay.notes.check import Sources
from bayscribe_relay.notes.compose import compose
from bayscribe_relay.notes.kinds import NOTE_TYPES
from benchmarks.faithfulness.alterations import altered, honest
from benchmarks.faithfulness.judge import Verdict, judge
from benchmarks.faithfulness.scripts import NAMES, Script

SEED = 7


def drafted(script: Script, kind: str) -> tuple[Draft, Verdict]:
    """The composed draft of an encounter, and what the judge says of it."""
    draft = compose(script.stay, script.charted, script.spoken, kind=kind)
    return draft, judge(draft, script.charted, script.spoken)


def proposals(script: Script, draft: Draft) -> tuple[int, int, Counter[str], list[tuple[str, str]]]:
    """What the product's check makes of a model's sentences about an encounter.

    Returns:
        How many right sentences there were, how many of them passed; how many wrong ones by
        kind; and the wrong ones that passed, with their kind.
    """
    sources, rng = Sources(script.charted, script.spoken, UTC), random.Random(SEED)
    right = honest(draft)
    passed = sum(not sources.problem(one) for one in right)
    tried: Counter[str] = Counter()
    through = []
    for one in right:
        for kind, wrong in altered(one, draft, rng):
            tried[kind] += 1
            if not sources.problem(wrong):
                through.append((kind, wrong.text))
    return len(right), passed, tried, through


def main() -> int:
    """Print what was judged; 1 if a draft states what its sources do not."""
    wrong, tried, through = 0, Counter[str](), Counter[str]()
    right = accepted = 0
    for name in NAMES:
        script, total = Script(name), Verdict()
        for kind in NOTE_TYPES:
            _, verdict = drafted(script, kind)
            total.sentences += verdict.sentences
            total.links += verdict.links
            total.numbers += verdict.numbers
            total.mismatches += verdict.mismatches
        draft, _ = drafted(script, "emergency")
        count, passed, kinds, let = proposals(script, draft)
        right, accepted = right + count, accepted + passed
        tried.update(kinds)
        through.update(kind for kind, _ in let)
        wrong += len(total.mismatches)
        print(
            f"{name:14} {total.sentences:4} sentences {total.links:4} links "
            f"{total.numbers:5} numbers {len(total.mismatches):3} mismatches"
        )
    print(f"a model's right sentences accepted: {accepted} of {right}")
    for kind, count in sorted(tried.items()):
        print(f"  wrong by {kind + ':':34} {count - through[kind]:5} of {count:5} refused")
    return int(wrong > 0)
