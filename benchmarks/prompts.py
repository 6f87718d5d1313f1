"""From an event in the record to the prompt on the page.

``python -m benchmarks.prompts [--stays N]``

The whole relay runs as a process of its own. For each of N patients (all open at the end) an
admission and the orders of a sepsis work-up go in over MLLP, then a temperature and a heart
rate that make SIRS which nobody spoke of. Timed is from the first byte of that second message
to the moment when the prompt is read from the database as shown, which is when the page sends
it to its browsers; the site of this run leaves no minutes for it to be said unasked.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bayscribe_relay.clinical.store import Changes, ClinicalStore

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

from emr_feed.hl7_sender import Sender, verdict  # noqa: E402 - the tests' folder comes first
from emr_feed.hospital import pv1  # noqa: E402 - likewise
from free_ports import free_port  # noqa: E402 - likewise
from hil.bay import SCENES, Bay  # noqa: E402 - likewise

PARTS: Final = """
[feed]
site = "demo"

[feed.mllp]
port = {mllp}

[tracer.grace_min]
sep1_sirs_interpretation = 0

[prompts]
bay = "off"
apart_s = 0.0
"""
GOAL_S: Final = 0.5
PATIENCE_S: Final = 10.0
BETWEEN_S: Final = 0.25


def main(arguments: Sequence[str] = ()) -> int:
    """Print the figures.

    Raises:
        TimeoutError: a prompt did not come.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prompts")
    parser.add_argument("--stays", type=int, default=200)
    stays: int = parser.parse_args(arguments).stays
    with tempfile.TemporaryDirectory() as made:
        mllp = free_port()
        scenes = SCENES / "sepsis-4mic-70db"
        bay = Bay(Path(made), SCENES / "circle-4-32mm.toml", scenes / "enrol_clinician.flac")
        relay = bay.relay / "relay.toml"
        relay.write_text(relay.read_text() + PARTS.format(mllp=mllp))
        bay.start_relay()
        store = ClinicalStore(f"sqlite:///{bay.relay / 'relay.db'}")
        try:
            waits = asyncio.run(_measure(store, mllp, stays))
        finally:
            store.close()
            bay.stop()
    cuts = statistics.quantiles(waits, n=100)
    print(
        f"event to prompt, {stays} open stays: p50 {cuts[49] * 1e3:.0f} ms, "
        f"p95 {cuts[94] * 1e3:.0f} ms, most {max(waits) * 1e3:.0f} ms "
        f"({cuts[94] / GOAL_S:.2f} of the goal of {GOAL_S * 1e3:.0f} ms); "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return 0


async def _measure(store: ClinicalStore, mllp: int, stays: int) -> list[float]:
    waits = []
    async with Sender.connected(mllp) as sender:
        for number in range(stays):
            await _send(sender, number, "ADT^A04", f"EVN||{_stamp(53)}", _visit(number))
            for code in ("600-7^Blood culture", "2524-7^Lactate"):
                placer = f"{code[0]}-{number}"
                order = f"ORC|NW|{placer}|{placer}||||||{_stamp(38)}"
                test = f"OBR|1|{placer}|{placer}|{code}^LN"
                await _send(sender, number, "ORM^O01", _visit(number), order, test)
            await asyncio.sleep(BETWEEN_S)
            changes, begun = Changes(store), time.monotonic()
            vitals = (
                f"OBR|1||VS{number}|VS^Vitals^L|||{_stamp(40)}",
                f"OBX|1|NM|8310-5^Temp^LN||38.4|Cel|||||F|||{_stamp(40)}",
                f"OBX|2|NM|8867-4^HR^LN||112|/min|||||F|||{_stamp(40)}",
            )
            await _send(sender, number, "ORU^R01", _visit(number), *vitals)
            if not await asyncio.to_thread(_shown, store, changes, begun + PATIENCE_S):
                raise TimeoutError(f"no prompt for stay {number} in {PATIENCE_S:.0f} s")
            waits.append(time.monotonic() - begun)
    return waits


async def _send(sender: Sender, number: int, kind: str, *segments: str) -> None:
    control = uuid.uuid4().hex[:20]
    head = f"MSH|^~\\&|EMR|GH|||{_stamp(0)}||{kind}|{control}|P|2.5.1"
    who = f"PID|1||M{number}^^^GH^MR||Doe^Jane||19560401|F"
    lines = [head, segments[0], who, *segments[1:]] if kind[:3] == "ADT" else [head, who, *segments]
    answer = verdict(await sender.exchange("\r".join(lines) + "\r"))
    assert answer == ("AA", control), answer


def _visit(number: int) -> str:
    return pv1(f"ED^{number}^A", visit=f"V{number}", arrived=_stamp(53))


def _stamp(minutes_ago: int) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes_ago)).strftime("%Y%m%d%H%M%S") + "+0000"


def _shown(store: ClinicalStore, changes: Changes, until: float) -> bool:
    """Whether the next prompt about SIRS is shown in time."""
    while time.monotonic() < until:
        for change in changes.take():
            if change.what == "prompt" and change.stay:
                cards = store.prompts(change.stay)
                if any("sirs" in card.gap and card.state == "shown" for card in cards):
                    return True
        time.sleep(0.002)
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
