"""The commands as an operator runs them, against a gateway that runs as a process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bayscribe_relay.cli import main
from bayscribe_relay.writeback.config import load
from bayscribe_relay.writeback.outbox import Outbox
from bayscribe_relay.writeback.states import State
from emr.process import EmrProcess
from writeback.rig import a_note, gateway_file, make_pki, relay_file, seeds

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).resolve().parents[2]


def program(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'daemon'}{os.pathsep}{ROOT / 'relay'}"}


@pytest.fixture
def emr(tmp_path: Path) -> Iterator[EmrProcess]:
    with EmrProcess(tmp_path / "emr") as running:
        running.seed(*seeds())
        yield running


@pytest.fixture
def relay(tmp_path: Path, emr: EmrProcess) -> Iterator[Run]:
    """Runs ``bayscribe-relay`` with a gateway behind it."""
    make_pki(tmp_path)
    site = f'fhir_base = "{emr.fhir}"\nretries = 0'
    command = program(
        "bayscribe_relay.gateway.cli", "serve", "--config", gateway_file(tmp_path, site)
    )
    gateway = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert gateway.stdout is not None
        port = int(gateway.stdout.readline().split()[-1])
        config = relay_file(tmp_path, port)

        def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                program("bayscribe_relay.cli", *arguments, "--config", config),
                capture_output=True, text=True, timeout=180, env=environment(), check=False,
            )  # fmt: skip

        yield run
    finally:
        gateway.terminate()
        assert gateway.wait(15) == 0
        if gateway.stdout is not None:
            gateway.stdout.close()


def write(folder: Path, note: object) -> Path:
    path = folder / "NOTE.json"
    path.write_text(note if isinstance(note, str) else json.dumps(note))
    return path


def test_submit_waits_and_prints_one_object(tmp_path: Path, emr: EmrProcess, relay: Run) -> None:
    note = write(tmp_path, a_note())
    done = relay("submit", note, "--wait")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["state"], said["path"]) == ("verified", "fhir")
    assert said["etag"]
    assert set(said["timings_ms"]) == {"signed_to_gateway", "emr", "read_back", "total"}
    again = relay("submit", write(tmp_path, a_note(idempotency_key=said["key"])), "--wait")
    assert json.loads(again.stdout) == said
    other = a_note(idempotency_key=said["key"], content="something else")
    refused = relay("submit", write(tmp_path, other), "--wait")
    assert (refused.returncode, refused.stdout) == (2, "")
    sha = a_note()["attestation"]["note_sha256"]
    assert emr.census().of(said["key"]).exactly_once(sha)
    assert len(emr.census().by_key) == 1


def test_a_queued_note_goes_with_the_next_relay(
    tmp_path: Path, emr: EmrProcess, relay: Run
) -> None:
    queued = relay("submit", write(tmp_path, a_note()))
    first = json.loads(queued.stdout)
    assert (queued.returncode, first["state"]) == (0, "queued")
    assert emr.census().by_key == {}
    assert relay("submit", write(tmp_path, a_note()), "--wait").returncode == 0
    again = relay("submit", write(tmp_path, a_note(idempotency_key=first["key"])), "--wait")
    assert json.loads(again.stdout)["state"] == "verified"
    assert emr.census().of(first["key"]).document_references == 1


BAD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "npi missing": lambda n: n["author"].pop("npi"),
    "npi wrong": lambda n: n["author"].update(npi="1234567890"),
    "no attestation": lambda n: n.pop("attestation"),
    "hash mismatch": lambda n: n["note"].update(content="changed after signing"),
    "unknown key": lambda n: n["note"].update(colour="red"),
    "loinc": lambda n: n["note"].update(type_loinc="34878-8"),
    "future": lambda n: n["attestation"].update(signed_at="2999-01-01T00:00:00Z"),
    "not utc": lambda n: n["attestation"].update(signed_at="2026-01-01T00:00:00+01:00"),
    "key of version 4": lambda n: n.update(idempotency_key="9b2f0b5e-1111-4222-8333-444455556666"),
    "huge": lambda n: n["note"].update(content="x" * 50_000_000),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_note_is_one_clear_line_and_never_reaches_the_emr(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pki(tmp_path)
    note = a_note()
    BAD[name](note)
    config = relay_file(tmp_path, 1)
    status = main(["submit", str(write(tmp_path, note)), "--wait", "--config", str(config)])
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("bayscribe-relay: ")
    assert len(said.err) < 400
    assert "Doe" not in said.err
    outbox = Outbox(load(config).store_url, "test", 1.0)
    assert outbox.letters(tuple(State)) == []
    outbox.close()


def test_an_unknown_encounter_and_another_patients_are_refused_before_writing(
    tmp_path: Path, emr: EmrProcess, relay: Run
) -> None:
    unknown = a_note(encounter={"id": "nowhere", "visit_number": "V", "bay": "b"})
    refused = relay("submit", write(tmp_path, unknown), "--wait")
    said = json.loads(refused.stdout)
    assert (refused.returncode, said["state"]) == (1, "rejected")
    assert "encounter" in said["reason"]
    emr.seed({"resourceType": "Patient", "id": "p2"})
    other = a_note()
    other["patient"]["id"] = "p2"
    said = json.loads(relay("submit", write(tmp_path, other), "--wait").stdout)
    assert "another patient" in said["reason"]
    assert emr.census().by_key == {}


def test_dead_letters_are_listed_shown_and_replayed(
    tmp_path: Path, emr: EmrProcess, relay: Run
) -> None:
    emr.script({"fault": "server-error", "operation": "transaction"})
    dead = relay("submit", write(tmp_path, a_note()), "--wait")
    said = json.loads(dead.stdout)
    assert (dead.returncode, said["state"]) == (1, "dead_letter")
    assert "internal error" in said["reason"]
    (listed,) = json.loads(relay("letters", "list", "--json").stdout)["letters"]
    assert (listed["key"], listed["state"]) == (said["key"], "dead_letter")
    shown = json.loads(relay("letters", "show", said["key"], "--json").stdout)
    assert shown["events"][0]["event"] == "signed"
    replayed = relay("letters", "replay", said["key"], "--wait")
    assert replayed.returncode == 0, replayed.stdout
    assert json.loads(relay("letters", "list", "--json").stdout) == {"letters": []}
    sha = a_note()["attestation"]["note_sha256"]
    assert emr.census().of(said["key"]).exactly_once(sha)


def test_without_a_gateway_the_letter_is_parked_and_kept(tmp_path: Path) -> None:
    make_pki(tmp_path)
    config = relay_file(tmp_path, 1, "patience_s = 1.0\nlease_s = 1.0")
    note = write(tmp_path, a_note())
    command = program("bayscribe_relay.cli", "submit", note, "--wait", "--config", config)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=180, env=environment(), check=False
    )
    said = json.loads(done.stdout)
    assert (done.returncode, said["state"]) == (1, "dead_letter")
    assert "out of reach" in said["reason"]
