"""Where the files that ship with the product lie: array profiles and networks.

In a checkout they stand at the top of the tree; an installed wheel carries them
under ``bayscribe/data``.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _find(name: str) -> Path:
    installed = _PACKAGE / "data" / name
    return installed if installed.is_dir() else _PACKAGE.parent.parent / name


def firmware_config() -> Path:
    """Folder of array profiles, ALSA configuration, udev rules and overlays."""
    return _find("firmware-config")


def models() -> Path:
    """Folder of the networks, their manifest, cards and licences."""
    return _find("models")
