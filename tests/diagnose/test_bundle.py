"""The bundle: what the playbook asks for, with an index, and no secret in any member."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from prober.diagnose.bundle import members, redacted, write
from prober.diagnose.causes import diagnose
from prober.diagnose.evidence import EvidenceSet
from prober.diagnose.manifest import read_manifests
from prober.diagnose.routes import read_routes
from prober.findings import SourceReport, findings_document
from tests.diagnose.evidence_samples import GROUP, OVERRIDES, WILDCARD, log, overrides, probe
from tests.diagnose.log_samples import entry
from tests.diagnose.test_redaction import SECRETS, leaks

FLAWED = OVERRIDES.replace('  additionalGateways: ["fallback-no-sni"]\n', "", 1)


def bundle(secret: str = "") -> dict[str, str]:
    manifests = [
        read_manifests("routes.yaml", f"{GROUP}---\n{WILDCARD}metadata2:\n  annotations:\n    x: {json.dumps(secret)}\n")
    ]
    evidence = EvidenceSet(
        probes=(probe("certificate", "reset"),),
        logs=log(entry(remote_address="10.0.0.7:1", sni_host=None if "\n" in secret.strip() else secret[:60] or None)),
        routes=read_routes(manifests),
        overrides=overrides(FLAWED),
        texts={"dir/overrides.yaml": f"{FLAWED}{secret}"},
        sources=(SourceReport(kind="logs", name="ingress.log", error=secret),),
    )
    evidence = redacted(evidence)
    findings = diagnose(evidence)
    document = dict(findings_document(findings, evidence.sources))
    return members(evidence, findings, document, f"report\n{secret}", manifests)


def test_the_playbooks_last_section_is_in_it() -> None:
    """overrides.yaml, the list of routes, each of them described, the environment groups, and our findings."""
    texts = bundle()

    assert {
        "index.txt",
        "report.txt",
        "findings.json",
        "overrides/1-overrides.yaml",
        "routes/get.txt",
        "environment-groups.txt",
    } <= set(texts)
    assert "fallback-no-sni" in texts["routes/get.txt"]
    assert "state: running" in texts["routes/describe/apigeeroute-acme-hyb-prod-grp-000-1a2b3c4.yaml"]
    assert "prod-grp: additionalGateways none" in texts["environment-groups.txt"]
    assert all(name in texts["index.txt"] for name in texts if name != "index.txt")
    assert json.loads(texts["findings.json"])["schema"] == 1


def test_no_member_has_a_secret_wherever_it_was_planted() -> None:
    """In overrides.yaml, in a route's annotation, in a log, in an error message and in the report itself."""
    for secret in SECRETS.values():
        for name, text in bundle(secret).items():
            assert not leaks(text), name


def test_half_a_character_is_in_it_as_a_question_mark(tmp_path: Path) -> None:
    """JSON can spell one, UTF-8 cannot: the index counts the bytes that are written."""
    texts = bundle("pod \ud800 failed")
    write(tmp_path / "a.tar.gz", texts, now=1e9)

    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        member = archive.extractfile("prober-bundle/report.txt")
        assert member is not None
        assert b"report\npod ? failed" == (content := member.read())
    assert f" {len(content)} bytes " in texts["index.txt"]


def test_a_diff_has_no_secret_in_the_lines_around_the_change() -> None:
    """The lines around may be the middle of a secret whose key is further up."""
    block = "  tlsKey: x\n  password: |\n    one\n    Tr0ub4dor two\n    Tr0ub4dor three\n"
    text = FLAWED.replace("- name: test-grp\n", f"- name: test-grp\n{block}").replace(
        "- name: prod-grp\n", f"{block}- name: prod-grp\n".replace("  tlsKey: x\n", "- name: x-grp\n")
    )
    made = EvidenceSet(probes=(probe("certificate", "reset"),), overrides=overrides(text), texts={"overrides.yaml": text})

    before, after = (str(diagnose(each)) for each in (made, redacted(made)))

    assert "Tr0ub4dor" in before
    assert "Tr0ub4dor" not in after
    assert "@@" in after


def test_nothing_is_left_of_an_archive_that_cannot_be_written(tmp_path: Path) -> None:
    """On a full disk half an archive would take the last of the room."""
    (tmp_path / "support.tar.gz").mkdir()
    with pytest.raises(OSError, match="directory"):
        write(tmp_path / "support.tar.gz", bundle(), now=1e9)
    assert [each.name for each in tmp_path.iterdir()] == ["support.tar.gz"]


def test_the_archive_is_for_its_owner_and_can_be_read(tmp_path: Path) -> None:
    """A tar archive of regular files below one directory; nothing of a half-written one is left."""
    path = tmp_path / "support.tar.gz"
    write(path, bundle(), now=1e9)

    with tarfile.open(path) as archive:
        names = archive.getnames()
        assert all(member.isreg() and member.name.startswith("prober-bundle/") for member in archive.getmembers())
    assert "prober-bundle/index.txt" in names
    assert path.stat().st_mode & 0o077 == 0
    assert [path] == list(tmp_path.iterdir())


def test_what_lies_at_a_name_beside_it_is_left_alone(tmp_path: Path) -> None:
    """In a directory that others may write to: neither a link is followed nor a file of theirs, with its mode, taken for the archive."""
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    (tmp_path / "a.tar.gz.partial").symlink_to(precious)
    (tmp_path / "b.tar.gz.partial").touch(0o666)
    for name in ("a.tar.gz", "b.tar.gz"):
        write(tmp_path / name, {"index.txt": "x"}, now=1e9)

        assert not (tmp_path / name).is_symlink()
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert "keep me" == precious.read_text()


@pytest.mark.parametrize("path", [".", "/", "directory"])
def test_a_directory_is_no_place_for_it(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the system, which the command tells in a line; nothing half-written stays."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError):
        write(Path(path), {"index.txt": "x"}, now=1e9)

    assert [tmp_path / "directory"] == list(tmp_path.iterdir())
