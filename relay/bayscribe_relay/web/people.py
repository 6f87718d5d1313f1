"""Who may enter: a person, and the local password file.

The file is JSON, readable by its owner alone, and replaced as one step. Passwords are kept
as Argon2id in PHC form (RFC 9106; memory 19 MiB and 2 passes are the OWASP Password Storage
Cheat Sheet's first choice, CC BY-SA 4.0: parameters only).
"""

import os
import re
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from msgspec import Struct

from bayscribe.errors import BadUse, ConfigError
from bayscribe_relay.clinical.stays import Clinician
from bayscribe_relay.pki import files
from bayscribe_relay.web.config import Role
from bayscribe_relay.writeback.note import npi_valid

PASSWORD_MIN: Final = 12
"""Characters; NIST SP 800-63B asks for 15 where it is the only factor of an open service,
8 as the least: behind the hospital's network and a limit on tries we ask for 12."""

PASSWORD_MAX: Final = 256
_MEMORY_KIB, _PASSES, _LANES, _BYTES = 19 * 1024, 2, 1, 32
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


class Person(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who has logged in.

    Attributes:
        name: of the account.
        role: what the person may do.
        npi: National Provider Identifier, of a clinician.
        family: name.
        given: name.
        label: of the enrolled voice on the appliances.
    """

    name: str
    role: Role
    npi: str = ""
    family: str = ""
    given: str = ""
    label: str = ""

    @property
    def shown(self) -> str:
        """How the pages call the person."""
        return f"{self.given} {self.family}".strip() or self.name

    @property
    def actor(self) -> str:
        """How the audit log calls the person."""
        return f"user:{self.name}"

    @property
    def clinician(self) -> Clinician | None:
        """The person as one whose note it can be."""
        if self.role != "clinician" or not self.npi:
            return None
        return Clinician(npi=self.npi, family=self.family, given=self.given, label=self.label)


class User(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account of the password file."""

    person: Person
    password: str
    disabled: bool = False


def check_person(person: Person) -> Person:
    """A person whose fields can be taken.

    Raises:
        BadUse: the name cannot be an account's, or a clinician has no valid NPI or no name.
    """
    if not _NAME.fullmatch(person.name):
        raise BadUse(
            "this cannot name an account", "use lower-case letters, digits, '.', '_', '@', '-'"
        )
    if person.role == "clinician":
        if not npi_valid(person.npi):
            raise BadUse("the NPI is not valid", "give the ten digits of the clinician's own")
        if not person.family or not person.given:
            raise BadUse("a clinician needs both names", "give --family and --given")
    return person


class PasswordFile:
    """The local accounts. Read again whenever the file has changed.

    Args:
        path: the file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._users: dict[str, User] = {}
        self._unknown = hash_password(os.urandom(16).hex())

    def users(self) -> list[User]:
        """All accounts by name.

        Raises:
            ConfigError: the file cannot be read.
        """
        self._refresh()
        return [self._users[name] for name in sorted(self._users)]

    def verify(self, name: str, password: str) -> Person | None:
        """The person of a name and password; takes as long whoever asks and whatever is wrong.

        Raises:
            ConfigError: the file cannot be read.
        """
        self._refresh()
        user = self._users.get(name)
        good = _matches(user.password if user else self._unknown, password)
        return user.person if user is not None and good and not user.disabled else None

    def person(self, name: str) -> Person | None:
        """An enabled account's person."""
        self._refresh()
        user = self._users.get(name)
        return user.person if user is not None and not user.disabled else None

    def add(self, person: Person, password: str) -> None:
        """Add an account.

        Raises:
            BadUse: it is there already, or name, NPI or password cannot be taken.
        """
        check_person(person)
        if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
            raise BadUse(f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters")
        self._refresh()
        if person.name in self._users:
            raise BadUse("there is such an account", "disable it, or take another name")
        user = User(person=person, password=hash_password(password))
        self._write({**self._users, person.name: user})

    def disable(self, name: str) -> None:
        """Let an account in no more.

        Raises:
            BadUse: there is none.
        """
        self._refresh()
        if name not in self._users:
            raise BadUse("there is no such account", "list them with `users list`")
        user = msgspec.structs.replace(self._users[name], disabled=True)
        self._write({**self._users, name: user})

    def _write(self, users: dict[str, User]) -> None:
        body = msgspec.json.format(msgspec.json.encode([users[n] for n in sorted(users)]))
        files.replace(self._path, body + b"\n", 0o600)
        self._stamp = None

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._users, self._stamp = {}, None
            return
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if stamp == self._stamp:
            return
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=list[User])
        except (OSError, msgspec.MsgspecError):
            raise ConfigError(
                f"{self._path}: is not a password file", "make it with `bayscribe-relay users add`"
            ) from None
        self._users = {user.person.name: user for user in found}
        self._stamp = stamp


def hash_password(password: str) -> str:
    """A password's Argon2id hash in PHC form."""
    return Argon2id(
        salt=os.urandom(16),
        length=_BYTES,
        iterations=_PASSES,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    ).derive_phc_encoded(password.encode())


def _matches(hashed: str, password: str) -> bool:
    if len(password) > PASSWORD_MAX:
        return False
    try:
        Argon2id.verify_phc_encoded(password.encode(), hashed)
    except InvalidKey:
        return False
    return True
