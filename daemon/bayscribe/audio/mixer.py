"""Holds a board's mixer where its profile says, so that levels keep their meaning.

Drivers come back from a suspend or a replug with other gains than they had; so this is
done at every open, and what could not be set is reported, not guessed.
"""

from collections.abc import Callable, Iterator
from typing import Any

from bayscribe.audio.profiles import Board, MixerSetting


def hold_mixer(
    board: Board, open_mixer: Callable[[str, str], Any] | None = None
) -> Iterator[tuple[str, str]]:
    """Set every control of the profile; yields the controls that refused, and why.

    Args:
        board: the profile's board; without its card there is nothing to hold.
        open_mixer: opens ``(control, card)``; ALSA's by default, if the card is there.
    """
    if open_mixer is None and not _is_present(board.card):
        return
    for setting in board.mixer:
        try:
            _set((open_mixer or _alsa_mixer)(setting.control, board.card), setting)
        except (OSError, ValueError, RuntimeError) as error:
            yield setting.control, str(error)


def _is_present(card: str) -> bool:
    import alsaaudio

    return bool(card) and card in alsaaudio.cards()


def _alsa_mixer(control: str, card: str) -> Any:  # noqa: ANN401 - pyalsaaudio has no types
    import alsaaudio

    try:
        return alsaaudio.Mixer(control=control, device=f"hw:CARD={card}")
    except alsaaudio.ALSAAudioError as error:
        raise OSError(str(error)) from None


def _set(mixer: Any, setting: MixerSetting) -> None:  # noqa: ANN401 - pyalsaaudio has no types
    import alsaaudio

    try:
        if setting.percent is not None:
            mixer.setvolume(setting.percent, pcmtype=alsaaudio.PCM_CAPTURE)
        if setting.raw is not None:
            mixer.setvolume(
                setting.raw, pcmtype=alsaaudio.PCM_CAPTURE, units=alsaaudio.VOLUME_UNITS_RAW
            )
        if setting.choice is not None:
            _choose(mixer, setting.choice)
    except alsaaudio.ALSAAudioError as error:
        raise OSError(str(error)) from None


def _choose(mixer: Any, choice: str) -> None:  # noqa: ANN401 - pyalsaaudio has no types
    items = mixer.getenum()
    if items:
        mixer.setenum(items[1].index(choice))
    else:
        mixer.setrec(1 if choice == "On" else 0)
