"""The software bill of materials: CycloneDX 1.5, JSON.

Debian packages from the tree's package database, Python packages from their metadata, the
networks and the product itself; each with a version, a package URL (purl specification) and
a SHA-256: of the wheel's record for Python, of the list of file checksums for Debian.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

NAMES = uuid.UUID("2b6cf1ac-2f0a-4f4c-8c0e-2b7d6e1c9b41")
"""Name space of the serial numbers."""

Component = dict[str, Any]


def _component(
    kind: str, name: str, version: str, purl: str, digest: str, licences: str = ""
) -> Component:
    found: Component = {
        "type": kind,
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    if licences:
        found["licenses"] = [{"license": {"name": licences}}]
    return found


def debian(status: Path) -> Iterator[Component]:
    """Debian packages, from a tree's ``var/lib/dpkg``."""
    for stanza in (status / "status").read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", stanza, re.MULTILINE))
        if not fields.get("Status", "").endswith(" installed"):
            continue
        name, version, arch = (fields[key] for key in ("Package", "Version", "Architecture"))
        sums = [status / "info" / f"{name}{suffix}.md5sums" for suffix in ("", f":{arch}")]
        listed = next((path.read_bytes() for path in sums if path.exists()), stanza.encode())
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={arch}"
        yield _component("library", name, version, purl, hashlib.sha256(listed).hexdigest())


def unpacked(name: str, version: str, arch: str, file: Path) -> Component:
    """A Debian package of which the image holds files without its database entry."""
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={arch}"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return _component("operating-system", name, version, purl, digest)


def python(site: Path) -> Iterator[Component]:
    """Python packages, from a folder of installed wheels."""
    for folder in sorted(site.glob("*.dist-info")):
        metadata = HeaderParser().parsestr((folder / "METADATA").read_text(encoding="utf-8"))
        name, version = str(metadata["Name"]), str(metadata["Version"])
        licence = str(metadata.get("License-Expression") or "")
        record = folder / "RECORD"
        digest = hashlib.sha256((record if record.exists() else folder / "METADATA").read_bytes())
        purl = f"pkg:pypi/{quote(name.lower())}@{quote(version)}"
        yield _component("library", name, version, purl, digest.hexdigest(), licence)


def networks(models: Path) -> Iterator[Component]:
    """The networks that the product runs, each by its file."""
    for path in sorted(models.glob("*.tflite")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield _component(
            "machine-learning-model",
            path.name,
            digest[:12],
            f"pkg:generic/bayscribe-{quote(path.stem)}@{digest[:12]}",
            digest,
        )


def document(name: str, version: str, epoch: int, components: list[Component]) -> str:
    """The whole bill of one image."""
    listed = sorted(components, key=lambda component: str(component["bom-ref"]))
    own = f"pkg:generic/{quote(name)}@{quote(version)}"
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMES, f'{name}/{version}')}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "firmware",
                "bom-ref": own,
                "name": name,
                "version": version,
                "purl": own,
            },
        },
        "components": listed,
    }
    return json.dumps(bill, indent=1, sort_keys=True) + "\n"
