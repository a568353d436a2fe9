"""The configuration file is read again when it changes, where it says so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import trio

from prober.operations import Reloaded
from prober.service import config_watch
from prober.service.config_watch import LOOK_SECONDS, ConfigWatch, Settling
from prober.service.file_stamps import stamp
from prober.service.plan import load_plan
from tests.pki import Authority
from tests.service.process import eventually, serving
from tests.service.test_running import running

TARGET = {"name": "edge", "addresses": ["127.0.0.1:1"], "server_names": ["api.example.test"]}


def document(**more: Any) -> dict[str, Any]:
    return {"listen": "127.0.0.1:0", "interval": "1s", "timeout": "500ms", "targets": [TARGET], "reload_on_change": True, **more}


def test_a_changed_file_is_taken_into_use_and_a_bad_one_is_not(tmp_path: Path) -> None:
    """Without signal or request; the file may also be replaced, as a mounted ConfigMap is."""
    with serving(tmp_path, document()) as service:
        service.wait_ready()
        service.rewrite(document(targets=[TARGET, {**TARGET, "name": "more"}]))
        eventually(lambda: service.value("prober_targets", source="config") == 2, "the file is taken into use")
        service.rewrite("targets: 3")
        eventually(lambda: service.value("prober_config_last_reload_successful") == 0, "the bad file is refused")
        assert service.value("prober_targets", source="config") == 2
        (tmp_path / "new").write_text(service.get("/config").text.replace("more", "other"))
        (tmp_path / "new").replace(service.config)
        eventually(lambda: service.value("prober_config_last_reload_successful") == 1, "the replaced file is taken into use")
        eventually(lambda: {key.split()[0] for key in service.verdicts()} == {"edge", "other"}, "its targets are watched")
        assert service.program.log().count("msg=reloaded") == 2


def test_a_change_counts_once_and_not_before_it_stays() -> None:
    """A file that grows between two looks is still being written; one that is put back was never changed."""
    settling = Settling(("a",))
    looks = ["a", "b", "c", "d", "d", "d", "a", "a", "b", "a", "a", "e", "e"]
    assert [text for text in looks if settling.changed((text,))] == ["d", "a", "e"]


def test_a_stamp_is_another_one_when_a_file_is_written_replaced_or_gone(tmp_path: Path) -> None:
    """Also through a symbolic link to a directory, which is how a ConfigMap is mounted."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "prober.yml").write_text("targets: []\n")
    link = tmp_path / "data"
    link.symlink_to("1")
    file = str(link / "prober.yml")
    stamps = [stamp([file])]
    (tmp_path / "1" / "prober.yml").write_text("targets: [] # more\n")
    stamps.append(stamp([file]))
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(link)
    stamps.append(stamp([file]))
    (tmp_path / "2" / "prober.yml").unlink()
    stamps.append(stamp([file]))
    assert len(set(stamps)) == 4
    assert stamp([file]) == stamps[-1]


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("then", ["accepted", "refused", "with other anchors"])
async def test_what_a_reload_has_read_is_not_read_once_more(
    then: str, slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal or a request came first, or the file is looked at while it is being read; what changes afterwards is read."""
    look = 0.02
    monkeypatch.setattr(config_watch, "LOOK_SECONDS", look)
    file, anchors = tmp_path / "prober.yml", tmp_path / "ca.pem"
    Authority.root().write(tmp_path).replace(anchors)
    begin = "reload_on_change: true\n"
    text = {
        "accepted": "interval: 20s\n",
        "refused": "interval: never\n",
        "with other anchors": f"modules: {{default: {{ca_file: {anchors}}}}}\n",
    }[then]
    reloads, again = 0, trio.Event()

    def slowly(*arguments: Any) -> Any:
        try:
            return load_plan(*arguments)
        finally:
            time.sleep(10 * look)

    if slow:
        monkeypatch.setattr("prober.service.running.load_plan", slowly)
    async with running(file, begin) as service, trio.open_nursery() as nursery:

        async def reload() -> Reloaded:
            nonlocal reloads
            reloads += 1
            again.set()
            return await service.reload()

        watch = ConfigWatch(load_plan(file), reload)
        service.on_config, service.on_read = watch.configure, watch.read
        nursery.start_soon(watch.run)
        await trio.sleep(3 * look)
        file.write_text(begin + text)
        assert bool((await service.reload()).errors) == (then == "refused")
        await trio.sleep(10 * look)
        assert reloads == 0
        file.write_text(begin + text + "# and more\n")
        with trio.fail_after(30):
            await again.wait()
        await trio.sleep(20 * look)
        assert reloads == 1
        nursery.cancel_scope.cancel()


@pytest.mark.timeout(90)
def test_without_the_key_nobody_reads_it_again(tmp_path: Path) -> None:
    """A reload brings the key; what was changed before is no news then."""
    with serving(tmp_path, document(reload_on_change=False)) as service:
        service.wait_ready()
        service.rewrite(document(targets=[]))
        # Longer than two looks, so that a service that reads it on its own would have.
        time.sleep(3 * LOOK_SECONDS)
        assert service.value("prober_targets", source="config") == 1
        assert service.get("/-/reload", "POST").status == 200
        assert service.value("prober_targets", source="config") == 0
        time.sleep(3 * LOOK_SECONDS)
        assert service.program.log().count("msg=reloaded") == 1
