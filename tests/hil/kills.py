"""Kill -9 of the appliance, the relay, or both, at random instants while audio streams.

After each kill everything is started again; at the end the stream at the relay must
verify from its first record to its last, hold everything that was ever acknowledged, and
the unit's buffer must drain to nothing.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hil.bay import BIN, EXCERPT, PCM, VOICE, Bay, BayError, profile_for

LONGEST_S = 7.0
DRAIN_S = 60.0


def run_kills(victims: Sequence[str], times: int, seed: int, folder: Path) -> str:
    """Kill the victims together so many times; a line that says what came of it.

    Raises:
        BayError: something acknowledged was lost, or does not verify.
    """
    chance = random.Random(seed)
    bay = Bay(folder, profile_for(EXCERPT), VOICE)
    starters = {"relay": bay.start_relay, "appliance": bay.start_unit}
    acknowledged = 0
    try:
        for start in starters.values():
            start()
        for _ in range(times):
            player = _player(bay)
            time.sleep(chance.uniform(0.1, LONGEST_S))
            acknowledged = max(acknowledged, int(bay.state()["acknowledged"]))
            for name in victims:
                bay.services[name].process.kill()
            player.kill()
            player.wait()
            for name in victims:
                bay.services[name].stop()
            for name in victims:
                starters[name]()
        return _settle(bay, acknowledged, victims, times)
    finally:
        bay.stop()


def _player(bay: Bay) -> subprocess.Popen[bytes]:
    command = [str(BIN / "bayscribe"), "replay", str(EXCERPT)]
    command += ["--array", str(bay.profile), "--pcm", PCM]
    return subprocess.Popen(
        command,
        env=bay.environment | {"PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _settle(bay: Bay, acknowledged: int, victims: Sequence[str], times: int) -> str:
    bay.services["appliance"].stop()
    bay.start_unit()
    end = time.monotonic() + DRAIN_S
    while bay.state()["pending"] and time.monotonic() < end:
        time.sleep(0.2)
    bay.services["appliance"].stop()
    device, state = bay.closed_device(), bay.state()
    if not device["verified"] or device["refusals"]:
        raise BayError(f"the stream does not verify: {device['problems']} {device['refusals']}")
    if device["seq"] < acknowledged or state["pending"] or device["seq"] != state["records"]:
        raise BayError(
            f"relay holds {device['seq']} records, the unit wrote {state['records']}, "
            f"{acknowledged} were acknowledged and {state['pending']} are still pending"
        )
    recovered = sum(e["closed_reason"] == "recovered" for e in device["encounters"])
    return (
        f"{'+'.join(victims)}: {times} kills, {device['records']} records, each once, "
        f"{recovered} encounters recovered, chain verified"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Kill appliance, relay and both; exit status 0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="kills of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        for victims in (["appliance"], ["relay"], ["appliance", "relay"]):
            try:
                where = Path(folder) / "-".join(victims)
                print(run_kills(victims, options.times, options.seed, where), flush=True)
            except BayError as error:
                print(f"kills of {'+'.join(victims)}: {error}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
