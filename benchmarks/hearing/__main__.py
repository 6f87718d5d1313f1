"""``python -m benchmarks.hearing``."""

import sys

from benchmarks.hearing.run import main

if __name__ == "__main__":
    sys.exit(main())
