"""Every refusal has its file in ``tests/invalid_config``, whose first line is the complaint, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from prober.config import ConfigError, load

INVALID = Path(__file__).parent.parent / "invalid_config"
FILES = sorted(INVALID.glob("*.yml"))


@pytest.fixture
def beside_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Complaints begin with the path as it was given: a bare name."""
    monkeypatch.chdir(INVALID)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_bad_configuration_is_refused_with_place_reason_and_remedy(file: Path, beside_the_files: None) -> None:
    """The file holds exactly one mistake, and exactly its complaint is made."""
    expected = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    with pytest.raises(ConfigError) as refused:
        load(file.name)
    assert str(refused.value) == expected


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_complaint_says_what_to_do(file: Path, beside_the_files: None) -> None:
    """A complaint has two halves: what is wrong, and the way out of it (or a guess at what was meant)."""
    with pytest.raises(ConfigError) as refused:
        load(file.name)
    for problem in refused.value.problems:
        what, separator, remedy = problem.message.partition("; ")
        assert what
        assert separator
        assert remedy


def test_all_mistakes_are_reported_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    """One run shows everything, so that a person need not fix, run, fix, run."""
    file = tmp_path / "prober.yml"
    file.write_text(
        "intervall: 15s\n"
        "timeout: 5\n"
        "modules:\n"
        "  default: {hello: modren, tls: 9}\n"
        "targets:\n"
        "- name: a\n"
        "  addresses: ['a:b', 'x y']\n"
        "- addresses: [203.0.113.1]\n"
        "  expect: {non_sni: maybe}\n"
    )
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert [(problem.line, problem.path) for problem in refused.value.problems] == [
        (1, "intervall"),
        (2, "timeout"),
        (4, "modules.default.hello"),
        (4, "modules.default.tls"),
        (7, "targets[0].addresses[0]"),
        (7, "targets[0].addresses[1]"),
        (8, "targets[1]"),
        (9, "targets[1].expect.non_sni"),
    ]


def test_a_mistake_in_an_interval_is_not_blamed_on_the_timeout(tmp_path: Path) -> None:
    """What depends on a value that was refused is not complained about a second time."""
    file = tmp_path / "prober.yml"
    file.write_text("interval: 1\ntimeout: 30s\ntargets: []\n")
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert [problem.path for problem in refused.value.problems] == ["interval"]


def test_a_password_in_an_address_is_not_repeated(beside_the_files: None) -> None:
    """Complaints end up in logs and in answers to /-/reload."""
    with pytest.raises(ConfigError) as refused:
        load("address_with_password.yml")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("missing.yml", None, "missing.yml: there is no such file; check the path"),
        ("latin1.yml", b"targets: []\n# caf\xe9\n", "latin1.yml:2: byte 0xe9 is no UTF-8; save the file as UTF-8"),
        ("bell.yml", b"targets: []\n# \x07\n", "bell.yml:2: "),
        ("nothing.yml", b"", "nothing.yml:1: is empty; write at least 'targets: []'"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    name: str, content: bytes | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback for what an operator can do to a file."""
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        load(name)
    assert str(refused.value).startswith(expected)


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    """A path that names a directory is refused as one."""
    with pytest.raises(ConfigError, match="is a directory; name the file in it"):
        load(tmp_path)


def test_a_key_of_bytes_is_refused(tmp_path: Path) -> None:
    """``openssl rand 32 > key`` is no text, and the receiver would check by other bytes than those that are read of it."""
    (tmp_path / "key").write_bytes(bytes(range(0x80, 0xA0)))
    file = tmp_path / "prober.yml"
    file.write_text("targets: []\nalerting:\n  webhooks: [{url: 'https://hooks.example.com/', secret_file: key}]\n")
    with pytest.raises(ConfigError, match=r"secret_file: .*key is no text; write the key as text"):
        load(file)
