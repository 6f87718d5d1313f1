"""The mixer is held where the profile says."""

import pytest

from bayscribe.audio.mixer import hold_mixer
from bayscribe.audio.profiles import Board, MixerSetting


class Control:
    """A mixer control that remembers what it was told."""

    def __init__(self, items: list[str]) -> None:
        self.items = items
        self.told: list[object] = []

    def setvolume(self, value: int, **how: object) -> None:
        self.told.append((value, sorted(how)))

    def getenum(self) -> tuple[str, list[str]] | tuple[()]:
        return (self.items[0], self.items) if self.items else ()

    def setenum(self, index: int) -> None:
        self.told.append(self.items[index])

    def setrec(self, on: int) -> None:
        self.told.append(("switch", on))


@pytest.mark.parametrize(
    ("setting", "items", "told"),
    [
        (MixerSetting("Mic", percent=100), [], (100, ["pcmtype"])),
        (MixerSetting("PGA", raw=0), [], (0, ["pcmtype", "units"])),
        (MixerSetting("ALC", choice="Off"), ["Stereo", "Off"], "Off"),
        (MixerSetting("Boost", choice="On"), [], ("switch", 1)),
    ],
)
def test_each_kind_of_setting_reaches_its_control(
    setting: MixerSetting, items: list[str], told: object
) -> None:
    control = Control(items)
    refused = list(hold_mixer(Board(card="x", mixer=(setting,)), lambda *_: control))
    assert refused == []
    assert control.told == [told]


def test_control_that_is_missing_is_reported_and_the_others_are_set() -> None:
    control = Control([])

    def opened(name: str, card: str) -> Control:
        if name == "gone":
            raise OSError(f"no {name} on {card}")
        return control

    board = Board(card="x", mixer=(MixerSetting("gone", raw=1), MixerSetting("Mic", raw=2)))
    assert list(hold_mixer(board, opened)) == [("gone", "no gone on x")]
    assert len(control.told) == 1


def test_board_whose_card_is_absent_is_left_alone() -> None:
    assert list(hold_mixer(Board(card="absent", mixer=(MixerSetting("Mic", raw=2),)))) == []
