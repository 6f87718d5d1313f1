"""A small hospital for tests: certificates, a gateway, a relay's write-back, notes."""

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bayscribe_relay.gateway import config as gateway_config
from bayscribe_relay.gateway.server import Gateway
from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import Authority, Issued
from bayscribe_relay.writeback.config import Outgoing, WritebackConfig
from bayscribe_relay.writeback.outbox import Letter
from bayscribe_relay.writeback.service import Writeback

NPI = "1234567893"  # the example of the NPI check digit standard
TEXT = "ED note | with ^ every & HL7 ~ delimiter \\ and\nlines.\r\nLactate 4.2 mmol/L, Zoë."


def a_note(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - members of a note or a configuration
    """A good note; ``content`` changes its text and the hash of it."""
    content = changes.pop("content", TEXT)
    note = {
        "site": "demo",
        "patient": {
            "id": "p1", "mrn": "M1", "family": "Doe", "given": "Jane",
            "birth_date": "1980-02-03", "sex": "female",
        },
        "encounter": {"id": "e1", "visit_number": "V1", "bay": "bay-1"},
        "author": {"npi": NPI, "family": "Who", "given": "Ada"},
        "note": {
            "type_loinc": "34878-9", "title": "Emergency medicine Note",
            "media_type": "text/plain", "content": content,
        },
        "attestation": {
            "signed_at": "2026-01-02T03:04:05Z",
            "clock_synchronised": True,
            "note_sha256": hashlib.sha256(content.encode()).hexdigest(),
            "elements": [{"id": "hpi-1", "outcome": "modified"}],
        },
        "audio": {"sha256": "a" * 64, "chain_sha256": "b" * 64, "devices": ["bay-1"]},
        "models": [{"name": "campplus", "version": "1", "sha256": "c" * 64}],
        "prompts": [
            {
                "id": "sep1-lactate", "issued_at": "2026-01-02T02:00:00Z",
                "text": "Repeat lactate due?", "outcome": "answered",
                "answered_at": "2026-01-02T02:01:00Z",
            }
        ],
    }  # fmt: skip
    return note | changes


def encoded(note: dict[str, Any]) -> bytes:
    return json.dumps(note).encode()


def seeds(encounters: int = 1) -> list[dict[str, Any]]:
    """What the hospital holds: patient p1, and encounters e1, e2, ... of that patient."""
    patient = {"resourceType": "Patient", "id": "p1"}
    return [patient, *(
        {
            "resourceType": "Encounter", "id": f"e{n}", "status": "in-progress",
            "class": {"code": "EMER"}, "subject": {"reference": "Patient/p1"},
        }
        for n in range(1, encounters + 1)
    )]  # fmt: skip


def make_pki(folder: Path) -> None:
    """``ca.pem``, and keys and certificates of gateway, relay and a device."""
    authority = Authority.create("Test CA")
    files.write_new(folder / "ca.pem", Issued(authority.certificate, None).pem(), 0o644)
    issued = {
        "gateway": authority.gateway("g1", ["localhost", "127.0.0.1"]),
        "relay": authority.relay_client("r1"),
        "device": authority.device("bay-1"),
    }
    for name, leaf in issued.items():
        if leaf.key is None:
            raise AssertionError
        files.write_new(folder / f"{name}.pem", Issued(leaf.certificate, None).pem(), 0o644)
        files.write_new(folder / f"{name}.key", files.key_pem(leaf.key), 0o600)


def gateway_file(folder: Path, site: str, port: int = 0) -> Path:
    """A gateway's configuration; ``site`` is the body of ``[sites.demo]``."""
    path = folder / "gateway.toml"
    path.write_text(
        f'[listen]\nhost = "127.0.0.1"\nport = {port}\n'
        '[tls]\ncertificate = "gateway.pem"\nkey = "gateway.key"\nrelay_ca = "ca.pem"\n'
        f"[sites.demo]\n{site}\n"
    )
    return path


def relay_file(folder: Path, port: int, extra: str = "") -> Path:
    """A relay's configuration, its write-back part."""
    path = folder / "relay.toml"
    path.write_text(
        f'[writeback]\ngateway_url = "wss://127.0.0.1:{port}"\ncertificate = "relay.pem"\n'
        f'key = "relay.key"\ngateway_ca = "ca.pem"\n{extra}\n'
    )
    return path


def outgoing(folder: Path, port: int, **changes: Any) -> Outgoing:  # noqa: ANN401 - members of a note or a configuration
    """As the relay's file, without one."""
    config = WritebackConfig(
        gateway_url=f"wss://127.0.0.1:{port}",
        certificate=str(folder / "relay.pem"),
        key=str(folder / "relay.key"),
        gateway_ca=str(folder / "ca.pem"),
        **changes,
    )
    return Outgoing(f"sqlite:///{folder / 'relay.db'}", config)


@contextlib.asynccontextmanager
async def hospital(folder: Path, site: str) -> AsyncIterator[Writeback]:
    """Gateway and write-back running in this process against an EMR."""
    make_pki(folder)
    config = gateway_config.load(gateway_file(folder, site))
    async with (
        Gateway(config).running() as gateway,
        Writeback.running(outgoing(folder, gateway.port)) as writeback,
    ):
        yield writeback


async def sign(writeback: Writeback, timeout_s: float = 60, **changes: Any) -> Letter:  # noqa: ANN401 - members of a note or a configuration
    """Submit a note and wait until it is settled."""
    letter = await writeback.submit(encoded(a_note(**changes)))
    return await writeback.wait(letter.key, timeout_s)
