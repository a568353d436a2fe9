"""``/probe`` beside a real blackbox_exporter, on the same real server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.pki import NOW, Authority
from tests.servers.ports import Ports
from tests.servers.processes import running
from tests.servers.requirements import require_program
from tests.service.process import serving

NAME = "api.example.test"
CHAIN = "probe_ssl_last_chain_info"
SAME = ("probe_success", "probe_ssl_earliest_cert_expiry", "probe_ssl_last_chain_expiry_timestamp_seconds")


def test_a_verified_chain_ends_when_blackbox_exporter_says_so(tmp_path: Path) -> None:
    """AddTrust, May 2020: what else is presented, an expired cross-certificate, is no part of it; the root that ends first is. Its labels are theirs."""
    openssl, exporter = require_program("openssl"), require_program("prometheus-blackbox-exporter")
    soon, late = NOW.replace(year=2036), NOW.replace(year=2040)
    old, new = Authority.root("Old Root"), Authority.root("New Root", not_after=soon)
    issued = new.intermediate(not_after=late).issue(NAME, "192.0.2.1", f"www.{NAME}", not_after=late)
    expired = old.cross_sign(new, expired=True)
    files = replace(issued, intermediates=(*issued.intermediates, expired)).write(tmp_path)
    ca_file = new.write(tmp_path)
    tcp = {"tls": True, "tls_config": {"ca_file": str(ca_file), "server_name": NAME}}
    (tmp_path / "blackbox.yml").write_text(yaml.safe_dump({"modules": {"tls": {"prober": "tcp", "timeout": "5s", "tcp": tcp}}}))
    module = {"default": {"ca_file": str(ca_file)}}
    with Ports() as ports:
        server, beside = ports.take(), ports.take()
        serve = [openssl, "s_server", "-quiet", "-accept", server, "-cert", files.certificate, "-key", files.key]
        ask = [exporter, "--config.file=blackbox.yml", f"--web.listen-address={beside}"]
        document = {"modules": module, "targets": [{"name": "edge", "addresses": [str(server)], "server_names": [NAME]}]}
        with (
            running([*serve, "-cert_chain", files.certificate], directory=tmp_path, accepting=[server]),
            running(ask, directory=tmp_path, accepting=[beside]),
            serving(tmp_path, document) as service,
        ):
            theirs = httpx.get(f"http://{beside}/probe?module=tls&target={server}", trust_env=False).text
            ours = {name: value for name, _, value in service.scrape(*SAME, path=f"/probe?target={server}")}
            [(_, labels, _)] = service.scrape(CHAIN, path=f"/probe?target={server}")
    assert ours == {
        name: float(value) for name, _, value in (line.partition(" ") for line in theirs.splitlines()) if name in SAME
    }
    assert ours["probe_ssl_last_chain_expiry_timestamp_seconds"] == soon.timestamp()
    [chain] = [family.samples[0].labels for family in text_string_to_metric_families(theirs) if family.name == CHAIN]
    assert labels["subjectalternative"] == f"{NAME},www.{NAME}"
    assert labels.items() >= chain.items()  # the serial number came with version 0.26
