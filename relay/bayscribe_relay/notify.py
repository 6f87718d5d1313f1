"""Telling systemd how the service is (sd_notify(3)): ready, stopping, alive."""

import os
import socket


def notify(state: str) -> bool:
    """Send one state line, for instance ``READY=1``.

    Returns:
        whether somebody was there to be told.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.sendto(state.encode(), address)
        except OSError:
            return False
    return True
