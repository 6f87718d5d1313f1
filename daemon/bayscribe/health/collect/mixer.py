"""The array's mixer against its profile."""

from collections.abc import Callable, Iterator
from typing import Any

from bayscribe.audio.profiles import Board, MixerSetting

_CLOSE_PERCENT = 2
"""Drivers round a percentage to their own steps."""


def moved(board: Board, open_mixer: Callable[[str, str], Any] | None = None) -> tuple[str, ...]:
    """Controls that do not stand where the profile wants them: ``NAME: found, wanted``.

    Args:
        board: the profile's board; nothing is said of a card that is not there.
        open_mixer: opens ``(control, card)``; ALSA's by default.
    """
    if open_mixer is None and not _is_present(board.card):
        return ()
    found = []
    for setting in board.mixer:
        try:
            mixer = (open_mixer or _alsa_mixer)(setting.control, board.card)
            found += list(_differences(mixer, setting))
        except (OSError, ValueError, RuntimeError) as error:
            found.append(f"{setting.control}: cannot be read: {error}")
    return tuple(found)


def _is_present(card: str) -> bool:
    import alsaaudio

    return bool(card) and card in alsaaudio.cards()


def _alsa_mixer(control: str, card: str) -> Any:  # noqa: ANN401 - pyalsaaudio has no types
    import alsaaudio

    try:
        return alsaaudio.Mixer(control=control, device=f"hw:CARD={card}")
    except alsaaudio.ALSAAudioError as error:
        raise OSError(str(error)) from None


def _differences(
    mixer: Any,  # noqa: ANN401 - pyalsaaudio has no types
    setting: MixerSetting,
) -> Iterator[str]:
    import alsaaudio

    name = setting.control
    try:
        if setting.percent is not None:
            volumes = list(mixer.getvolume(pcmtype=alsaaudio.PCM_CAPTURE))
            if any(abs(volume - setting.percent) > _CLOSE_PERCENT for volume in volumes):
                yield f"{name}: at {volumes} %, wanted {setting.percent}"
        if setting.raw is not None:
            raw = list(
                mixer.getvolume(pcmtype=alsaaudio.PCM_CAPTURE, units=alsaaudio.VOLUME_UNITS_RAW)
            )
            if any(volume != setting.raw for volume in raw):
                yield f"{name}: at {raw}, wanted {setting.raw}"
        if setting.choice is not None and (stands := _choice(mixer)) != setting.choice:
            yield f"{name}: at {stands}, wanted {setting.choice}"
    except alsaaudio.ALSAAudioError as error:
        raise OSError(str(error)) from None


def _choice(mixer: Any) -> str:  # noqa: ANN401 - pyalsaaudio has no types
    items = mixer.getenum()
    if items:
        return str(items[0])
    return "On" if all(mixer.getrec()) else "Off"
