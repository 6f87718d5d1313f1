"""``./run hil unboxed``: from a unit without a key to the first acknowledged segment, timed.

The guide's own commands in their order, each a process as a person would start it: a one-time
token, ``bayscribe commission`` through all thirteen steps with the sounds that each asks for, its
report verified, the daemon, ``bayscribe check``, the relay's list. The sounds are played in real
time into the recorded microphone. What a person adds is not in the times: walking, reading,
clapping late, holding a calibrator.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commission.bay_sounds import room
from commission.unboxed import SOUNDS, Unboxed
from enrol.provision_site import DEVICE
from free_ports import free_port
from hil.bay import BIN, sh

TARGET_S = 600.0
PATIENCE_S = 60.0
Verdicts = dict[str, dict[str, Any]]


class NotLiveError(Exception):
    """A step of the guide did not come out as it must."""


class UnboxedRun:
    """One unit on its way.

    Args:
        unit: out of its box.
        say: is told each step as it ends.
    """

    def __init__(self, unit: Unboxed, say: Callable[[str], None] = lambda _words: None) -> None:
        self.unit = unit
        self.verdicts: Verdicts = {}
        self.report: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}
        self._say = say
        self._last = time.monotonic()

    def site(self) -> int:
        """What the hospital has before the box is opened: a relay and its provisioning."""
        port = free_port()
        path = self.unit.site.configuration()
        path.write_text(path.read_text().replace("port = 0", f"port = {port}"))
        self.unit.start_relay()
        self.unit.service(
            "provision", str(BIN / "bayscribe-relay"), "provision", "--config", str(path)
        )
        self._last = time.monotonic()
        return port

    def to_live(self, provision_port: int) -> None:
        """All of the guide, to the first acknowledged segment.

        Raises:
            NotLiveError: a step failed.
        """
        order = self.token(provision_port)
        self._commission(order)
        verified = self.unit.bayscribe("commission", "--verify").communicate(timeout=PATIENCE_S)[0]
        if "the signature is good" not in verified:
            raise NotLiveError(f"commission --verify: {verified}")
        self._took("commission --verify", verified.strip())
        self.unit.start_daemon()
        self._took("run", "the daemon is ready")
        player = self.unit.play(room(2 * PATIENCE_S))
        try:
            self.report = self._until("check exits 0", self._check)
            said = f"exit status 0, {len(self.report['checks'])} checks, by the daemon"
            self._took("check", said)
            segments = self._until("an acknowledged segment", self._acknowledged)
            self._took("first segment", f"acknowledged by the relay; it holds {segments}")
        finally:
            self._silence([player])

    def _took(self, step: str, words: str) -> None:
        now = time.monotonic()
        self.seconds[step] = now - self._last
        self._last = now
        self._say(f"{self.seconds[step]:7.1f} s  {step:26} {words}")

    def token(self, port: int) -> Path:
        """The one-time order of enrolment, as the guide has it made."""
        path = self.unit.folder / "enrol.toml"
        relay = str(BIN / "bayscribe-relay")
        words = [relay, "pki", "token", DEVICE, "--dir", str(self.unit.site.keys)]
        words += ["--out", str(path), "--provision", f"https://localhost:{port}"]
        words += ["--relay", f"wss://localhost:{self.unit.relay_port}", "--site", "test"]
        sh(*words, "--array", "circle-4-32mm")
        self._took("pki token", "enrol.toml with a one-time token")
        return path

    def _commission(self, order: Path) -> None:
        script = self.unit.folder / "answers.json"
        answers = {
            "level": {"reference_db_spl": 94},
            "identity": {"order": str(order)},
            "report": {"operator": "R. Biomed", "asset": "4711"},
        }
        script.write_text(json.dumps({"steps": answers}))
        process = self.unit.bayscribe("commission", "--json", str(script))
        players: list[threading.Thread] = []
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "listening":
                for player in players:
                    player.join()
                players.append(self.unit.play(SOUNDS[event["step"]]()))
            elif event["event"] == "verdict":
                self.verdicts[event["step"]] = event
                self._took(f"commission {event['step']}", event["words"])
        process.stdout.close()
        status = process.wait(PATIENCE_S)
        self._silence(players)
        if status != 0:
            raise NotLiveError(f"commission: exit status {status}")

    def _silence(self, players: list[threading.Thread]) -> None:
        self.unit.ended.set()
        for player in players:
            player.join()
        self.unit.ended.clear()

    def _until(self, what: str, look: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is looked for
        end = time.monotonic() + PATIENCE_S
        while True:
            found, seen = look()
            if found:
                return seen
            if time.monotonic() > end:
                raise NotLiveError(f"{what} never came: {seen}")
            time.sleep(0.2)

    def _check(self) -> tuple[bool, Any]:
        command = [str(BIN / "bayscribe"), "check", "--json", "--config", str(self.unit.config)]
        environment = os.environ | self.unit.environment
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        report = json.loads(done.stdout)
        return done.returncode == 0 and report["source"] == "daemon", report

    def _acknowledged(self) -> tuple[bool, str]:
        """By both sides: the relay lists and verifies it, and the unit has its acknowledgement."""
        config = str(self.unit.folder / "relay" / "relay.toml")
        listed = json.loads(
            sh(str(BIN / "bayscribe-relay"), "streams", "--json", "--config", config)
        )
        segments = [
            segment
            for device in listed["devices"]
            if device["device"] == DEVICE and device["verified"]
            for encounter in device["encounters"]
            for segment in encounter["segment_list"]
        ]
        state = json.loads((self.unit.unit / "run" / "state.json").read_text())
        acknowledged = bool(segments) and state["acknowledged"] > 0
        return acknowledged, f"{len(segments)} of {DEVICE}"


def main() -> int:
    """Run it once; exit status 0 if the unit was live within ten minutes."""
    argparse.ArgumentParser(prog="./run hil unboxed", description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="bayscribe-unboxed-") as folder:
        unit = Unboxed(Path(folder))
        try:
            run = UnboxedRun(unit, lambda words: print(words, flush=True))
            run.to_live(run.site())
        except NotLiveError as error:
            print(f"NOT live: {error}")
            return 1
        finally:
            unit.close()
    total = sum(run.seconds.values())
    print(f"{total:7.1f} s  from the token to the first acknowledged segment, by script")
    print(f"{TARGET_S - total:7.1f} s  of ten minutes are left for what a person adds")
    return int(total > TARGET_S)


if __name__ == "__main__":
    sys.exit(main())
