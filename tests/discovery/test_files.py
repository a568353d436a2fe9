"""Files of targets, watched; read by the configuration's own reader."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from prober.config.target_files import read_target_file
from prober.config.targets import TargetDefaults
from prober.discovery import files
from prober.discovery.files import FileWatcher
from prober.model import Module
from prober.sources import ADDRESS, NAME, LabelSets, SourceError, TargetFiles
from tests.discovery.told import Told

READ = partial(
    read_target_file, defaults=TargetDefaults(15.0, None, {"default": Module(), "strict": Module(name="strict", timeout=2.0)})
)
ONE = "targets:\n- {name: one, addresses: [203.0.113.1]}\n"
TWO = "- {name: two, addresses: [203.0.113.2]}\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks in hundredths; nothing else is changed."""
    monkeypatch.setattr(files, "LOOK", 0.02)
    monkeypatch.setattr(files, "SETTLE", 0.02)


@asynccontextmanager
async def watching(*patterns: object) -> AsyncIterator[Told]:
    told = Told()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(FileWatcher(TargetFiles(patterns=tuple(map(str, patterns))), READ).run, told)
        await told.until(lambda: told.count)
        yield told
        nursery.cancel_scope.cancel()


def replaced(path: Path, text: str) -> None:
    """As careful programs write."""
    draft = path.with_name(".draft")
    draft.write_text(text)
    draft.replace(path)


async def test_files_are_added_changed_and_removed(tmp_path: Path) -> None:
    """By pattern; written in place, replaced, and gone."""
    (tmp_path / "a.yml").write_text(ONE)
    async with watching(tmp_path / "*.yml") as told:
        assert told.served == {"203.0.113.1:443": ""}
        (tmp_path / "b.yml").write_text(TWO)
        await told.until(lambda: len(told.found) == 2)
        replaced(tmp_path / "a.yml", ONE.replace("113.1", "113.9"))
        await told.until(lambda: told.served.keys() == {"203.0.113.9:443", "203.0.113.2:443"})
        (tmp_path / "a.yml").unlink()
        await told.until(lambda: told.served.keys() == {"203.0.113.2:443"})
        assert told.problems == ()


async def test_a_file_that_is_being_written_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The beginning of a list is a valid shorter list: what stood there before stays until the file has settled."""
    monkeypatch.setattr(files, "SETTLE", 0.5)
    file = tmp_path / "a.yml"
    file.write_text(ONE)
    lines = ["targets:\n", *(f"- {{name: n{number}, addresses: [198.51.100.{number}]}}\n" for number in range(1, 31))]
    async with watching(file) as told:
        seen: list[int] = []
        with file.open("w") as stream:
            for line in lines:
                stream.write(line)
                stream.flush()
                await trio.sleep(0.02)
                seen.append(len(told.found))
        await told.until(lambda: len(told.found) == 30)
        assert set(seen) == {1}
        assert told.problems == ()


async def test_editors_leave_nothing_behind_that_is_read(tmp_path: Path) -> None:
    """Vim renames the old file away, writes a new one and removes the old one; emacs and others keep copies and locks beside it."""
    file = tmp_path / "a.yml"
    file.write_text(ONE)
    async with watching(tmp_path / "*.yml") as told:
        (tmp_path / ".a.yml.swp").write_text("swap")
        (tmp_path / ".#a.yml").symlink_to("user@host.1:2")
        file.rename(tmp_path / "a.yml~")
        file.write_text(TWO)
        (tmp_path / "a.yml~").unlink()
        await told.until(lambda: told.served == {"203.0.113.2:443": ""})
        assert told.problems == ()


async def test_a_directory_that_is_gone_is_not_an_empty_one(tmp_path: Path) -> None:
    """A volume that is not mounted: the targets stay, it is told, and afterwards the truth is seen again."""
    directory = tmp_path / "sd"
    directory.mkdir()
    (directory / "a.yml").write_text(ONE)
    async with watching(directory / "*.yml") as told:
        directory.rename(tmp_path / "away")
        await told.until(lambda: told.problems)
        assert str(directory) in told.problems[0]
        assert told.served == {"203.0.113.1:443": ""}
        (tmp_path / "away" / "a.yml").unlink()
        (tmp_path / "away" / "b.yml").write_text(TWO)
        (tmp_path / "away").rename(directory)
        await told.until(lambda: told.served == {"203.0.113.2:443": ""} and not told.problems)


@pytest.mark.parametrize("harm", ["damage", "delete"])
async def test_a_dead_file_keeps_its_last_targets(harm: str, tmp_path: Path) -> None:
    """A list that cannot be read, or a named file that is gone: it is told, and healed by the next good one."""
    file = tmp_path / "a.yml"
    file.write_text(ONE)
    async with watching(file) as told:
        if harm == "damage":
            file.write_text("targets: [{name: one, addresses: [203.0.113.1], moduel: x}]\n")
        else:
            file.unlink()
        await told.until(lambda: told.problems)
        assert str(file) in told.problems[0]
        assert told.served == {"203.0.113.1:443": ""}
        replaced(file, TWO)
        await told.until(lambda: told.served == {"203.0.113.2:443": ""} and not told.problems)


async def test_a_link_that_leads_nowhere_hides_no_other_file(tmp_path: Path) -> None:
    """Whatever the order in which the directory is listed; it is told until it is gone."""
    for name in "abcdefgh":
        (tmp_path / f"{name}.yml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "[d].yml").write_text(ONE)
    async with watching(tmp_path / "*.yml") as told:
        assert told.served == {"203.0.113.1:443": ""}
        assert len(told.problems) == 8
        (tmp_path / "e2.yml").write_text(TWO)
        await told.until(lambda: told.served.keys() == {"203.0.113.1:443", "203.0.113.2:443"})
        (tmp_path / "[d].yml").unlink()
        (tmp_path / "[d].yml").symlink_to(tmp_path / "nowhere")
        await told.until(lambda: len(told.problems) == 9)
        assert told.served.keys() == {"203.0.113.1:443", "203.0.113.2:443"}
        for name in "abcdefgh":
            (tmp_path / f"{name}.yml").unlink()
        (tmp_path / "[d].yml").unlink()
        await told.until(lambda: told.served == {"203.0.113.2:443": ""} and not told.problems)


async def test_a_config_map_is_followed_through_its_links(tmp_path: Path) -> None:
    """Kubernetes exchanges a link to a directory; the files' own names and links never change."""
    for number, text in enumerate((ONE, TWO)):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "targets.yml").write_text(text)
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "targets.yml").symlink_to("..data/targets.yml")
    async with watching(tmp_path / "*.yml") as told:
        assert told.served == {"203.0.113.1:443": ""}
        (tmp_path / "..new").symlink_to("..1")
        (tmp_path / "..new").replace(tmp_path / "..data")
        await told.until(lambda: told.served == {"203.0.113.2:443": ""})


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.with_suffix(".json").write_text('[\n\t{"targets": ["203.0.113.1:443"], "labels": {"a": "1"}}\n]'),
        lambda path: path.with_suffix(".yml").write_text("- targets: ['203.0.113.1:443']\n  labels: {a: 1}\n"),
    ],
)
def test_file_sd_is_read_as_prometheus_writes_it(write: Callable[[Path], object], tmp_path: Path) -> None:
    """JSON with tabs, YAML with numbers for labels."""
    write(tmp_path / "sd")
    (file,) = tmp_path.iterdir()
    (labels,) = READ(str(file))
    assert labels == {ADDRESS: "203.0.113.1:443", "a": "1", "__meta_filepath": str(file)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sd.yml", "- targets:\n- labels: {x: y}\n- targets: ['203.0.113.1:443']\n  labels: {a: , b: c}\n"),
        ("sd.json", '[{"targets": null}, {"labels": null}, {"targets": ["203.0.113.1:443"], "labels": {"a": null, "b": "c"}}]'),
    ],
)
def test_what_a_template_left_empty_is_nothing_as_in_prometheus(name: str, text: str, tmp_path: Path) -> None:
    """A group without targets, and a label without a value, cost the file nothing; a target without a value does."""
    file = tmp_path / name
    file.write_text(text)
    (labels,) = READ(str(file))
    assert labels == {ADDRESS: "203.0.113.1:443", "a": "", "b": "c", "__meta_filepath": str(file)}
    file.write_text('[{"targets": [null]}]')
    with pytest.raises(SourceError, match=r"\[0\]\.targets\[0\]: is empty"):
        READ(str(file))


def test_the_own_form_says_what_a_target_says(tmp_path: Path) -> None:
    """Every key arrives; what is the default is left to the configuration."""
    file = tmp_path / "a.yml"
    file.write_text(
        "- {name: one, addresses: [203.0.113.1, '[2001:db8::1]:8443'], server_names: [a.example, b.example], module: strict,\n"
        "   interval: 30s, timeout: 3s, expect: {non_sni: rejected}, labels: {team: blue}}\n"
    )
    first, second = READ(str(file))
    assert first == {
        "__meta_filepath": str(file),
        ADDRESS: "203.0.113.1:443",
        NAME: "one",
        "__server_names": "a.example,b.example",
        "__module": "strict",
        "__interval": "30s",
        "__timeout": "3s",
        "__expect_non_sni": "rejected",
        "team": "blue",
    }
    assert second[ADDRESS] == "[2001:db8::1]:8443"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("targets: []\nmore: 1\n", ":2: more: unknown key"),
        ("- targets: [a]\n  lables: {}\n", ":2: [0].lables: unknown key; did you mean 'labels'?"),
        ("- targets: a\n", ":1: [0].targets: is a string"),
        ("- {name: one}\n", "addresses is missing"),
        ("- {name: one, addresses: [a]}\n- {name: one, addresses: [b]}\n", ":2: [1]: the name 'one' is used twice"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    """As the configuration file itself."""
    file = tmp_path / "a.yml"
    file.write_text(text)
    with pytest.raises(SourceError) as refused:
        READ(str(file))
    assert said in str(refused.value)


@pytest.mark.parametrize("value", ["🚀", "\\ud83d\\ude80", "a\u2028b\x85\x7fc", '\t\\/"', "\\🚀"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_is_read_as_json(tmp_path: Path, value: str, *, ascii_only: bool) -> None:
    """Programs write what is beyond U+FFFF as two escapes, and leave as it is what YAML would not take."""
    file = tmp_path / "targets.json"
    groups = [{"targets": ["203.0.113.1:443"], "labels": {"team": value}}]
    file.write_text(json.dumps(groups, ensure_ascii=ascii_only), encoding="utf-8")
    (labels,) = READ(str(file))
    assert labels["team"] == value


async def test_a_file_that_hangs_takes_no_thread_from_the_others(tmp_path: Path) -> None:
    """Each reload may leave one such thread behind, and metrics are compressed in those that are shared out."""
    (tmp_path / "a.yml").write_text(ONE)
    reading, released = threading.Event(), threading.Event()

    def hang(path: str) -> LabelSets:
        reading.set()
        released.wait()
        return READ(path)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(FileWatcher(TargetFiles(patterns=(str(tmp_path / "a.yml"),)), hang).run, Told())
        await trio.to_thread.run_sync(reading.wait)
        shared = trio.to_thread.current_default_thread_limiter().borrowed_tokens
        nursery.cancel_scope.cancel()
    released.set()
    assert shared == 0
