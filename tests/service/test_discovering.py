"""Discovery in the running service: targets come, change and go while it watches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.servers.scripted import read_hello, reset, scripted
from tests.service.process import eventually, serving

ROUND = {"interval": "1s", "timeout": "800ms"}


def test_discovered_targets_are_watched_and_survive_a_bad_file(tmp_path: Path) -> None:
    """Beside the configured ones; the metrics say how many, since when, and that something is wrong."""
    with scripted(read_hello(), reset()) as peer:
        found = tmp_path / "sd.json"
        group: dict[str, Any] = {
            "targets": [str(peer.endpoint)],
            "labels": {"target": "found", "__server_names": "a.example", "team": "blue"},
        }
        found.write_text(json.dumps([group]))
        configured = {"name": "edge", "addresses": [str(peer.endpoint)], "server_names": ["a.example"]}
        document = {**ROUND, "targets": [configured], "discovery": [{"files": ["*.json"]}]}
        with serving(tmp_path, document) as service:
            service.wait_ready()
            assert set(service.verdicts()) == {f"edge {peer.endpoint}", f"found {peer.endpoint}"}
            assert service.value("prober_targets", source="files") == 1
            assert service.value("prober_targets", source="config") == 1
            assert (service.value("prober_discovery_last_success_timestamp_seconds", source="files") or 0) > 1e9
            of_none = {"target": "found", "sni": "none", "outcome": "reset", "team": "blue"}
            before = service.value("probe_handshakes_total", **of_none) or 0
            found.write_text("[")
            eventually(lambda: service.value("prober_discovery_problems", source="files") == 1, "the bad file is seen")
            assert service.value("prober_targets", source="files") == 1
            service.rewrite({**document, "listen": "127.0.0.1:0"})
            assert service.get("/-/reload", "POST").status == 200
            eventually(
                lambda: (service.value("probe_handshakes_total", **of_none) or 0) > before,
                "the last good target goes on counting",
            )
            found.write_text("[]")
            eventually(lambda: set(service.verdicts()) == {f"edge {peer.endpoint}"}, "the target is gone")
            assert service.value("prober_targets", source="files") == 0
            assert "level=error" not in service.program.log()
            found.write_text(json.dumps([{**group, "labels": {**group["labels"], "cost-centre": "7"}}]))
            eventually(lambda: service.value("prober_targets", source="files") == 1, "only the label is left out")
            assert "target is left out" not in service.program.log()
            assert "the label is left out" in service.program.log()
