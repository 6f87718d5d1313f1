import re
from pathlib import Path

import pytest
from image.declaration import Board, boards, declaration

from bayscribe import resources
from image import disk

BOARDS = boards()
DEBIAN_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
RUN_HERE = {"pc-amd64", "virt-arm64"}


@pytest.fixture(params=sorted(BOARDS))
def board(request: pytest.FixtureRequest) -> Board:
    return BOARDS[request.param]


def test_the_boards_that_the_product_names_are_there() -> None:
    wanted = {"raspberry-pi-4", "raspberry-pi-5", "jetson-orin-nano", "pc-amd64", "virt-arm64"}
    assert wanted <= BOARDS.keys()


def test_every_board_has_the_images_partitions(board: Board) -> None:
    layout = disk.Disk.of(declaration())
    assert [part.name for part in board.partitions] == list(layout.places)
    assert [part.mib for part in board.partitions] == [size for _, size in layout.places.values()]
    assert [part.name for part in board.partitions if part.grows] == ["data"]
    assert [part.filesystem for part in board.partitions] == [
        "vfat",
        "squashfs",
        "squashfs",
        "ext4",
    ]
    assert board.partitions[0].type == "esp"


def test_every_board_ends_its_start_in_the_same_way(board: Board) -> None:
    built_for = declaration().architectures[board.architecture]
    assert f"EFI/BOOT/{built_for.loader} (GRUB)" in board.boots
    assert board.boots[-3:] == (
        "grub.cfg chooses the slot",
        "vmlinuz and initrd in the slot",
        "systemd",
    )


def test_what_nobody_has_seen_is_said(board: Board) -> None:
    assert board.untested
    name = next(key for key, value in BOARDS.items() if value is board)
    assert bool(board.tested) == (name in RUN_HERE)
    if not board.tested:
        assert board.untested[0].startswith("everything on the board itself")


def test_arrays_and_overlays_are_ones_that_the_product_has(board: Board) -> None:
    folder = resources.firmware_config()
    for name in board.arrays:
        assert (folder / "arrays" / f"{name}.toml").is_file(), name
    for array, file in board.overlays.items():
        assert array in board.arrays
        assert (folder / "overlays" / file).is_file(), file


def test_firmware_files_are_from_a_package_or_text_never_both(board: Board) -> None:
    paths = [file.path for file in board.firmware]
    assert len(paths) == len(set(paths))
    for file in board.firmware:
        assert bool(file.package) != bool(file.text), file.path
        assert bool(file.package) == bool(file.source), file.path
        assert not Path(file.path).is_absolute()
        assert not Path(file.source).is_absolute()
        if file.package:
            assert DEBIAN_NAME.fullmatch(file.package)
        for line in file.text:
            assert re.fullmatch(r"[A-Za-z_][\w-]*=\S+", line), line


def test_kernel_parameters_do_not_contradict_the_images(board: Board) -> None:
    common = {word.split("=")[0] for word in declaration().kernel_parameters}
    for word in board.kernel_parameters:
        key = word.split("=")[0]
        assert key == "console" or key not in common
        assert key not in ("root", "init", "bayscribe.slot", "rauc.slot"), "the loader says these"


def test_a_boards_kernel_brings_its_device_tree_to_the_firmware(board: Board) -> None:
    if board.device_tree and board.firmware:
        name = Path(board.device_tree).name
        assert name in {file.path for file in board.firmware}
