"""``bayscribe unmute``: the same command as :mod:`bayscribe.commands.mute`, the other way."""

from bayscribe.commands.mute import configure, run

__all__ = ["configure", "run"]
