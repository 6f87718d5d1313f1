"""``python -m benchmarks.faithfulness``."""

import sys

from benchmarks.faithfulness import main

if __name__ == "__main__":
    sys.exit(main())
