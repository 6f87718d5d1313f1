"""The README's demonstration: a recorded 70 dB bay to the relay, and a signed note to the chart.

Makes development certificates and configurations, starts the relay and the appliance as
the services they are, plays a recording of this repository into the ALSA PCM that the
appliance captures from, waits until the relay has acknowledged the closing record, and
prints what arrived: turns, segments, hashes checked, overruns, CPU and memory. Then it
starts the gateway against the fault-injecting EMR and signs one note into its chart.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hil.bay import PCM, REPOSITORY, SCENES, Bay, BayError, profile_for
from hil.chart import Chart


def demonstrate(scene: Path, out: Path) -> None:
    """Run it all.

    Raises:
        BayError: something did not arrive or did not verify.
    """
    recording = scene / "mics.flac"
    step("certificates, keys and configurations")
    shutil.rmtree(out, ignore_errors=True)
    bay = Bay(out, profile_for(recording), scene / "enrol_clinician.flac")
    print(f"   relay configuration   {bay.relay / 'relay.toml'}")
    print(f"   unit configuration    {bay.unit / 'bayscribe.toml'}")
    print(f"   development keys      {bay.keys}")
    chart = Chart(bay)
    print(f"   gateway configuration {chart.config} (one site, demo)")
    try:
        step("relay and appliance")
        for service in (bay.start_relay(), bay.start_unit()):
            print(f"   {service.name:9} ready, log in {service.log}")
        step(f"playing {recording.relative_to(REPOSITORY)} into PCM {PCM}, in real time")
        print(f"   {bay.play(recording).strip()}")
        step("stopping the appliance in order, and asking the relay what it holds")
        bay.services["appliance"].stop()
        device = bay.closed_device()
        state = bay.state()
        report(bay, device, state)
        step("gateway and an EMR that loses its first answer; one signed note, into the chart")
        audio_sha256 = hashlib.sha256(recording.read_bytes()).hexdigest()
        print(json.dumps(chart.sign(audio_sha256, device["chain_sha256"]), indent=2))
        step("to sign it again, from the repository's folder")
        print("   " + "\n   ".join(chart.how_to_repeat()))
        judge(device, state)
    finally:
        bay.stop()


def report(bay: Bay, device: dict[str, Any], state: dict[str, Any]) -> None:
    """Print what arrived."""
    print(bay.streams())
    encounter = device["encounters"][-1]
    segments = encounter["segment_list"]
    verified = sum(1 for row in segments if not row["problem"])
    print(f"segments          {len(segments)}, hashes verified at the relay {verified}")
    print(f"audio             {encounter['audio_s']:.1f} s, missing {encounter['gap_samples']}")
    print(f"turns             {len(encounter['turns'])}")
    print(f"overruns          {state['overruns']}")
    print(f"analysis shed     {state['shed_quanta']} of {state['quanta']} quanta")
    print(f"CPU               {state['cpu_s'] / encounter['audio_s']:.3f} CPU-s per s of audio")
    print(f"peak memory       {state['peak_rss_mib']:.0f} MiB")


def judge(device: dict[str, Any], state: dict[str, Any]) -> None:
    """Whether everything has arrived.

    Raises:
        BayError: something is missing or does not verify.
    """
    segments = device["encounters"][-1]["segment_list"]
    if not device["verified"] or not segments or any(row["problem"] for row in segments):
        raise BayError("something at the relay does not verify")
    if state["overruns"] or not device["encounters"][-1]["turns"]:
        raise BayError("audio was lost, or nobody was heard")


def step(text: str) -> None:
    """Say what happens next."""
    print(f"== {text}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; exit status 0 only if everything arrived and verified."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", default="sepsis-4mic-70db", help="folder in tests/scenes")
    parser.add_argument("--out", type=Path, default=REPOSITORY / ".demo")
    options = parser.parse_args(argv)
    try:
        demonstrate(SCENES / options.scene, options.out.resolve())
    except (BayError, subprocess.CalledProcessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
