"""``enrol.toml``: all that an installer hands a new unit."""

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EnrolmentOrder:
    """What the file says beside the token.

    Attributes:
        device: id that the unit gets.
        url: ``https://HOST:PORT`` of the provisioning service.
        relay: ``wss://HOST:PORT`` of the relay.
        ca_sha256: fingerprint of the authority's certificate (DER), hex.
        site: name of the site.
        bay: name of the bay.
        profile: of the microphone array.
        pcm: ALSA device.
    """

    device: str
    url: str
    relay: str
    ca_sha256: str
    site: str
    bay: str
    profile: str
    pcm: str

    def text(self, token: str) -> str:
        """The file. JSON's strings are TOML's basic strings."""
        tables = {
            "enrolment": {
                "url": self.url,
                "device": self.device,
                "ca_sha256": self.ca_sha256,
                "token": token,
            },
            "unit": {"site": self.site, "bay": self.bay},
            "array": {"profile": self.profile, "pcm": self.pcm},
            "uplink": {"url": self.relay},
        }
        lines = ["# Good for one unit, once, and for a short time."]
        for table, values in tables.items():
            lines += ["", f"[{table}]", *(f"{k} = {json.dumps(v)}" for k, v in values.items())]
        return "\n".join(lines) + "\n"
