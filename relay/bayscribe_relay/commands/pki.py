"""``bayscribe-relay pki``: a development authority, device identities, sealing keys."""

import argparse
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bayscribe.errors import BadUse
from bayscribe.wire.seal import Kem, OpeningKey
from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import LEAF_DAYS, Authority, Issued
from bayscribe_relay.pki.tokens import VALID_S, TokenBook
from bayscribe_relay.provision.order import EnrolmentOrder


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser("init", help="make an authority: ca.pem, ca.key, crl.pem")
    init.add_argument("dir", type=Path)
    init.add_argument("--name", default="Bayscribe site CA")
    init.set_defaults(action_run=_init)
    _leaf(actions, "server", "certify a server", _server, san=True)
    _leaf(actions, "device", "key and certificate of one device", _device)
    _leaf(actions, "gateway", "key and certificate of a gateway", _gateway, san=True)
    _leaf(actions, "relay-client", "key and certificate of a relay towards gateways", _relay)
    _leaf(actions, "custody", "key that signs chain-of-custody packages", _custody)
    sign = _leaf(actions, "sign", "certify a device from its request (CSR)", _sign)
    sign.add_argument("--csr", type=Path, required=True, help="PEM certificate signing request")
    _token(actions)
    seal = actions.add_parser("seal-key", help="keys that seal and open audio")
    seal.add_argument("--dir", type=Path, default=Path())
    seal.add_argument("--name", default="seal", help="file name before .open and .pub")
    seal.add_argument(
        "--kem",
        type=lambda text: text.upper().replace("-", "_"),
        choices=[kem.name for kem in Kem],
        default=Kem.MLKEM768_X25519.name,
        help="MLKEM768_X25519 (hybrid, default) or X25519",
    )
    seal.set_defaults(action_run=_seal_key)
    revoke = actions.add_parser("revoke", help="add a certificate to crl.pem")
    revoke.add_argument("certificate", type=Path)
    revoke.add_argument("--dir", type=Path, default=Path(), help="folder of the authority")
    revoke.set_defaults(action_run=_revoke)


def run(options: argparse.Namespace) -> int:
    """Carry out the action."""
    for path in options.action_run(options):
        print(path)
    return 0


def _token(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    summary = "one-time token with which a new unit enrols itself; prints its enrol.toml"
    token = actions.add_parser("token", help=summary, description=summary)
    token.add_argument("name", help="the unit's id")
    token.add_argument("--dir", type=Path, default=Path(), help="folder of the authority")
    token.add_argument("--out", type=Path, help="write enrol.toml there instead of printing it")
    token.add_argument("--minutes", type=float, default=VALID_S / 60, help="validity (%(default)g)")
    token.add_argument(
        "--provision", required=True, metavar="URL", help="https://HOST:PORT of the service"
    )
    token.add_argument("--relay", required=True, metavar="URL", help="wss://HOST:PORT")
    token.add_argument("--site", required=True)
    token.add_argument("--bay", help="name of the bay (default: the unit's id)")
    token.add_argument("--array", required=True, help="profile of the microphone array")
    token.add_argument("--pcm", default="bay", help="ALSA device (%(default)s)")
    token.set_defaults(action_run=_issue_token)


def _leaf(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    action: object,
    *,
    san: bool = False,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=summary, description=summary)
    parser.add_argument("name", help="host name" if name == "server" else "its id")
    parser.add_argument("--dir", type=Path, default=Path(), help="folder of the authority")
    parser.add_argument("--out", type=Path, help="folder for the new files (default: --dir)")
    parser.add_argument("--days", type=int, default=LEAF_DAYS, help="validity (%(default)s)")
    if san:
        parser.add_argument(
            "--san", action="append", default=[], help="further host name or address; repeatable"
        )
    parser.set_defaults(action_run=action)
    return parser


def _init(options: argparse.Namespace) -> list[Path]:
    folder: Path = options.dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadUse(f"{folder} cannot be made: {error.strerror}", code="file") from None
    authority = Authority.create(options.name)
    pem = Issued(authority.certificate, None).pem()
    paths = [folder / "ca.key", folder / "ca.pem", folder / "crl.pem"]
    _refuse_existing(paths)
    files.write_new(paths[0], files.key_pem(authority.key), files.SECRET_MODE)
    files.write_new(paths[1], pem, files.PUBLIC_MODE)
    files.write_new(paths[2], authority.revocation_list({}), files.PUBLIC_MODE)
    return paths


def _server(options: argparse.Namespace) -> list[Path]:
    authority = Authority.load(options.dir)
    return _write(options, authority.server(options.name, options.san, options.days))


def _device(options: argparse.Namespace) -> list[Path]:
    authority = Authority.load(options.dir)
    return _write(options, authority.device(options.name, days=options.days))


def _gateway(options: argparse.Namespace) -> list[Path]:
    authority = Authority.load(options.dir)
    return _write(options, authority.gateway(options.name, options.san, options.days))


def _relay(options: argparse.Namespace) -> list[Path]:
    return _write(options, Authority.load(options.dir).relay_client(options.name, options.days))


def _custody(options: argparse.Namespace) -> list[Path]:
    return _write(options, Authority.load(options.dir).custody(options.name, options.days))


def _sign(options: argparse.Namespace) -> list[Path]:
    authority = Authority.load(options.dir)
    try:
        request = x509.load_pem_x509_csr(files.read(options.csr))
    except ValueError:
        raise BadUse(f"{options.csr} is not a PEM signing request", code="csr") from None
    public = request.public_key()
    if not request.is_signature_valid:
        raise BadUse(f"{options.csr} is not signed by its own key", code="csr")
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise BadUse(f"{options.csr} is not for a P-256 key", code="csr")
    issued = authority.device(options.name, public_key=public, days=options.days)
    return _write(options, issued)


def _issue_token(options: argparse.Namespace) -> list[Path | str]:
    authority = Authority.load(options.dir)
    order = EnrolmentOrder(
        device=options.name,
        url=options.provision,
        relay=options.relay,
        ca_sha256=authority.certificate.fingerprint(hashes.SHA256()).hex(),
        site=options.site,
        bay=options.bay or options.name,
        profile=options.array,
        pcm=options.pcm,
    )
    if options.out is not None:
        _refuse_existing([options.out])
    text = order.text(TokenBook(options.dir).issue(options.name, options.minutes * 60))
    if options.out is None:
        return [text.rstrip()]
    files.write_new(options.out, text.encode(), files.SECRET_MODE)
    return [options.out]


def _seal_key(options: argparse.Namespace) -> list[Path]:
    key = OpeningKey.generate(Kem[options.kem])
    paths = [options.dir / f"{options.name}.open", options.dir / f"{options.name}.pub"]
    _refuse_existing(paths)
    files.write_new(paths[0], key.to_text().encode(), files.SECRET_MODE)
    files.write_new(paths[1], key.sealing_key().to_text().encode(), files.PUBLIC_MODE)
    return paths


def _revoke(options: argparse.Namespace) -> list[Path]:
    authority = Authority.load(options.dir)
    authority.revoke(options.dir, files.load_certificate(options.certificate))
    return [options.dir / "crl.pem"]


def _write(options: argparse.Namespace, issued: Issued) -> list[Path]:
    folder: Path = options.out or options.dir
    paths = [folder / f"{options.name}.pem"]
    if issued.key is not None:
        paths.append(folder / f"{options.name}.key")
    _refuse_existing(paths)
    if issued.key is not None:
        files.write_new(paths[1], files.key_pem(issued.key), files.SECRET_MODE)
    public = issued.certificate.public_bytes(serialization.Encoding.PEM)
    files.write_new(paths[0], public, files.PUBLIC_MODE)
    return paths


def _refuse_existing(paths: list[Path]) -> None:
    """Refuse before the first of several files is written, not between them."""
    for path in paths:
        if path.exists():
            raise BadUse(
                f"{path} exists", "move it away first; keys are never overwritten", code="exists"
            )
