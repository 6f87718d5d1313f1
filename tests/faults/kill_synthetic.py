"""Kills of the synthetic unit, the relay, and both; what the ledger claims is looked up.

``python -m faults.kill_synthetic --times 50`` is the long run of ``./run hil``.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bayscribe_relay.store.store import Store
from faults.kill_harness import Plan, Victim, run_plan, stored, verify_store
from faults.rig import Site, uplink_config
from free_ports import free_port

KINDS: tuple[tuple[str, ...], ...] = (("unit",), ("relay",), ("unit", "relay"))


class Bench:
    """A site, a relay and a unit as processes, and the unit's ledger."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder / "site")
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.done = folder / "done"
        port = free_port()
        self.relay_config = self.site.relay_file(port)
        self.url = f"sqlite:///{self.site.folder / 'relay.db'}"
        device = self.site.enrol("bay-1")
        sealing = folder / "seal.pub"
        sealing.write_text(self.site.opening.sealing_key().to_text())
        table = msgspec.json.encode(uplink_config(self.site, device, port)).decode()
        relay = [sys.executable, "-m", "bayscribe_relay.cli", "serve"]
        relay += ["--config", str(self.relay_config)]
        unit = [sys.executable, "-m", "faults.synthetic_unit", "--name", device.name]
        unit += ["--vault", str(folder / "vault"), "--ledger", str(self.ledger)]
        unit += ["--uplink", table, "--sealing", str(sealing), "--until", str(self.done)]
        self.relay = Victim("relay", relay, folder / "relay.log")
        self.unit = Victim("unit", unit, folder / "unit.log")
        self.victims = [self.unit, self.relay]

    def check_acknowledged(self) -> None:
        """What the relay has acknowledged, it has. The ledger is read first."""
        claimed = max(self._claims("acknowledged"), default=0)
        store = Store(self.url)
        try:
            mark = store.mark("bay-1")
        finally:
            store.close()
        held = mark.seq if mark is not None else 0
        assert claimed <= held, f"acknowledged through {claimed}, stored through {held}"

    def finish(self) -> int:
        """Let everything drain, then look up every claim; how many records there are."""
        self.done.touch()
        assert self.unit.wait(120) == 0, self.unit.last_words()
        self.relay.stop()
        records = verify_store(self.relay_config)["bay-1"]
        store = Store(self.url)
        try:
            chains = {r.seq: r.chain.hex() for r in store.read_records("bay-1")}
            assert not store.refusals(), store.refusals()
        finally:
            store.close()
        for line in self.ledger.read_text().splitlines():
            what, seq, *rest = line.split()
            if what == "appended":
                assert chains[int(seq)] == rest[0], f"record {seq} is not the one appended"
        return records

    def _claims(self, what: str) -> list[int]:
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        return [int(line[1]) for line in lines if line[0] == what]


def run(folder: Path, kinds: Sequence[tuple[str, ...]], times: int, seed: int) -> int:
    """Kill each kind so often; how many records streamed through it all."""
    bench, chance = Bench(folder), random.Random(seed)
    bench.relay.start()
    bench.unit.start()
    try:
        for kill in kinds:
            plan = Plan(kill, times)
            run_plan(
                plan, bench.victims, lambda: stored(bench.url), bench.check_acknowledged, chance
            )
        return bench.finish()
    finally:
        bench.unit.kill()
        bench.relay.kill()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        records = run(Path(folder), KINDS, options.times, options.seed)
    took = time.monotonic() - began
    print(  # noqa: T201 - the result
        f"kills: unit {options.times}, relay {options.times}, both {options.times} "
        f"(seed {options.seed}, {took:.0f} s): {records} records, none acknowledged lost, "
        "none twice, chain verified"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
