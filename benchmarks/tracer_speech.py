"""How well and how fast the tracer understands what was said.

Two sets of utterances labelled by hand in tests/tracer: the one that the phrases were mended
on, and one that was labelled first, run once and never used to mend anything. Text is typed,
with punctuation, by one person who knows the catalogue; a recogniser's errors come on top.
Precision and recall are over concepts heard as affirmed; "turned" are those that were negated,
past, asked, conditional or somebody else's.
"""

import sys
import time
from pathlib import Path


def main() -> int:
    """Print the figures."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from tracer.labelled import HELD_OUT, LABELLED, judge

    for name, labels in (("mended on", LABELLED), ("held out", HELD_OUT)):
        begun = time.process_time()
        found = judge(labels)
        each = (time.process_time() - begun) / len(labels)
        print(
            f"{name}: {len(labels)} utterances, precision {found.precision:.3f},"
            f" recall {found.recall:.3f}, turned {found.turned_right}/{found.turned},"
            f" {each * 1e3:.1f} ms an utterance"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
