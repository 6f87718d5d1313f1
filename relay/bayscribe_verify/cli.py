"""``bayscribe-verify``: check a chain-of-custody package on any machine."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509

from bayscribe.errors import BadUse
from bayscribe_verify.container import looks_like_package
from bayscribe_verify.package import Report, verify


def main(argv: Sequence[str] | None = None) -> int:
    """Check one package.

    Returns:
        0 everything verifies; 1 something does not; 2 bad use or bad input.
    """
    parser = argparse.ArgumentParser(
        prog="bayscribe-verify",
        description="Check a chain-of-custody package: every record, signature, hash and answer "
        "in it. Needs the package and the certificates that you trust, nothing else.",
    )
    parser.add_argument("package", type=Path)
    parser.add_argument(
        "--trust", type=Path, action="append", required=True, metavar="CERT",
        help="PEM file with the certificate of the site's authority; repeatable",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(argv)
    try:
        report = verify(_package(options.package), _anchors(options.trust))
    except BadUse as error:
        print(f"bayscribe-verify: {error.line()}", file=sys.stderr)
        return 2
    _print_json(report) if options.json else _print(report)
    return 0 if report.verified else 1


def _package(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadUse(f"{path} cannot be read: {error.strerror}", code="file") from None
    if not looks_like_package(data):
        raise BadUse(
            f"{path} is not a package", "give what `bayscribe-relay custody` wrote", code="package"
        )
    return data


def _anchors(paths: Sequence[Path]) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    for path in paths:
        try:
            found += x509.load_pem_x509_certificates(path.read_bytes())
        except OSError as error:
            raise BadUse(f"{path} cannot be read: {error.strerror}", code="file") from None
        except ValueError:
            raise BadUse(f"{path} holds no PEM certificate", code="certificate") from None
    return found


def _print(report: Report) -> None:
    print(f"encounter {report.subject or '(unknown)'}")
    print(f"signed by {report.signer or '(unknown)'}")
    for name, count in report.counts.items():
        print(f"  {name.replace('_', ' ')}: {count}")
    for key, state in report.letters.items():
        print(f"  note {key}: {state}")
    for problem in report.problems:
        print(f"PROBLEM {problem}")
    print("verified" if report.verified else "DOES NOT VERIFY")


def _print_json(report: Report) -> None:
    print(
        json.dumps(
            {
                "verified": report.verified,
                "subject": report.subject,
                "signer": report.signer,
                "counts": report.counts,
                "letters": report.letters,
                "problems": report.problems,
            }
        )
    )


if __name__ == "__main__":
    sys.exit(main())
