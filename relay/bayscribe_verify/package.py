"""The whole check of a package."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import msgspec
from cryptography import x509

from bayscribe.errors import IntegrityError
from bayscribe_verify import chart, rows
from bayscribe_verify import manifest as sealed
from bayscribe_verify.container import unpack
from bayscribe_verify.recordings import (
    Heard,
    check_audio,
    check_recording,
    device_keys,
    model_digests,
    stated_faults,
    weight_sets,
)
from bayscribe_verify.trust import Trust, may_sign_custody

T = TypeVar("T")


@dataclass(slots=True)
class Report:
    """What the check found. ``problems`` is empty when all of it verifies."""

    problems: list[str] = field(default_factory=list)
    subject: str = ""
    signer: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)

    @property
    def verified(self) -> bool:
        """Whether everything verifies."""
        return not self.problems


class _StopError(Exception):
    """What follows cannot be judged."""


def verify(data: bytes, anchors: Sequence[x509.Certificate]) -> Report:
    """Check a package with nothing but its bytes and the certificates that its reader trusts."""
    report = Report()
    try:
        _Check(data, anchors, report).run()
    except _StopError:
        pass
    except IntegrityError as error:
        report.problems.append(str(error))
    except (ValueError, KeyError):
        report.problems.append("a value in the package cannot be read")
    return report


class _Check:
    def __init__(self, data: bytes, anchors: Sequence[x509.Certificate], report: Report) -> None:
        self._report = report
        self._files = unpack(data)
        self._anchors = anchors
        self._trust = Trust(anchors)
        self._used: set[str] = set()

    def run(self) -> None:
        self._check_manifest()
        self._trust = Trust(self._anchors, self._authorities())
        self._check_signer()
        recordings, heard = self._check_recordings()
        deletions = self._check_deletions(recordings, heard)
        erased = {ident: digest for one in deletions for ident, digest in one.utterances}
        spoken = self._rows("utterances.jsonl", rows.Utterance)
        self._add("", chart.check_utterances(spoken, heard, erased))
        self._check_letters(recordings, heard)
        entries = self._rows("audit.jsonl", rows.Audit)
        self._add("", chart.check_audit(entries))
        for name in ("stay.json", "events.jsonl", "prompts.jsonl", "refusals.jsonl"):
            self._lines(name)
        self._report.counts |= {
            "recordings": len(recordings),
            "records": len(heard.records),
            "utterances": len(spoken),
            "audit_entries": sum(entry.mine for entry in entries),
            "deletions": len(deletions),
        }
        for name in sorted(set(self._files) - self._used):
            self._problem(f"{name}: no file of a package")

    # -- the frame

    def _check_manifest(self) -> None:
        names = list(self._files)
        if names[:2] != [sealed.MANIFEST, sealed.SIGNATURE] or names[2:] != sorted(names[2:]):
            self._stop("the package does not begin with its manifest, or is out of order")
        raw = self._take(sealed.MANIFEST)
        try:
            manifest = msgspec.json.decode(raw, type=sealed.Manifest)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._stop("the manifest cannot be read")
        self._report.subject = manifest.subject
        held = {
            name: (len(data), hashlib.sha256(data).hexdigest())
            for name, data in self._files.items()
            if name not in (sealed.MANIFEST, sealed.SIGNATURE)
        }
        said = {entry.name: (entry.size, entry.sha256) for entry in manifest.entries}
        for name in sorted(held.keys() | said.keys()):
            if name not in held:
                self._problem(f"{name}: is missing")
            elif name not in said:
                self._problem(f"{name}: is not in the manifest")
            elif held[name] != said[name]:
                self._problem(f"{name}: was altered")

    def _check_signer(self) -> None:
        try:
            signer = x509.load_der_x509_certificate(self._take(sealed.SIGNER))
        except ValueError:
            self._stop("the signer's certificate cannot be read")
        manifest, signature = self._take(sealed.MANIFEST), self._take(sealed.SIGNATURE)
        self._report.signer = signer.subject.rfc4514_string()
        if not self._trust.vouches(signer):
            self._problem("the signer's certificate leads to none that is trusted")
        if not may_sign_custody(signer):
            self._problem("the signer's certificate is not one for packages")
        if not sealed.signed_by(signer, sealed.PACKAGE, manifest, signature):
            self._problem("the signature over the manifest does not verify")

    def _authorities(self) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(self._take("ca.pem"))
        except ValueError:
            self._stop("ca.pem cannot be read")

    # -- the contents

    def _check_recordings(self) -> tuple[dict[str, rows.Recording], Heard]:
        prefix = "certificates/"
        ders = {
            name.removeprefix(prefix).removesuffix(".der"): self._take(name)
            for name in self._files
            if name.startswith(prefix)
        }
        certificates, problems = device_keys(ders, self._trust)
        self._add("", problems)
        recordings = {one.recording: one for one in self._rows("recordings.jsonl", rows.Recording)}
        heard = Heard()
        for name, about in recordings.items():
            lines = self._rows(f"recordings/{name}.jsonl", rows.Record)
            found = check_recording(about, lines, certificates, heard)
            self._add(f"recording {name}: ", found)
        audio = {n: self._take(n) for n in self._files if n.startswith("audio/")}
        self._add("", check_audio(heard, audio))
        headers = list(heard.headers.values())
        if self._rows("faults.jsonl", rows.Fault) != stated_faults(headers):
            self._problem("faults.jsonl: is not what the records state")
        stated = self._one("weights.json", dict[str, list[str]])
        if stated != {"sets": weight_sets(headers)}:
            self._problem("weights.json: is not what the records state")
        models = self._one("models.json", dict[str, Any])
        if models.get("appliances") != model_digests(headers):
            self._problem("models.json: is not what the records state")
        return recordings, heard

    def _check_deletions(
        self, recordings: dict[str, rows.Recording], heard: Heard
    ) -> list[rows.Deletion]:
        proofs = self._rows("deletions.jsonl", rows.Proof)
        deletions, problems = chart.check_deletions(proofs, self._trust)
        self._add("", problems)
        self._add("", chart.check_deleted(recordings, heard, deletions))
        return deletions

    def _check_letters(self, recordings: dict[str, rows.Recording], heard: Heard) -> None:
        notes: dict[str, dict[str, Any]] = {}
        for letter in self._rows("letters.jsonl", rows.Letter):
            prefix = f"letters/{letter.key}/"
            files = {
                n.removeprefix(prefix): self._take(n) for n in self._files if n.startswith(prefix)
            }
            before = len(self._report.problems)
            self._add(f"letter {letter.key}: ", chart.check_letter(letter, files))
            self._report.letters[letter.key] = letter.state
            if len(self._report.problems) == before:
                notes[letter.key] = msgspec.json.decode(files["note.json"])
        drafts = {one.revision: one for one in self._rows("drafts.jsonl", rows.Draft)}
        signatures = self._rows("signatures.jsonl", rows.Signature)
        found = chart.check_signatures(signatures, drafts, notes, recordings, heard)
        self._add("", self._readable(lambda: list(found)))

    def _readable(self, check: Callable[[], list[str]]) -> list[str]:
        try:
            return check()
        except (KeyError, TypeError, AttributeError):
            return ["a signed note cannot be read"]

    # -- reading

    def _take(self, name: str) -> bytes:
        self._used.add(name)
        data = self._files.get(name)
        if data is None:
            self._stop(f"{name}: is missing")
        return data

    def _lines(self, name: str) -> list[bytes]:
        return self._take(name).splitlines()

    def _rows(self, name: str, kind: type[T]) -> list[T]:
        try:
            return [msgspec.json.decode(line, type=kind) for line in self._lines(name)]
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._stop(f"{name}: cannot be read")

    def _one(self, name: str, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self._take(name), type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._stop(f"{name}: cannot be read")

    def _problem(self, text: str) -> None:
        if text not in self._report.problems:
            self._report.problems.append(text)

    def _add(self, prefix: str, problems: Iterable[str]) -> None:
        for problem in problems:
            self._problem(prefix + problem)

    def _stop(self, text: str) -> NoReturn:
        self._problem(text)
        raise _StopError
