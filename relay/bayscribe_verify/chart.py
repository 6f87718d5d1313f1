"""Checks of what was made of the recordings: transcript, signature, Bundle, answers, audit."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from cryptography import x509

from bayscribe.wire.header import SegmentHeader
from bayscribe_verify.manifest import DELETION, signed_by
from bayscribe_verify.recordings import Heard
from bayscribe_verify.rows import (
    Audit,
    Deletion,
    Draft,
    Letter,
    Proof,
    Recording,
    Signature,
    Utterance,
    audio_sha256,
    chain_sha256,
    text_sha256,
    within,
)
from bayscribe_verify.rows import Heard as Covered
from bayscribe_verify.trust import Trust, may_sign_custody

_AUDIO = ("audio-sha256", "audio-chain-sha256")
"""Ends of the identifier systems of a Provenance's audio, in the order of the note's."""


def check_utterances(
    rows: Iterable[Utterance], heard: Heard, erased: dict[str, str]
) -> Iterator[str]:
    """Each utterance leads to segments that are there, with the audio hashes they carry."""
    for row in rows:
        if not row.text and row.id in erased:
            if row.text_sha256 != erased[row.id]:
                yield f"utterance {row.id}: another text was deleted than was there"
        elif text_sha256(row.text) != row.text_sha256:
            yield f"utterance {row.id}: its words do not match their hash"
        hashes = tuple(
            h.pcm_sha256.hex()
            for h in heard.segments(row.recording)
            if row.first_seq <= h.seq <= row.last_seq
        )
        if not hashes or hashes != row.pcm_sha256:
            yield f"utterance {row.id}: does not lead to the audio that it names"


def check_letter(row: Letter, files: dict[str, bytes]) -> Iterator[str]:
    """Note, Bundle and answer of one letter fit together."""
    bundle, content = files.get("bundle.json", b""), files.get("note.json", b"")
    if hashlib.sha256(bundle).hexdigest() != row.bundle_sha256:
        yield "the Bundle is not the one that was sent"
    try:
        note = msgspec.json.decode(content)
        text = note["note"]["content"].encode()
        stated = note["attestation"]["note_sha256"], row.note_sha256
        resources = {e["resource"]["resourceType"]: e["resource"] for e in _entries(bundle)}
        binary, listed, provenance = (
            resources[kind] for kind in ("Binary", "DocumentReference", "Provenance")
        )
        sent = base64.b64decode(binary["data"], validate=True)
        told = _extension_sha256(listed)
        identifiers = [e["what"]["identifier"] for e in provenance["entity"]]
        sources = [i["value"] for i in identifiers if str(i["system"]).endswith(_AUDIO)]
        narratives = [
            i["value"] for i in identifiers if str(i["system"]).endswith("narrative-sha256")
        ]
        same_form = binary["contentType"] == note["note"]["media_type"]
        audio = [note["audio"]["sha256"], note["audio"]["chain_sha256"]]
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError):
        yield "note or Bundle cannot be read"
        return
    digest = hashlib.sha256(text).hexdigest()
    if {digest} != {*stated, *narratives}:
        yield "the note is not the one that was attested"
    if hashlib.sha256(sent).hexdigest() != told or (same_form and sent != text):
        yield "the Bundle carries another note than was attested"
    if not same_form and not narratives:
        yield "the Bundle carries another form of the note and does not say of which"
    if sources != audio:
        yield "the Provenance names other audio than the note"
    yield from _check_answer(row, files.get("answer.json"))


def _entries(bundle: bytes) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = msgspec.json.decode(bundle)["entry"]
    return entries


def _extension_sha256(document: dict[str, Any]) -> str:
    attachment = document["content"][0]["attachment"]
    return str(attachment["extension"][0]["valueString"])


def _check_answer(row: Letter, answer: bytes | None) -> Iterator[str]:
    if row.state != "verified":
        return
    try:
        said = msgspec.json.decode(answer or b"")
    except msgspec.MsgspecError:
        said = None
    if not isinstance(said, dict) or (said.get("type"), said.get("key")) != ("committed", row.key):
        yield "is said to be in the chart, but the gateway's answer does not say so"


def check_signatures(
    rows: Iterable[Signature],
    drafts: dict[int, Draft],
    notes: dict[str, dict[str, Any]],
    recordings: dict[str, Recording],
    heard: Heard,
) -> Iterator[str]:
    """What each signature covers is what the package holds."""
    for row in rows:
        note = notes.get(row.key)
        if note is None:
            yield f"signature {row.key}: its note is missing"
            continue
        if note["attestation"]["note_sha256"] != row.note_sha256:
            yield f"signature {row.key}: is over another note"
        if note["author"]["npi"] != row.npi:
            yield f"signature {row.key}: is another clinician's"
        if row.n == 0 and drafts.get(row.revision) is None:
            yield f"signature {row.key}: the revision that was signed is missing"
        yield from _check_heard(row, note, recordings, heard)


def _check_heard(
    row: Signature, note: dict[str, Any], recordings: dict[str, Recording], heard: Heard
) -> Iterator[str]:
    hashes: list[bytes] = []
    chains: list[bytes] = []
    for part in row.heard:
        about = recordings.get(part.recording)
        value = heard.chains.get((part.recording, part.through_seq))
        if about is None or value is None or value.hex() != part.chain:
            yield f"signature {row.key}: recording {part.recording} is not the one it covers"
            continue
        chains.append(value)
        hashes += [
            h.pcm_sha256
            for h in heard.segments(part.recording)
            if h.seq <= part.through_seq and _belongs(h, part)
        ]
    stated = note["audio"]["sha256"], note["audio"]["chain_sha256"]
    if (audio_sha256(hashes), chain_sha256(chains)) != stated:
        yield f"signature {row.key}: the note names other audio than the recordings hold"


def _belongs(header: SegmentHeader, part: Covered) -> bool:
    end = header.wall_ns + header.samples * 10**9 // header.sample_rate
    return within(header.wall_ns, end, part.bound)


def check_audit(rows: Iterable[Audit]) -> Iterator[str]:
    """Each entry's digest, and that none is missing between the first and the last."""
    previous: bytes | None = None
    for row in rows:
        if previous is not None and row.previous != previous:
            yield f"audit entry {row.n}: something is missing before it"
        if row.mine and _audit_digest(row) != row.digest:
            yield f"audit entry {row.n}: does not match its digest"
        previous = row.digest


def _audit_digest(row: Audit) -> bytes:
    parts = (str(row.at_ns), row.actor, row.action, row.stay, row.detail)
    body = b"".join(len(p.encode()).to_bytes(4, "big") + p.encode() for p in parts)
    return hashlib.sha256(row.previous + body).digest()


def check_deletions(proofs: Iterable[Proof], trust: Trust) -> tuple[list[Deletion], list[str]]:
    """Deletion proofs, and what is wrong with any of them."""
    found: list[Deletion] = []
    problems: list[str] = []
    for place, proof in enumerate(proofs):
        try:
            certificate = x509.load_der_x509_certificate(proof.certificate)
            deletion = msgspec.json.decode(proof.body, type=Deletion)
        except (ValueError, msgspec.MsgspecError):
            problems.append(f"deletion {place}: cannot be read")
            continue
        if not trust.vouches(certificate) or not may_sign_custody(certificate):
            problems.append(f"deletion {place}: no trusted relay signed it")
        elif not signed_by(certificate, DELETION, proof.body, proof.signature):
            problems.append(f"deletion {place}: its signature does not verify")
        else:
            found.append(deletion)
    return found, problems


def check_deleted(
    recordings: dict[str, Recording], heard: Heard, deletions: Iterable[Deletion]
) -> Iterator[str]:
    """Audio is gone only where a signed proof says so, and of the hash that was sealed."""
    proven = {(dev, seq): digest for one in deletions for dev, seq, digest in one.payloads}
    for (recording, seq), row in heard.records.items():
        if row.audio != "deleted":
            continue
        device = recordings[recording].device
        if proven.get((device, seq)) != row.sealed_sha256:
            yield f"record {seq} of {device}: its audio is gone without a proof"
