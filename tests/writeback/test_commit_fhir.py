"""A signed note is in the chart once, whatever the EMR does to the requests."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bayscribe_relay.writeback.service import answer
from bayscribe_relay.writeback.states import State
from emr.process import EmrProcess
from writeback.rig import hospital, seeds, sign

SETTINGS = {"hang_s": 5.0}


@pytest.fixture(scope="module")
def hospital_emr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmrProcess]:
    with EmrProcess(tmp_path_factory.mktemp("emr"), SETTINGS) as running:
        running.seed(*seeds(40))
        yield running


@pytest.fixture
def emr(hospital_emr: EmrProcess) -> EmrProcess:
    """As it is at the beginning, but for what is in the chart."""
    hospital_emr.clear_script()
    hospital_emr.set(**SETTINGS, mdm_dedupe="document", update_create=True)
    return hospital_emr


def site(emr: EmrProcess, **more: object) -> str:
    lines = {"fhir_base": f'"{emr.fhir}"', "ack_timeout_s": 1.0, **more}
    return "\n".join(f"{name} = {value}" for name, value in lines.items())


def test_a_signed_note_is_verified_in_the_chart(tmp_path: Path, emr: EmrProcess) -> None:
    async def run() -> None:
        async with hospital(tmp_path, site(emr)) as writeback:
            letter = await sign(writeback)
            said = answer(letter)
            assert (letter.state, said["path"]) == (State.VERIFIED, "fhir"), letter.reason
            assert set(said["resources"]) == {"Binary", "DocumentReference", "Provenance"}
            assert emr.census().of(letter.key).exactly_once(letter.note_sha256)
            assert emr.census().of(letter.key).in_lists == 1
            assert said["timings_ms"]["total"] > 0

    asyncio.run(run())


@pytest.mark.parametrize(
    "fault",
    [
        "too-many", "too-many-date", "unavailable", "precondition", "conflict", "server-error",
        "hang", "reset", "entry-429", "stored-but-lost", "partial", "altered", "answer-lost",
        "reset-after-commit", "error-after-commit", "slow-drip", "malformed",
    ],
)  # fmt: skip
def test_one_fault_and_still_exactly_once(tmp_path: Path, emr: EmrProcess, fault: str) -> None:
    async def run() -> None:
        before = emr.faults().get(fault, 0)
        emr.script({"fault": fault, "operation": "transaction"})
        async with hospital(tmp_path, site(emr)) as writeback:
            letter = await sign(writeback)
            assert letter.state is State.VERIFIED, letter.reason
            assert emr.census().of(letter.key).exactly_once(letter.note_sha256)
            assert emr.faults()[fault] == before + 1

    asyncio.run(run())


@pytest.mark.parametrize("faults", [("altered",), ("partial",), ("stored-but-lost",),
    ("partial", "stored-but-lost"), ("conflict",), ("altered", "error-after-commit")])  # fmt: skip
def test_an_emr_that_chooses_ids_keeps_no_remains_of_a_failed_try(
    tmp_path: Path, emr: EmrProcess, faults: tuple[str, ...]
) -> None:
    async def run() -> None:
        emr.set(update_create=False, conditional_create=True)
        orphans = emr.census().orphan_binaries
        emr.script(*({"fault": fault, "operation": "transaction"} for fault in faults))
        async with hospital(tmp_path, site(emr, ack_timeout_s=10.0)) as writeback:
            letter = await sign(writeback)
            assert letter.state is State.VERIFIED, letter.reason
            census = emr.census()
            assert census.of(letter.key).exactly_once(letter.note_sha256)
            assert census.orphan_binaries == orphans

    asyncio.run(run())


def test_forty_sign_at_once(tmp_path: Path, emr: EmrProcess) -> None:
    async def run() -> None:
        async with hospital(tmp_path, site(emr, ack_timeout_s=10.0)) as writeback:
            encounters = [{"id": f"e{n}", "visit_number": "V", "bay": "b"} for n in range(1, 41)]
            letters = await asyncio.gather(*(sign(writeback, encounter=e) for e in encounters))
            census = emr.census()
            for letter in letters:
                assert census.of(letter.key).exactly_once(letter.note_sha256), letter.reason

    asyncio.run(run())
