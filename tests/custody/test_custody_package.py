import io
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bayscribe.errors import BadUse
from bayscribe_relay.clinical import audit
from bayscribe_relay.pki.authority import Authority
from bayscribe_verify.container import pack, unpack
from bayscribe_verify.package import verify
from custody.hospital import RECORDING, STAY, Hospital


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    made = Hospital(tmp_path)
    yield made
    made.close()


@pytest.fixture
def package(hospital: Hospital) -> bytes:
    hospital.record(segments=3)
    hospital.admit()
    hospital.say(0, "The chest pain began this morning")
    hospital.say(1, "it hurts when I breathe", primary=False)
    hospital.chart("vital.temp_c", 38.4, "Cel")
    hospital.prompt()
    audit.record(hospital.clinical, "someone", "looked", "another stay")
    audit.record(hospital.clinical, "clinician", "stay-viewed", STAY)
    return hospital.custody.package(STAY)[1]


def problems(hospital: Hospital, data: bytes) -> list[str]:
    return verify(data, [hospital.authority.certificate]).problems


def test_a_package_verifies_and_says_what_is_in_it(hospital: Hospital, package: bytes) -> None:
    report = verify(package, [hospital.authority.certificate])
    assert report.problems == []
    assert report.subject == STAY
    assert report.counts == {
        "recordings": 1, "records": 5, "utterances": 2, "audit_entries": 2, "deletions": 0,
    }  # fmt: skip


@pytest.mark.parametrize("name", [STAY, "V-1001", RECORDING])
def test_an_encounter_is_found_by_any_of_its_names(
    hospital: Hospital, package: bytes, name: str
) -> None:
    assert hospital.custody.package(name) == (STAY, package)


def test_a_recording_without_a_stay_has_a_package_too(hospital: Hospital) -> None:
    hospital.record()
    name, data = hospital.custody.package(RECORDING)
    assert (name, problems(hospital, data)) == (RECORDING, [])


def test_the_package_of_a_recording_without_a_stay_holds_nothing_of_others(
    hospital: Hospital,
) -> None:
    hospital.record()
    hospital.say(0, "mine alone", stay="")
    other = hospital.say(1, "canarywords of somebody else", stay="")
    hospital.record("f" * 32)
    hospital.clinical.put_utterance(
        replace(other, id="f" * 32 + "/0", recording="f" * 32, first_seq=7, last_seq=7)
    )
    event = hospital.chart("vital.temp_c", 38.4, "Cel")
    hospital.clinical.move_events([event], "")
    data = hospital.custody.package(RECORDING)[1]
    files = unpack(data)
    assert problems(hospital, data) == []
    assert b"mine alone" in files["utterances.jsonl"]
    assert "f" * 32 not in files["utterances.jsonl"].decode()
    assert files["events.jsonl"] == b""


def test_the_second_recording_of_a_device_verifies_without_the_first(hospital: Hospital) -> None:
    hospital.record("d" * 32)
    hospital.record("c" * 32, close=False)
    data = hospital.custody.package("c" * 32)[1]
    assert problems(hospital, data) == []
    assert not any("d" * 32 in name for name in unpack(data))


def test_an_encounter_that_is_not_there_is_bad_use(hospital: Hospital) -> None:
    with pytest.raises(BadUse, match="no encounter"):
        hospital.custody.package("V-9")


def test_a_change_at_any_byte_is_found(hospital: Hospital) -> None:
    hospital.record(segments=1)
    data = hospital.custody.package(RECORDING)[1]
    draw = random.Random(3)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << draw.randrange(8)
        assert problems(hospital, bytes(changed)), f"byte {at}"


def test_random_bits_of_a_package_with_everything_in_it_are_found(
    hospital: Hospital, package: bytes
) -> None:
    data = hospital.custody.package(STAY, "sealed")[1]
    assert len(data) > len(package)
    assert problems(hospital, data) == []
    draw = random.Random(4)
    for _ in range(400):
        changed, bit = bytearray(data), draw.randrange(8 * len(data))
        changed[bit // 8] ^= 1 << bit % 8
        assert problems(hospital, bytes(changed)), f"bit {bit}"


def zipped_again(data: bytes, method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", method) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    return out.getvalue()


def without(data: bytes, name: str) -> bytes:
    return pack({key: value for key, value in unpack(data).items() if key != name})


def doubled(data: bytes) -> bytes:
    out = io.BytesIO(data)
    with (
        zipfile.ZipFile(out, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr("stay.json", b"null")
    return out.getvalue()


ATTACKS: dict[str, Callable[[bytes], bytes]] = {
    "zipped-again": lambda data: zipped_again(data, zipfile.ZIP_STORED),
    "compressed": lambda data: zipped_again(data, zipfile.ZIP_DEFLATED),
    "reordered": lambda data: pack(dict(reversed(unpack(data).items()))),
    "truncated": lambda data: data[:-40],
    "appended": lambda data: data + b"\x00",
    "extra-file": lambda data: pack(unpack(data) | {"zz.txt": b"hello"}),
    "entry-removed": lambda data: without(data, "audit.jsonl"),
    "recording-removed": lambda data: without(data, f"recordings/{RECORDING}.jsonl"),
    "signature-removed": lambda data: without(data, "manifest.sig"),
    "duplicated": doubled,
    "entry-replaced": lambda data: pack(unpack(data) | {"stay.json": b"null"}),
    "emptied": lambda _: pack({"manifest.json": b""}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_rearranged_packages_are_found(hospital: Hospital, package: bytes, attack: str) -> None:
    assert problems(hospital, ATTACKS[attack](package))


def test_a_package_of_another_authority_is_refused(package: bytes) -> None:
    other = Authority.create("site")
    found = verify(package, [other.certificate]).problems
    assert any("leads to none that is trusted" in problem for problem in found)


def test_a_device_cannot_sign_a_package(hospital: Hospital) -> None:
    hospital.record()
    issued = hospital.authority.device("bay-9")
    assert issued.key is not None
    hospital.signer = type(hospital.signer)(issued.certificate, issued.key)
    data = hospital.custody.package(RECORDING)[1]
    assert problems(hospital, data) == ["the signer's certificate is not one for packages"]


@pytest.mark.parametrize("audio", ["sealed", "pcm"])
def test_audio_comes_along_when_asked_for(hospital: Hospital, package: bytes, audio: str) -> None:
    data = hospital.custody.package(STAY, "pcm" if audio == "pcm" else "sealed")[1]
    assert problems(hospital, data) == []
    assert sum(name.endswith(f".{audio}") for name in unpack(data)) == 3
    assert len(data) > len(package)


def signed_anew(hospital: Hospital, data: bytes, changes: dict[str, bytes]) -> bytes:
    """What a relay that lies would make: it holds the custody key."""
    from bayscribe_verify import manifest

    files = {k: v for k, v in unpack(data).items() if not k.startswith("manifest.")} | changes
    made = manifest.make(STAY, "0", files)
    head = {
        "manifest.json": made,
        "manifest.sig": hospital.signer.sign(manifest.PACKAGE, made),
    }
    return pack(head | dict(sorted(files.items())))


LIES = {
    "words-changed": ("utterances.jsonl", b"began", b"ended"),
    "fault-hidden": ("weights.json", b'{"sets":[', b'{"sets":["00",'),
    "audit-actor": ("audit.jsonl", b'"clinician"', b'"nobody"'),
    "audio-vanished": (f"recordings/{RECORDING}.jsonl", b'"held"', b'"deleted"'),
    "another-device": ("recordings.jsonl", b'"bay-1"', b'"bay-2"'),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_relay_that_signs_lies_is_found_where_devices_signed_the_truth(
    hospital: Hospital, package: bytes, lie: str
) -> None:
    name, old, new = LIES[lie]
    before = unpack(package)[name]
    assert old in before
    assert problems(hospital, signed_anew(hospital, package, {name: before.replace(old, new)}))
