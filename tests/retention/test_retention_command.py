import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from benchmarks.writeback import postgres

from bayscribe_relay.cli import main
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.pki import files
from bayscribe_relay.pki.authority import Issued
from bayscribe_relay.retention.config import RetentionConfig
from bayscribe_relay.retention.erase import Retention
from bayscribe_relay.retention.policy import DAY_NS
from bayscribe_relay.store import schema
from bayscribe_verify.package import verify
from custody.hospital import STAY, T0, Hospital
from faults.rig import Site
from retention.closed_stay import close_stay, post_letter

KILLED = """
import os, signal, sys
from pathlib import Path
from bayscribe_relay import config
from bayscribe_relay.clinical.store import ClinicalStore
from bayscribe_relay.custody.config import Signer
from bayscribe_relay.retention.erase import Retention
settings = config.load(Path(sys.argv[1]))
real, left = Signer.sign, [int(sys.argv[2])]
def sign(self, purpose, data):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return real(self, purpose, data)
Signer.sign = sign
clinical, signer = ClinicalStore(settings.store.url), Signer.load(settings.custody)
Retention(clinical, signer, settings.retention).run()
"""


def configured(hospital: Hospital, text: str) -> Path:
    """The relay's file, with a custody key of the hospital's own authority."""
    folder = hospital.folder
    site = Site(folder)
    (folder / "ca.pem").write_bytes(Issued(hospital.authority.certificate, None).pem())
    (folder / "ca.key").unlink()
    (folder / "ca.key").write_bytes(files.key_pem(hospital.authority.key))
    config = site.relay_file(8443)
    assert main(["pki", "custody", "relay-1", "--dir", str(folder)]) == 0
    custody = '[custody]\ncertificate = "relay-1.pem"\nkey = "relay-1.key"\n'
    config.write_text(config.read_text() + custody + text)
    return config


def kept(hospital: Hospital) -> int:
    with hospital.clinical.engine.connect() as link:
        return link.execute(sa.select(sa.func.count()).select_from(schema.payloads)).scalar_one()


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    made = Hospital(tmp_path)
    close_stay(made)
    post_letter(made, settled_ns=1)  # due by whatever clock the machine has
    yield made
    made.close()


def test_the_command_holds_shows_tries_and_deletes(
    hospital: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(configured(hospital, "[retention]\naudio_days = 0\ntranscript_days = 0\n"))
    capsys.readouterr()

    def said(*words: str) -> dict[str, object]:
        assert main(["retention", *words, "--config", config]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert isinstance(answer, dict)
        return answer

    assert said("hold", STAY, "--reason", "claim 17") == {"held": STAY}
    assert said("run")["segments"] == 0
    shown = said("show")
    assert isinstance(shown["holds"], list)
    assert shown["holds"][0]["stay"] == STAY
    assert said("release", STAY) == {"released": STAY}
    assert said("run", "--dry-run")["segments"] == 3
    assert kept(hospital) == 3
    assert said("run")["segments"] == 3
    assert kept(hospital) == 0
    assert said("show")["proofs"] == {STAY: 2}


def test_a_relay_without_a_policy_is_told_so(
    hospital: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(configured(hospital, ""))
    assert main(["retention", "run", "--config", config]) == 2
    assert "[retention]" in capsys.readouterr().err
    assert kept(hospital) == 3


@pytest.mark.parametrize("proofs", [0, 1])
def test_kill_9_leaves_a_thing_whole_or_gone_with_its_proof(
    hospital: Hospital, proofs: int
) -> None:
    config = configured(hospital, "[retention]\naudio_days = 0\ntranscript_days = 0\n")
    command = [sys.executable, "-c", KILLED, str(config), str(proofs)]
    killed = subprocess.run(command, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert kept(hospital) == 3 * (1 - proofs)
    words = [one.text for one in hospital.clinical.utterances(stay=STAY)]
    assert all(words)
    with hospital.clinical.transaction() as link:
        link.exec_driver_sql("delete from letters")
        link.exec_driver_sql("delete from signed_notes")
    package = hospital.custody.package(STAY)[1]
    report = verify(package, [hospital.authority.certificate])
    assert (report.problems, report.counts["deletions"]) == ([], proofs)


def test_two_relays_on_postgresql_share_the_work(tmp_path: Path) -> None:
    with postgres.running() as server:
        hospital = Hospital(tmp_path, url=postgres.fresh_database(server))
        other = ClinicalStore(hospital.url)
        try:
            close_stay(hospital)
            post_letter(hospital)
            policy = RetentionConfig()
            first = Retention(hospital.clinical, hospital.signer, policy)
            second = Retention(other, hospital.signer, policy)
            later = T0 + 31 * DAY_NS
            done = [first.run(later), second.run(later)]
            assert [one.segments for one in done] == [3, 0]
            assert [one.utterances for one in done] == [2, 0]
            assert first.deletions() == {STAY: 2}
        finally:
            other.close()
            hospital.close()
