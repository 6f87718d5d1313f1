"""The recorded microphone under the real ALSA, as the capture tests have it."""

from audio.conftest import open_bay, plugin

__all__ = ["open_bay", "plugin"]
