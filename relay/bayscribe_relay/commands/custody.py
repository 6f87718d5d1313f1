"""``bayscribe-relay custody``: the chain-of-custody package of one encounter."""

import argparse
import getpass
from pathlib import Path

from bayscribe_relay import config
from bayscribe_relay.clinical import audit
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.custody.config import Signer
from bayscribe_relay.custody.package import Custody
from bayscribe_relay.pki import files


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("encounter", help="our stay's id, the visit number or a recording's id")
    parser.add_argument("--config", type=Path, required=True, help="the relay's TOML file")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument(
        "--audio",
        choices=["none", "sealed", "pcm"],
        nargs="?",
        const="pcm",
        default="none",
        help="with the audio: sealed as the device made it, or opened (16-bit PCM, the "
        "meaning of --audio alone); default none",
    )


def run(options: argparse.Namespace) -> int:
    """Write the package and print its name."""
    settings = config.load(options.config)
    signer = Signer.load(settings.custody)
    opening = config.opening_keys(settings) if options.audio == "pcm" else ()
    clinical = ClinicalStore(settings.store.url)
    try:
        made = Custody(
            clinical=clinical,
            signer=signer,
            device_ca=files.read(Path(settings.tls.device_ca)),
            opening=opening,
        )
        subject, package = made.package(options.encounter, options.audio)
        files.replace(options.out, package, files.SECRET_MODE)
        audit.record(
            clinical, f"os:{getpass.getuser()}", "custody-exported", subject, options.audio
        )
    finally:
        clinical.close()
    print(options.out)
    return 0
