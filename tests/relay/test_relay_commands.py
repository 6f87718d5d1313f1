import json
import os
import signal
import socket
import stat
import subprocess
import sys
import wave
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.wire.identity import device_name
from bayscribe.wire.seal import Kem, OpeningKey, SealingKey
from bayscribe_relay.cli import main
from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import revoked_serials
from faults.recorder import MemoryBuffer, pcm_of
from faults.rig import RelayThread, Site, drained, until, uplink, uplink_config

ROOT = Path(__file__).resolve().parents[2]
ENCOUNTER = "e" * 32


def streamed(folder: Path, segments: int = 4) -> Path:
    """A site whose relay holds one recording; its configuration file."""
    site = Site(folder)
    device = site.enrol("bay-1")
    buffer = MemoryBuffer(device.name)
    buffer.extend(site.recorder(device).recording(ENCOUNTER, segments))
    with RelayThread(site.relay()) as server:  # noqa: SIM117 - the relay outlives the unit
        with uplink(uplink_config(site, device, server.port), device.name, buffer):
            until(drained(buffer), "everything acknowledged")
    return site.relay_file(8443)


def test_streams_lists_what_arrived(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = streamed(tmp_path)
    assert main(["streams", "--config", str(config)]) == 0
    text = capsys.readouterr().out
    assert "device bay-1: 6 records through 6, verified" in text
    assert ENCOUNTER in text
    assert "unknown-1" in text
    assert "90°" in text


def test_streams_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = streamed(tmp_path)
    assert main(["streams", "--json", "--config", str(config)]) == 0
    (device,) = json.loads(capsys.readouterr().out)["devices"]
    (encounter,) = device["encounters"]
    assert (device["device"], device["verified"], device["records"]) == ("bay-1", True, 6)
    assert encounter["closed_reason"] == "stop"
    assert [row["problem"] for row in encounter["segment_list"]] == [""] * 4
    assert [(turn["label"], turn["start"]) for turn in encounter["turns"]] == [
        ("unknown-1", n * 0.01) for n in range(4)
    ]


@pytest.mark.parametrize("which", ["bay-1", ENCOUNTER])
def test_streams_verify_one(which: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = streamed(tmp_path)
    assert main(["streams", "verify", which, "--config", str(config)]) == 0
    assert "bay-1: 6 records, verified" in capsys.readouterr().out


def test_streams_of_nobody_is_bad_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = streamed(tmp_path, 0)
    assert main(["streams", "verify", "bay-9", "--config", str(config)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


TAMPERING = {
    "sealed-bit": (
        "UPDATE payloads SET sealed = zeroblob(length(sealed)) WHERE seq = 3",
        "record 3: sealed",
    ),
    "record-removed": ("DELETE FROM records WHERE seq = 3", "record 4: gap"),
    "tail-removed": ("DELETE FROM records WHERE seq = 6", "record 6: mark"),
    "header-edited": (
        "UPDATE records SET header = (SELECT header FROM records WHERE seq = 2) WHERE seq = 1",
        "record 1",
    ),
    "signature-zeroed": ("UPDATE records SET signature = zeroblob(64) WHERE seq = 2", "record 2"),
    "chain-rewritten": ("UPDATE records SET chain = zeroblob(32) WHERE seq = 2", "record 2: chain"),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_with_the_store_is_found(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = streamed(tmp_path)
    statement, expected = TAMPERING[name]
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'relay.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()
    assert main(["streams", "verify", "--config", str(config)]) == 1
    text = capsys.readouterr().out
    assert "DOES NOT VERIFY" in text
    assert expected in text


def test_audio_deleted_by_policy_leaves_a_stream_that_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = streamed(tmp_path)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'relay.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM payloads"))
    engine.dispose()
    assert main(["streams", "--json", "--config", str(config)]) == 0
    (device,) = json.loads(capsys.readouterr().out)["devices"]
    rows = device["encounters"][0]["segment_list"]
    assert {row["audio"] for row in rows} == {"deleted"}


def test_export_writes_beam_and_turns(tmp_path: Path) -> None:
    config = streamed(tmp_path / "site")
    out = tmp_path / "out"
    assert main(["export", ENCOUNTER, "--out", str(out), "--config", str(config)]) == 0
    with wave.open(str(out / "beam.wav")) as beam:
        assert (beam.getframerate(), beam.getnchannels(), beam.getsampwidth()) == (16_000, 1, 2)
        expected = b"".join(pcm_of("bay-1", seq, 160) for seq in range(2, 6))
        assert beam.readframes(10_000) == expected
    lines = (out / "turns.rttm").read_text().splitlines()
    assert lines[1].split() == [
        "SPEAKER", ENCOUNTER, "1", "0.010", "0.010", "<NA>", "<NA>", "unknown-1", "<NA>", "<NA>",
    ]  # fmt: skip
    assert len((out / "turns.jsonl").read_text().splitlines()) == 4


def test_export_of_an_unknown_encounter_is_bad_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = streamed(tmp_path, 0)
    assert main(["export", "f" * 32, "--out", str(tmp_path), "--config", str(config)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# -- pki


def test_pki_makes_a_site_that_works_and_keeps_its_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "keys")
    for arguments in (
        ["init", folder],
        ["server", "relay.example", "--dir", folder, "--san", "127.0.0.1"],
        ["device", "bay-1", "--dir", folder],
        ["gateway", "gw", "--dir", folder, "--san", "gw.example"],
        ["relay-client", "relay-1", "--dir", folder],
        ["seal-key", "--dir", folder],
        ["seal-key", "--dir", folder, "--name", "plain", "--kem", "x25519"],
    ):
        assert main(["pki", *arguments]) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    for path in written:
        secret = path.suffix in (".key", ".open")
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if secret else 0o644), path
    keys = tmp_path / "keys"
    assert device_name(files.load_certificate(keys / "bay-1.pem")) == "bay-1"
    opening = OpeningKey.from_text((keys / "seal.open").read_text())
    assert opening.kem is Kem.MLKEM768_X25519
    assert SealingKey.from_text((keys / "seal.pub").read_text()) == opening.sealing_key()
    assert SealingKey.from_text((keys / "plain.pub").read_text()).kem is Kem.X25519


def test_pki_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["pki", "init", str(tmp_path)])
    before = (tmp_path / "ca.key").read_bytes()
    assert main(["pki", "init", str(tmp_path)]) == 2
    main(["pki", "device", "bay-1", "--dir", str(tmp_path)])
    assert main(["pki", "device", "bay-1", "--dir", str(tmp_path)]) == 2
    assert (tmp_path / "ca.key").read_bytes() == before
    assert "never overwritten" in capsys.readouterr().err


def test_pki_revokes_once_and_for_all(tmp_path: Path) -> None:
    folder = ["--dir", str(tmp_path)]
    main(["pki", "init", str(tmp_path)])
    for name in ("bay-1", "bay-2"):
        main(["pki", "device", name, *folder])
        assert main(["pki", "revoke", str(tmp_path / f"{name}.pem"), *folder]) == 0
    assert main(["pki", "revoke", str(tmp_path / "bay-1.pem"), *folder]) == 0
    serials = {
        files.load_certificate(tmp_path / f"{name}.pem").serial_number
        for name in ("bay-1", "bay-2")
    }
    assert set(revoked_serials((tmp_path / "crl.pem").read_bytes())) == serials


def test_pki_revokes_only_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        main(["pki", "init", str(folder)])
    main(["pki", "device", "bay-1", "--dir", str(other)])
    assert main(["pki", "revoke", str(other / "bay-1.pem"), "--dir", str(mine)]) == 2
    assert "not issued here" in capsys.readouterr().err


def request_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_pki_signs_a_request_whose_key_stays_on_the_unit(tmp_path: Path) -> None:
    main(["pki", "init", str(tmp_path)])
    key = ec.generate_private_key(ec.SECP256R1())
    csr = tmp_path / "bay-1.csr"
    csr.write_bytes(request_of(key))
    assert main(["pki", "sign", "bay-1", "--csr", str(csr), "--dir", str(tmp_path)]) == 0
    certificate = files.load_certificate(tmp_path / "bay-1.pem")
    assert certificate.public_key() == key.public_key()
    assert not (tmp_path / "bay-1.key").exists()


@pytest.mark.parametrize("request_", [b"", b"-----BEGIN CERTIFICATE REQUEST-----\n"])
def test_pki_refuses_what_is_no_request(
    request_: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["pki", "init", str(tmp_path)])
    (tmp_path / "csr").write_bytes(request_)
    arguments = ["pki", "sign", "bay-1", "--csr", str(tmp_path / "csr"), "--dir", str(tmp_path)]
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", ["", "../bay", "bay 1", "bay/1", "bay+", "x" * 65])
def test_pki_refuses_a_name_that_cannot_name_a_device(name: str, tmp_path: Path) -> None:
    main(["pki", "init", str(tmp_path)])
    assert main(["pki", "device", name, "--dir", str(tmp_path)]) == 2


# -- configuration and service


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (("port = 8443", 'port = "8443"'), "listen.port"),
        (("port = 8443", "port = 99999"), "listen.port"),
        (("port = 8443", "prot = 8443"), "listen.prot"),
        (('key = "relay.key"', ""), "tls.key"),
        (('key = "relay.key"', 'key = "absent.key"'), "absent.key"),
        (('key = "relay.key"', 'key = "ca.key"'), "do not fit together"),
        (('crl = "crl.pem"', 'crl = "ca.key"'), "TLS files"),
        (('keys = ["seal.open"]', "keys = []"), "seal.keys"),
        (('keys = ["seal.open"]', 'keys = ["ca.pem"]'), "not a bayscribe-open-1 key line"),
        (("sqlite:///relay.db", "sqlite:///absent/relay.db"), "No such file"),
        (("sqlite:///relay.db", "nonsense"), "store.url"),
        (("[seal]", "[seal"), "not valid TOML"),
    ],
)
def test_a_bad_configuration_is_one_clear_line(
    edit: tuple[str, str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Site(tmp_path).relay_file(8443)
    text = config.read_text()
    assert edit[0] in text
    config.write_text(text.replace(*edit))
    assert main(["serve", "--config", str(config)]) in (1, 2)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert expected in error


def test_serve_tells_systemd_and_ends_in_order(tmp_path: Path) -> None:
    config = Site(tmp_path).relay_file(0)
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        listener.settimeout(30)
        environment = os.environ | {
            "NOTIFY_SOCKET": str(address),
            "PYTHONPATH": f"{ROOT / 'daemon'}:{ROOT / 'relay'}",
        }
        command = [sys.executable, "-m", "bayscribe_relay.cli", "serve", "--config", str(config)]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as relay:
            states = b""
            while b"READY=1" not in states or b"WATCHDOG=1" not in states:
                states += listener.recv(4096) + b"\n"
            relay.send_signal(signal.SIGHUP)
            relay.send_signal(signal.SIGTERM)
            while b"STOPPING=1" not in states:
                states += listener.recv(4096)
            assert relay.wait(30) == 0
            assert relay.stderr is not None
            assert b"Traceback" not in relay.stderr.read()


def test_serve_on_a_port_that_is_taken_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = Site(tmp_path).relay_file(taken.getsockname()[1])
        assert main(["serve", "--config", str(config)]) == 2
    assert "cannot listen" in capsys.readouterr().err


def test_the_store_holds_nothing_in_the_clear(tmp_path: Path) -> None:
    streamed(tmp_path)
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("relay.db*"))
    assert b"unknown-1" not in raw
    assert pcm_of("bay-1", 2, 160)[:32] not in raw
    assert stat.S_IMODE((tmp_path / "relay.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("command", [[], ["serve"], ["streams"], ["export"], ["pki"]])
def test_help_suffices(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out
