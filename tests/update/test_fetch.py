import hashlib
import http.client
import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from bayscribe.enrol import first_start
from bayscribe.errors import BadUse, IntegrityError, LinkError, StorageError
from bayscribe.update import fetch
from bayscribe.update.fetch import UpdateRequest
from bayscribe.update.machine import Machine
from bayscribe_relay.cli import main as relay_command
from enrol.provision_site import ProvisionSite, running
from update.unit_places import machine

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def site(tmp_path: Path) -> ProvisionSite:
    made = ProvisionSite(tmp_path / "site")
    (made.updates / "new.raucb").write_bytes(CONTENT)
    return made


@pytest.fixture
def port(site: ProvisionSite) -> Iterator[int]:
    with running(site.configuration()) as number:
        yield number


@pytest.fixture
def unit(site: ProvisionSite, port: int, tmp_path: Path) -> Machine:
    """An enrolled unit."""
    (tmp_path / "bay").mkdir()
    made = machine(tmp_path / "bay")
    order = made.unit / "enrol.toml"
    order.write_text(site.order(port))
    first_start.request(made.unit, [order])
    return made


def asked(port: int, content: bytes = CONTENT, name: str = "new.raucb") -> UpdateRequest:
    url = f"https://localhost:{port}/v1/updates/{name}"
    return UpdateRequest(url, hashlib.sha256(content).hexdigest(), len(content))


def tls(unit: Machine) -> ssl.SSLContext:
    return fetch.context(unit, unit.unit / "device.key")


def test_a_bundle_comes_by_its_hash(unit: Machine, port: int) -> None:
    path = fetch.fetch(asked(port), unit, tls(unit))
    assert path.read_bytes() == CONTENT
    assert fetch.fetch(asked(9), unit, tls(unit)) == path  # it is there: nobody is asked


def test_a_fetch_goes_on_where_it_broke_off(unit: Machine, port: int) -> None:
    request = asked(port)
    staged = unit.state / "staged"
    staged.mkdir()
    (staged / f"{request.sha256}.part").write_bytes(CONTENT[:1_234_567])
    (staged / "older.raucb").write_bytes(b"no longer wanted")
    assert fetch.fetch(request, unit, tls(unit)).read_bytes() == CONTENT
    assert [path.name for path in staged.iterdir()] == ["new.raucb"]


def test_another_file_than_was_asked_for_is_thrown_away(unit: Machine, port: int) -> None:
    request = asked(port, b"x" + CONTENT[1:])
    with pytest.raises(IntegrityError):
        fetch.fetch(request, unit, tls(unit))
    assert not list((unit.state / "staged").iterdir())


def test_a_server_that_is_away_loses_nothing(unit: Machine) -> None:
    request = asked(9)
    staged = unit.state / "staged"
    staged.mkdir()
    part = staged / f"{request.sha256}.part"
    part.write_bytes(CONTENT[:1000])
    with pytest.raises(LinkError):
        fetch.fetch(request, unit, tls(unit))
    assert part.read_bytes() == CONTENT[:1000]


def test_the_buffer_comes_before_the_update(
    unit: Machine, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "RESERVE_BYTES", 1 << 62)
    with pytest.raises(StorageError, match="no room"):
        fetch.fetch(asked(port), unit, tls(unit))


def test_without_a_devices_certificate_there_is_no_bundle(site: ProvisionSite, port: int) -> None:
    context = ssl.create_default_context(cafile=str(site.keys / "ca.pem"))
    connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
    connection.request("GET", "/v1/updates/new.raucb")
    answer = connection.getresponse()
    assert answer.status == 403
    assert CONTENT[:100] not in answer.read()
    connection.close()


def test_a_revoked_unit_gets_no_bundle(site: ProvisionSite, unit: Machine, port: int) -> None:
    words = ["pki", "revoke", str(unit.unit / "device.crt"), "--dir", str(site.keys)]
    assert relay_command(words) == 0
    with pytest.raises(LinkError):
        fetch.fetch(asked(port), unit, tls(unit))


@pytest.mark.parametrize(
    "path", ["absent.raucb", "..%2fkeys%2fca.key", "provision.toml", ".hidden.raucb", "link.raucb"]
)
def test_nothing_but_bundles_is_handed_out(
    site: ProvisionSite, unit: Machine, port: int, path: str
) -> None:
    (site.updates / "link.raucb").symlink_to(site.keys / "ca.key")
    (site.updates / "provision.toml").write_text("not a bundle")
    connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=tls(unit))
    connection.request("GET", f"/v1/updates/{path}")
    assert connection.getresponse().status == 404
    connection.close()


def test_a_command_becomes_a_request_that_the_update_service_reads(tmp_path: Path) -> None:
    request = asked(8444)
    words = {"url": request.url, "sha256": request.sha256, "size": str(request.size)}
    fetch.leave_request(tmp_path, fetch.from_arguments(words))
    assert fetch.requested(tmp_path) == request


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://localhost/v1/updates/a.raucb"},
        {"url": "https://localhost/v1/updates/../a.raucb"},
        {"url": "https://localhost/v1/updates/a b.raucb"},
        {"sha256": "00"},
        {"size": "0"},
        {"size": "many"},
        {"more": "than asked"},
    ],
)
def test_commands_that_ask_for_nonsense_are_refused(change: dict[str, str]) -> None:
    request = asked(8444)
    words = {"url": request.url, "sha256": request.sha256, "size": str(request.size)}
    with pytest.raises(BadUse):
        fetch.from_arguments(words | change)


def test_no_request_and_a_broken_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BadUse, match="no update was asked for"):
        fetch.requested(tmp_path)
    (tmp_path / "update.json").write_text(json.dumps({"url": 1}))
    with pytest.raises(BadUse, match="is not a request"):
        fetch.requested(tmp_path)
