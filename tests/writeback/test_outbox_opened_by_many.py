"""Several processes may open a fresh store at the same moment, as `serve` and `submit` do."""

import subprocess
import sys
from pathlib import Path

OPEN = """
import sys
from bayscribe_relay.writeback.outbox import Outbox
sys.stdin.read(1)
Outbox(sys.argv[1], "owner", 5.0).close()
"""


def test_processes_that_start_together_all_open_a_fresh_store(tmp_path: Path) -> None:
    for turn in range(3):
        url = f"sqlite:///{tmp_path / f'relay{turn}.db'}"
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", OPEN, url], stdin=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for _ in range(4)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b".")
            process.stdin.flush()
        for process in processes:
            _, said = process.communicate(timeout=180)
            assert process.returncode == 0, said.decode()
