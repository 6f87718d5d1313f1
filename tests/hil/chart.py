"""The demonstration's second half: a gateway and an EMR, and one note signed into the chart.

The EMR is the fault-injecting one of the tests; it loses the first answer, so that what is
printed has been through a time-out and is in the chart once all the same.
"""

import hashlib
import json
import os
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emr.process import EmrProcess
from free_ports import free_ports
from hil.bay import BIN, DEVICE, Bay, BayError, Service, sh

GATEWAY_TOML = """\
# An example: one site, whose EMR is the fault-injecting one of tests/emr.
[listen]
host = "127.0.0.1"
port = {port}

[tls]
certificate = "../keys/{gateway}.pem"
key = "../keys/{gateway}.key"
relay_ca = "../keys/ca.pem"

[journal]
url = "sqlite:///gateway.db"

[sites.demo]
fhir_base = "http://127.0.0.1:{emr_port}/fhir"
auth = "none"
prefer = "auto"
ack_timeout_s = 3.0
operations_contact = "operations@hospital.example"
site_contact = "it@hospital.example"
"""

WRITEBACK_TOML = """
[writeback]
gateway_url = "wss://localhost:{port}"
certificate = "../keys/{relay}.pem"
key = "../keys/{relay}.key"
gateway_ca = "../keys/ca.pem"

[writeback.sites.demo]
note_format = "as-is"
"""

NARRATIVE = """\
Chief Complaint: fever and confusion
HPI: 71-year-old, one day of fever and confusion. Lactate 4.2 mmol/L.
Plan: cultures before antibiotics, 30 mL/kg crystalloid, repeat lactate.
"""


class Chart:
    """Gateway and EMR beside a bay's relay, in folders of the same demonstration.

    Args:
        bay: whose keys and whose relay's configuration are used; the relay does not run yet.
    """

    def __init__(self, bay: Bay) -> None:
        self._bay = bay
        self.folder = bay.folder / "gateway"
        self.folder.mkdir()
        self.port, self.emr_port = free_ports(2)
        keys, pki = str(bay.keys), str(BIN / "bayscribe-relay")
        sh(pki, "pki", "gateway", "gateway", "--dir", keys, "--san", "localhost")
        sh(pki, "pki", "relay-client", "relay", "--dir", keys)
        gateway, relay = _made(bay.keys, "gateway"), _made(bay.keys, "relay")
        self.config = self.folder / "gateway.toml"
        self.config.write_text(
            GATEWAY_TOML.format(port=self.port, emr_port=self.emr_port, gateway=gateway)
        )
        self.relay_config = bay.relay / "relay.toml"
        with self.relay_config.open("a") as file:
            file.write(WRITEBACK_TOML.format(port=self.port, relay=relay))
        self.note = self.folder / "NOTE.json"

    def sign(self, audio_sha256: str, chain_sha256: str) -> dict[str, Any]:
        """Start EMR and gateway, submit one note and wait; what ``submit --wait`` printed.

        Raises:
            BayError: the note is not verified, or not in the chart exactly once.
        """
        text = json.dumps(a_note(audio_sha256, chain_sha256), indent=2, ensure_ascii=False)
        self.note.write_text(text + "\n")
        arguments = ("--port", str(self.emr_port))
        with EmrProcess(self.folder / "emr", {"latency": _SLOW}, arguments) as emr:
            emr.seed(*HOSPITAL)
            emr.script({"fault": "answer-lost", "operation": "transaction"})
            command = [str(BIN / "bayscribe-gateway"), "serve", "--config", str(self.config)]
            gateway = Service("gateway", command, self._bay.folder / "gateway.log", {})
            try:
                gateway.await_ready()
                done = subprocess.run(
                    self.submit_command, stdout=subprocess.PIPE, text=True, timeout=120, check=False
                )
            finally:
                gateway.stop()
            answer: dict[str, Any] = json.loads(done.stdout or "{}")
            digest = hashlib.sha256(NARRATIVE.encode()).hexdigest()
            if done.returncode or not emr.census().of(answer["key"]).exactly_once(digest):
                raise BayError(f"the note is not in the chart once: {done.stdout}")
        return answer

    @property
    def submit_command(self) -> list[str]:
        """How the note is submitted."""
        program, config = str(BIN / "bayscribe-relay"), str(self.relay_config)
        return [program, "submit", str(self.note), "--config", config, "--wait"]

    def how_to_repeat(self) -> list[str]:
        """The command lines that do the same again, one for each terminal."""
        emr = [str(BIN / "python"), "-m", "emr", "--store", str(self.folder / "emr/emr.sqlite")]
        emr += ["--port", str(self.emr_port)]
        gateway = [str(BIN / "bayscribe-gateway"), "serve", "--config", str(self.config)]
        return [
            f"PYTHONPATH=tests {shlex.join(_short(emr))} &",
            f"{shlex.join(_short(gateway))} &",
            shlex.join(_short(self.submit_command)),
        ]


_SLOW = {"write": [0.8, 1.2], "read": [0.05, 0.1], "mdm": [0.8, 1.2]}
HOSPITAL: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "pat-1"},
    {
        "resourceType": "Encounter",
        "id": "enc-1",
        "status": "in-progress",
        "class": {"code": "EMER"},
        "subject": {"reference": "Patient/pat-1"},
    },
]


def a_note(audio_sha256: str, chain_sha256: str) -> dict[str, Any]:
    """A signed note about the recording with these hashes."""
    return {
        "site": "demo",
        "patient": {
            "id": "pat-1",
            "mrn": "MRN000001",
            "family": "Example",
            "given": "Pat",
            "birth_date": "1954-06-01",
            "sex": "female",
        },
        "encounter": {"id": "enc-1", "visit_number": "V000001", "bay": DEVICE},
        "author": {"npi": "1234567893", "family": "Doctor", "given": "Attending"},
        "note": {
            "type_loinc": "34878-9",
            "title": "Emergency medicine Note",
            "media_type": "text/plain",
            "content": NARRATIVE,
        },
        "attestation": {
            "signed_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "clock_synchronised": True,
            "note_sha256": hashlib.sha256(NARRATIVE.encode()).hexdigest(),
            "elements": [{"id": "plan", "outcome": "accepted"}],
        },
        "audio": {"sha256": audio_sha256, "chain_sha256": chain_sha256, "devices": [DEVICE]},
        "models": [{"name": "example", "version": "1", "sha256": "0" * 64}],
        "prompts": [],
    }


def _made(keys: Path, name: str) -> str:
    if not (keys / f"{name}.pem").exists():
        raise BayError(f"no certificate {name}.pem in {keys}")
    return name


def _short(command: list[str]) -> list[str]:
    """A command with paths as they are seen from the current folder."""
    return [os.path.relpath(part) if part.startswith("/") else part for part in command]
