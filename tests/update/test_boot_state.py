from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image.disk import environment

from bayscribe.errors import IntegrityError
from bayscribe.update.bootstate import SECTOR, STATES, BootSector, BootState, Slot, running
from update.unit_places import machine

states = st.sampled_from(sorted(STATES))
slots: st.SearchStrategy[Slot] = st.sampled_from(["a", "b"])
any_state = st.builds(BootState, first=slots, a=states, b=states)


@given(any_state)
def test_what_is_written_is_read_again_and_fits_one_sector(state: BootState) -> None:
    sector = state.sector()
    assert len(sector) == SECTOR
    assert BootState.parse(sector + b"#" * SECTOR) == state


def test_the_builders_first_state_is_one_that_the_unit_reads() -> None:
    block = environment(ORDER="A B", A_STATE="good", B_STATE="void")
    assert BootState.parse(block) == BootState()


def test_an_empty_block_is_what_the_boot_loader_assumes_of_one() -> None:
    assert BootState.parse(environment()) == BootState(first="a", a="good", b="void")


def test_a_write_changes_one_sector_and_nothing_beside_it(tmp_path: Path) -> None:
    unit = machine(tmp_path)
    before = (tmp_path / "boot").read_bytes()
    unit.sector().write(BootState(first="b", a="good", b="3"))
    after = (tmp_path / "boot").read_bytes()
    changed = [n for n, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    assert changed
    assert min(changed) // SECTOR == max(changed) // SECTOR
    assert unit.sector().read() == BootState(first="b", a="good", b="3")


def test_the_first_line_of_a_block_inside_a_program_is_not_taken_for_one(tmp_path: Path) -> None:
    unit = machine(tmp_path)
    data = bytearray((tmp_path / "boot").read_bytes())
    program = b"# GRUB Environment Block\n\0error: invalid environment block.\0"
    data[SECTOR * 8 : SECTOR * 8 + len(program)] = program
    (tmp_path / "boot").write_bytes(data)
    unit.sector().write(BootState(first="b", a="good", b="3"))
    after = (tmp_path / "boot").read_bytes()
    assert after[SECTOR * 8 : SECTOR * 8 + len(program)] == program
    assert unit.sector().read().first == "b"


def test_a_partition_without_a_block_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "boot"
    path.write_bytes(bytes(1 << 20))
    with pytest.raises(IntegrityError):
        BootSector(path).write(BootState())
    assert path.read_bytes() == bytes(1 << 20)


@pytest.mark.parametrize(
    ("state", "starts"),
    [
        (BootState("a", "good", "void"), "a"),
        (BootState("b", "good", "3"), "b"),
        (BootState("b", "good", "1"), "b"),
        (BootState("b", "good", "0"), "a"),
        (BootState("b", "good", "bad"), "a"),
        (BootState("b", "good", "void"), "a"),
        (BootState("a", "void", "bad"), "b"),
        (BootState("a", "void", "void"), None),
        (BootState("b", "bad", "void"), "a"),
    ],
)
def test_which_slot_starts_next(state: BootState, starts: str | None) -> None:
    assert state.starts() == starts


@given(any_state)
def test_a_void_slot_never_starts(state: BootState) -> None:
    slot = state.starts()
    assert slot is None or state.of(slot) != "void"


def test_a_system_that_no_boot_loader_started_has_no_slot() -> None:
    assert running("quiet bayscribe.slot=b rauc.slot=b") == "b"
    for line in ("", "xbayscribe.slot=a", "bayscribe.slot=c", "bayscribe.slot=ab"):
        with pytest.raises(IntegrityError):
            running(line)
