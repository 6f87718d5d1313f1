"""Temperature and throttling of the computer, from sysfs."""

from pathlib import Path

from bayscribe.health.snapshot import BoardView

SYS = Path("/sys")

RASPBERRY = "devices/platform/soc/soc:firmware/get_throttled"
"""The Raspberry Pi firmware's word, as `vcgencmd get_throttled` prints it."""

_BITS = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
"""Bits of that word (Raspberry Pi documentation, vcgencmd): now; the same plus 16: ever."""

_BEFORE = 16


def look(sys: Path = SYS) -> BoardView:
    """The computer now."""
    word = _number(sys / RASPBERRY, 16)
    now = tuple(text for bit, text in _BITS.items() if word is not None and word >> bit & 1)
    before = tuple(
        text for bit, text in _BITS.items() if word is not None and word >> (bit + _BEFORE) & 1
    )
    return BoardView(
        celsius=_hottest(sys), throttled=(*now, *_capped(sys)), throttled_before=before
    )


def _hottest(sys: Path) -> float | None:
    """Of all thermal zones (millidegrees); sensors that are absent read below zero."""
    found = [_number(zone / "temp", 10) for zone in (sys / "class/thermal").glob("thermal_zone*")]
    real = [value / 1000 for value in found if value is not None and value > 0]
    return round(max(real), 1) if real else None


def _capped(sys: Path) -> tuple[str, ...]:
    """Cooling devices of the processor that are at work now (Jetson, PC)."""
    for device in (sys / "class/thermal").glob("cooling_device*"):
        try:
            kind = (device / "type").read_text(encoding="ascii").strip().lower()
        except (OSError, UnicodeDecodeError):
            continue
        state, most = _number(device / "cur_state", 10), _number(device / "max_state", 10)
        if "cpufreq" in kind and state and most:
            return (f"processor slowed down, step {state} of {most}",)
    return ()


def _number(path: Path, base: int) -> int | None:
    try:
        return int(path.read_text(encoding="ascii").strip(), base)
    except (OSError, ValueError):
        return None
