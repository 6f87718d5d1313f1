import logging
import os
import ssl
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from image.declaration import HERE

from bayscribe.cli import main as bayscribe
from bayscribe.config import load_config
from bayscribe.enrol import client, first_start
from bayscribe.enrol.client import EnrolmentRefused
from bayscribe.enrol.keystore import KeyStore
from bayscribe.errors import BayscribeError, LinkError
from bayscribe.uplink.config import UplinkConfig
from bayscribe.uplink.tls import client_context
from bayscribe.wire.identity import device_name
from bayscribe_relay.cli import main as relay_command
from bayscribe_relay.pki.authority import Authority
from enrol.provision_site import DEVICE, ProvisionSite, running


@pytest.fixture
def site(tmp_path: Path) -> ProvisionSite:
    return ProvisionSite(tmp_path / "site")


@pytest.fixture
def port(site: ProvisionSite) -> Iterator[int]:
    with running(site.configuration("attempts_per_minute = 100")) as number:
        yield number


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    folder = tmp_path / "unit"
    folder.mkdir()
    return folder


def give(unit: Path, order: str) -> Path:
    path = unit / "enrol.toml"
    path.write_text(order)
    return path


def test_a_new_unit_gets_an_identity_for_a_key_that_never_left_it(
    site: ProvisionSite, port: int, unit: Path
) -> None:
    order = give(unit, site.order(port))
    assert bayscribe(["enrol", "request", "--folder", str(unit)]) == 0
    assert not order.exists()
    certificate = x509.load_pem_x509_certificate((unit / "device.crt").read_bytes())
    key = load_pem_private_key((unit / "device.key").read_bytes(), None)
    assert device_name(certificate) == DEVICE
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(Authority.load(site.keys).certificate)
    assert stat.S_IMODE((unit / "device.key").stat().st_mode) == 0o600
    everything = b"".join(p.read_bytes() for p in site.folder.rglob("*") if p.is_file())
    assert (unit / "device.key").read_bytes() not in everything


def test_the_configuration_that_comes_of_it_is_one_that_the_daemon_takes(
    site: ProvisionSite, port: int, unit: Path
) -> None:
    give(unit, site.order(port))
    first_start.request(unit, [unit / "enrol.toml"])
    config = load_config(unit / "bayscribe.toml")
    assert (config.unit.site, config.unit.bay, config.array.pcm) == ("test", "bay-11", "bay")
    assert config.encounter.mode == "commanded"
    uplink = tomllib.loads((unit / "bayscribe.toml").read_text())["uplink"]
    assert uplink["url"] == "wss://localhost:8443"
    ca, certificate, key = (str(unit / uplink[k]) for k in ("relay_ca", "certificate", "key"))
    client_context(UplinkConfig(uplink["url"], ca, certificate, key))


def test_a_token_serves_once_but_the_same_key_may_ask_again(
    site: ProvisionSite, port: int, tmp_path: Path
) -> None:
    token = site.book.issue(DEVICE)
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        give(folder, site.order(port, token))
    first_start.request(one, [one / "enrol.toml"])
    key = (one / "device.key").read_bytes()
    (one / "device.crt").unlink()  # as if the power had gone before it was written
    give(one, site.order(port, token))
    first_start.request(one, [one / "enrol.toml"])
    assert (one / "device.key").read_bytes() == key
    with pytest.raises(EnrolmentRefused):
        first_start.request(other, [other / "enrol.toml"])
    assert not (other / "device.crt").exists()


def test_an_enrolled_unit_asks_nobody(unit: Path) -> None:
    (unit / "device.crt").write_text("is there")
    assert first_start.request(unit, []) == ""


def test_a_token_that_has_run_out_or_is_another_units_is_refused_and_the_log_says_why(
    site: ProvisionSite, port: int, unit: Path, caplog: pytest.LogCaptureFixture
) -> None:
    late = site.book.issue(DEVICE, 0.000001)
    others = site.book.issue("bay-12")
    caplog.set_level(logging.WARNING)
    for token, why in ((late, "run out"), (others, "is for bay-12"), ("x" * 32, "unknown")):
        caplog.clear()
        give(unit, site.order(port, token))
        with pytest.raises(EnrolmentRefused):
            first_start.request(unit, [unit / "enrol.toml"])
        assert why in caplog.text
        assert token not in caplog.text


def test_tokens_are_kept_only_as_hashes(site: ProvisionSite) -> None:
    token = site.book.issue(DEVICE)
    book = site.keys / "tokens.json"
    assert token not in book.read_text()
    assert stat.S_IMODE(book.stat().st_mode) == 0o600


def test_a_service_of_another_authority_gets_no_token(
    site: ProvisionSite, tmp_path: Path, unit: Path
) -> None:
    impostor = ProvisionSite(tmp_path / "impostor")
    token = site.book.issue(DEVICE)
    with running(impostor.configuration()) as port:
        give(unit, impostor.order(port, token, fingerprint=site.fingerprint))
        with pytest.raises(EnrolmentRefused, match="authority is not the one"):
            first_start.request(unit, [unit / "enrol.toml"])
    assert not (impostor.keys / "tokens.json").exists()


def test_a_machine_in_the_middle_that_shows_the_real_authority_gets_no_token(
    site: ProvisionSite, tmp_path: Path, unit: Path
) -> None:
    middle = ProvisionSite(tmp_path / "middle")
    real = (site.keys / "ca.pem").read_bytes()
    configuration = middle.configuration()
    with running(configuration) as port:
        # What it serves as the authority is the real one; its own certificate is not of it.
        give(unit, middle.order(port, "t" * 32, fingerprint=site.fingerprint))
        original = client._pinned
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client, "_pinned", lambda _pem, pin: original(real, pin))
            with pytest.raises(EnrolmentRefused, match="certificate is not good"):
                first_start.request(unit, [unit / "enrol.toml"])


def test_a_certificate_for_another_name_is_not_the_service(site: ProvisionSite, unit: Path) -> None:
    site.server_certificate("elsewhere.example")
    with running(site.configuration(server="elsewhere.example")) as port:
        give(unit, site.order(port))
        with pytest.raises(EnrolmentRefused, match="not good"):
            first_start.request(unit, [unit / "enrol.toml"])


def test_a_service_out_of_reach_is_asked_again_later_with_the_same_key(
    site: ProvisionSite, unit: Path
) -> None:
    token = site.book.issue(DEVICE)
    give(unit, site.order(9, token))
    with pytest.raises(LinkError, match="does not answer"):
        first_start.request(unit, [unit / "enrol.toml"])
    key = (unit / "device.key").read_bytes()
    with running(site.configuration()) as port:
        give(unit, site.order(port, token))
        assert first_start.request(unit, [unit / "enrol.toml"]) == DEVICE
    assert (unit / "device.key").read_bytes() == key


def test_who_asks_too_often_is_told_to_wait(site: ProvisionSite, unit: Path) -> None:
    with running(site.configuration("attempts_per_minute = 2")) as port:
        for _ in range(2):
            give(unit, site.order(port, "wrong-token-wrong-token"))
            with pytest.raises(EnrolmentRefused):
                first_start.request(unit, [unit / "enrol.toml"])
        give(unit, site.order(port))
        with pytest.raises(LinkError, match="status 429"):
            first_start.request(unit, [unit / "enrol.toml"])


def test_a_request_that_is_none_leaves_the_token_unused(site: ProvisionSite, port: int) -> None:
    token = site.book.issue(DEVICE)
    context = ssl.create_default_context(cafile=str(site.keys / "ca.pem"))
    import http.client

    for body in (b"{", b"[]", b'{"token":"%s","device":"bay-11","csr":"no"}' % token.encode()):
        connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
        connection.request("POST", "/v1/enrol", body)
        assert connection.getresponse().status == 400
        connection.close()
    site.book.redeem(token, DEVICE, b"a key")


def test_orders_that_cannot_be_taken_name_the_file_and_no_secret(
    unit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bayscribe(["enrol", "request", "--folder", str(unit)]) == 1
    assert "no enrol.toml" in capsys.readouterr().err
    secret = "short"
    give(unit, f'[enrolment]\nurl = "https://h"\ndevice = "d"\ntoken = "{secret}"\n')
    assert bayscribe(["enrol", "request", "--folder", str(unit)]) == 2
    said = capsys.readouterr().err
    assert "enrol.toml" in said
    assert secret not in said


def fake_tpm(folder: Path, *, works: bool = True) -> list[str]:
    """A stand-in for systemd-creds: seals by turning the bytes around."""
    program = folder / "systemd-creds"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "data = lambda name: sys.stdin.buffer if name == '-' else open(name, 'rb')\n"
        "into = lambda name: sys.stdout.buffer if name == '-' else open(name, 'wb')\n"
        "verb = sys.argv[1]\n"
        "if verb == 'has-tpm2': sys.exit(0)\n"
        f"if verb == 'decrypt' and not {works}: sys.exit(1)\n"
        "assert '--name=device.key' in sys.argv\n"
        "with data(sys.argv[-2]) as one, into(sys.argv[-1]) as other:\n"
        "    other.write(one.read()[::-1])\n"
    )
    program.chmod(0o755)
    return [str(program)]


def test_where_there_is_a_tpm_the_key_lies_sealed(
    site: ProvisionSite, port: int, unit: Path, tmp_path: Path
) -> None:
    keys = KeyStore(unit, fake_tpm(tmp_path))
    give(unit, site.order(port))
    first_start.request(unit, [unit / "enrol.toml"], keys)
    assert keys.sealed
    assert not (unit / "device.key").exists()
    memory = tmp_path / "memory"
    memory.mkdir()
    opened(unit, memory, tmp_path)
    certificate = x509.load_pem_x509_certificate((unit / "device.crt").read_bytes())
    key = load_pem_private_key((memory / "device.key").read_bytes(), None)
    assert key.public_key() == certificate.public_key()


def test_a_key_that_the_tpm_does_not_open_is_never_replaced(unit: Path, tmp_path: Path) -> None:
    keys = KeyStore(unit, fake_tpm(tmp_path))
    keys.make()
    sealed = (unit / "device.key.cred").read_bytes()
    broken = KeyStore(unit, fake_tpm(tmp_path, works=False))
    with pytest.raises(BayscribeError, match="does not decrypt"):
        broken.make()
    assert (unit / "device.key.cred").read_bytes() == sealed


def opened(unit: Path, memory: Path, tools: Path) -> None:
    """Run the image's script that opens the key for the services."""
    script = HERE / "files/root/usr/lib/bayscribe/open-key"
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run([script, unit, memory], check=True, env=environment)


def test_a_plain_key_is_copied_for_the_services(unit: Path, tmp_path: Path) -> None:
    KeyStore(unit, ["/nonexistent"]).make()
    memory = tmp_path / "memory"
    memory.mkdir()
    opened(unit, memory, tmp_path)
    assert (memory / "device.key").read_bytes() == (unit / "device.key").read_bytes()
    assert stat.S_IMODE((memory / "device.key").stat().st_mode) == 0o600


def test_the_token_command_writes_an_order_that_a_unit_takes(
    site: ProvisionSite, port: int, unit: Path
) -> None:
    words = ["pki", "token", DEVICE, "--dir", str(site.keys), "--out", str(unit / "enrol.toml")]
    words += ["--provision", f"https://localhost:{port}", "--relay", "wss://localhost:8443"]
    words += ["--site", "test", "--array", "circle-4-32mm"]
    assert relay_command(words) == 0
    assert first_start.request(unit, [unit / "enrol.toml"]) == DEVICE
