"""``bayscribe-relay users``: the password file."""

import io
import json
from pathlib import Path

import pytest

from bayscribe_relay import cli
from bayscribe_relay.web.people import PasswordFile
from web.web_rig import PASSWORD


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "relay.toml"
    path.write_text(
        '[web]\nurl = "https://localhost"\ncertificate = "web.pem"\nkey = "web.key"\n'
        'users = "users.json"\n'
    )
    return path


def add(config: Path, monkeypatch: pytest.MonkeyPatch, *more: str, password: str = PASSWORD) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    return cli.main(["users", "add", *more, "--password-stdin", "--config", str(config)])


def test_an_account_is_added_listed_used_and_disabled(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    who = ["okafor", "--role", "clinician", "--npi", "1234567893"]
    names = ["--given", "Adaeze", "--family", "Okafor", "--label", "clinician"]
    assert add(config, monkeypatch, *who, *names) == 0
    path = config.with_name("users.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in path.read_text()
    assert "$argon2id$" in path.read_text()
    book = PasswordFile(path)
    person = book.verify("okafor", PASSWORD)
    assert person is not None
    assert person.clinician is not None
    assert person.clinician.label == "clinician"
    assert book.verify("okafor", PASSWORD + "x") is None
    assert cli.main(["users", "list", "--json", "--config", str(config)]) == 0
    listed = json.loads(capsys.readouterr().out)["users"]
    assert [(u["name"], u["npi"], u["disabled"]) for u in listed] == [
        ("okafor", "1234567893", False)
    ]
    assert "password" not in listed[0]
    assert cli.main(["users", "disable", "okafor", "--config", str(config)]) == 0
    assert book.verify("okafor", PASSWORD) is None


@pytest.mark.parametrize(
    ("arguments", "password"),
    [
        (["okafor", "--role", "clinician", "--given", "A", "--family", "O"], PASSWORD),
        (["okafor", "--role", "clinician", "--npi", "1234567890", "--family", "O"], PASSWORD),
        (["okafor", "--role", "clinician", "--npi", "1234567893"], PASSWORD),
        (["Not A Name", "--role", "operator"], PASSWORD),
        (["op", "--role", "operator"], "short"),
    ],
)
def test_what_cannot_be_an_account_is_refused_in_one_line(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    password: str,
) -> None:
    assert add(config, monkeypatch, *arguments, password=password) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert password not in said
    assert not config.with_name("users.json").exists()


def test_a_broken_password_file_lets_nobody_in(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.with_name("users.json").write_text("[{}]")
    assert cli.main(["users", "list", "--config", str(config)]) == 2
    assert "is not a password file" in capsys.readouterr().err
