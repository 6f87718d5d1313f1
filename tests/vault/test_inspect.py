"""Attacks on a buffer, each named after what the attacker does."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayscribe.cli import main
from bayscribe.errors import BadUse
from bayscribe.vault.config import VaultConfig
from bayscribe.vault.disk import Disk
from bayscribe.vault.inspect import CERTIFICATE, Verdict, inspect
from bayscribe.vault.recordfile import parse
from bayscribe.vault.state import decode_state, encode_state
from bayscribe.vault.vault import Vault
from bayscribe.wire.chain import link, sign
from bayscribe.wire.header import decode_header
from bayscribe_relay.pki.authority import Authority
from vault.vault_records import DEVICE, Unit, encounter

RECORDS = 6


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A buffer of six records, two of them acknowledged, with its certificate."""
    folder = tmp_path_factory.mktemp("unit") / "buffer"
    issued = Authority.create("test").device(DEVICE)
    assert issued.key is not None
    vault = Vault.open(folder, DEVICE)
    for record in encounter(Unit(key=issued.key), RECORDS - 2):
        vault.append(record)
    vault.acknowledge(1)
    vault.close()
    pem = issued.certificate.public_bytes(serialization.Encoding.PEM)
    (folder / CERTIFICATE).write_bytes(pem)
    return folder


@pytest.fixture
def buffer(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "buffer"))


def _record(folder: Path, seq: int) -> Path:
    return folder / f"{seq:020d}.record"


def _key(folder: Path, seq: int) -> Path:
    return folder / f"{seq:020d}.key"


def test_an_untouched_buffer_is_intact_and_its_signatures_verify(buffer: Path) -> None:
    found = inspect(buffer)
    assert found.verdict is Verdict.INTACT
    assert found.signed
    assert [header.seq for header, _ in found.headers] == [2, 3, 4, 5, 6]


def _flip_a_bit_of_the_ciphertext(folder: Path) -> None:
    data = bytearray(_record(folder, 3).read_bytes())
    data[-100] ^= 1
    _record(folder, 3).write_bytes(data)


def _remove_a_record(folder: Path) -> None:
    _record(folder, 4).unlink()
    _key(folder, 4).unlink()


def _exchange_two_records(folder: Path) -> None:
    a, b = _record(folder, 3).read_bytes(), _record(folder, 4).read_bytes()
    _record(folder, 3).write_bytes(b)
    _record(folder, 4).write_bytes(a)


def _replay_a_record_under_the_next_number(folder: Path) -> None:
    shutil.copy(_record(folder, 6), _record(folder, 7))


def _cut_a_finished_record_short(folder: Path) -> None:
    _record(folder, 6).write_bytes(_record(folder, 6).read_bytes()[:40])


def _give_a_record_the_key_of_another(folder: Path) -> None:
    shutil.copy(_key(folder, 4), _key(folder, 3))


def _destroy_a_key_in_the_middle(folder: Path) -> None:
    _key(folder, 3).unlink()


def _put_in_a_record_of_another_unit(folder: Path) -> None:
    other = folder.parent / "other"
    vault = Vault.open(other, DEVICE)
    for record in encounter(Unit(), 4):
        vault.append(record)
    vault.close()
    shutil.copy(_record(other, 3), _record(folder, 3))
    shutil.copy(_key(other, 3), _key(folder, 3))


def _edit_a_header_and_mend_the_file_s_own_digest(folder: Path) -> None:
    data = _record(folder, 3).read_bytes()[:-32].replace(b"bay-07", b"bay-08")
    _record(folder, 3).write_bytes(data + hashlib.sha256(data).digest())


def _edit_the_state_and_mend_its_digest(folder: Path) -> None:
    state = decode_state((folder / "state").read_bytes())
    forged = msgspec.structs.replace(state, chain=bytes(32))
    (folder / "state").write_bytes(encode_state(forged))


def _cut_a_record_in_the_middle_short(folder: Path) -> None:
    _record(folder, 4).write_bytes(_record(folder, 4).read_bytes()[:-40])


def _sign_a_record_anew_with_another_key(folder: Path) -> None:
    data = bytearray(_record(folder, 6).read_bytes()[:-32])
    file = parse(bytes(data) + hashlib.sha256(data).digest())
    value = link(decode_header(file.header).previous, file.header)
    stranger = ec.generate_private_key(ec.SECP256R1())
    data[44:108] = sign(stranger, value, file.sealed_sha256)
    _record(folder, 6).write_bytes(bytes(data) + hashlib.sha256(data).digest())


def _wind_back_the_acknowledged_mark(folder: Path) -> None:
    (folder / "state").unlink()


ATTACKS: list[Callable[[Path], None]] = [
    _flip_a_bit_of_the_ciphertext,
    _remove_a_record,
    _exchange_two_records,
    _replay_a_record_under_the_next_number,
    _cut_a_finished_record_short,
    _give_a_record_the_key_of_another,
    _destroy_a_key_in_the_middle,
    _put_in_a_record_of_another_unit,
    _wind_back_the_acknowledged_mark,
    _edit_a_header_and_mend_the_file_s_own_digest,
    _edit_the_state_and_mend_its_digest,
    _cut_a_record_in_the_middle_short,
    _sign_a_record_anew_with_another_key,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__.strip("_"))
def test_attack_is_called_tampering(
    buffer: Path, attack: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    attack(buffer)
    assert inspect(buffer).verdict is Verdict.TAMPERED
    assert main(["inspect", str(buffer), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "tampered"


@given(seq=st.integers(2, RECORDS), at=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_any_flipped_bit_in_any_record_is_found(buffer: Path, seq: int, at: int, bit: int) -> None:
    path = _record(buffer, seq)
    whole = path.read_bytes()
    data = bytearray(whole)
    data[at % len(data)] ^= 1 << bit
    path.write_bytes(data)
    try:
        assert inspect(buffer).verdict is Verdict.TAMPERED
    finally:
        path.write_bytes(whole)


def test_what_a_power_cut_leaves_is_called_a_power_cut(
    buffer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (buffer / f"{7:020d}.record.part").write_bytes(b"BSR1 torn")
    _key(buffer, 7).write_bytes(bytes(32))
    found = inspect(buffer)
    assert found.verdict is Verdict.POWER_CUT
    assert main(["inspect", str(buffer)]) == 0
    assert "power cut" in capsys.readouterr().out


def test_a_single_record_can_be_inspected(buffer: Path) -> None:
    assert inspect(_record(buffer, 3)).verdict is Verdict.INTACT
    _flip_a_bit_of_the_ciphertext(buffer)
    assert inspect(_record(buffer, 3)).verdict is Verdict.TAMPERED


def test_a_folder_that_is_no_buffer_is_bad_use(tmp_path: Path) -> None:
    with pytest.raises(BadUse, match="not a buffer"):
        inspect(tmp_path)
    assert main(["inspect", str(tmp_path / "nothing")]) == 2


def test_a_daemon_that_erases_while_it_is_looked_at_is_no_attacker(
    buffer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault.open(buffer, DEVICE)

    class Racing(Disk):
        def read(self, path: Path, most: int = -1) -> bytes | None:
            if path == _record(buffer, 4):
                vault.acknowledge(4)
            return super().read(path, most)

    monkeypatch.setattr("bayscribe.vault.inspect.Disk", Racing)
    found = inspect(buffer)
    vault.close()
    assert found.verdict is Verdict.INTACT
    assert found.acknowledged == 4
    assert [header.seq for header, _ in found.headers] == [2, 3, 5, 6]


def test_acknowledged_records_that_are_retained_still_verify(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "buffer"))
    vault = Vault.open(folder, DEVICE, VaultConfig(retain_mib=8))
    vault.acknowledge(4)
    vault.close()
    found = inspect(folder)
    assert found.verdict is Verdict.INTACT
    assert found.signed
    assert found.acknowledged == 4
    assert [header.seq for header, _ in found.headers] == [2, 3, 4, 5, 6]
    _flip_a_bit_of_the_ciphertext(folder)
    assert inspect(folder).verdict is Verdict.TAMPERED
