"""What the Dockerfile makes runs as its user, on a read-only file system, without a capability."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from prober.model import Endpoint
from prober.version import __version__
from tests.deploy.image import Image, built_image, require_mounts
from tests.servers.ports import Ports
from tests.servers.processes import Program, running
from tests.service.process import eventually

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def listening() -> Iterator[tuple[Endpoint, Endpoint]]:
    """Where the service is to listen, and where the ingress is that it watches."""
    with Ports() as ports:
        yield ports.take(), ports.take()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, listening: tuple[Endpoint, Endpoint]) -> Iterator[Image]:
    """The image, with a configuration that watches the rehearsal ingress in it."""
    directory = tmp_path_factory.mktemp("built")
    require_mounts(directory)
    service, ingress = listening
    target = {"name": "rehearsal", "addresses": [str(ingress)], "server_names": ["api.lab.test"], "module": "lab"}
    configuration = {
        "listen": str(service),
        "interval": "1s",
        "timeout": "900ms",
        "modules": {"lab": {"ca_file": "/tmp/lab/ca.pem"}},
        "targets": [target],
        "state": "/var/lib/prober",
    }
    with built_image(directory, yaml.safe_dump(configuration)) as built:
        yield built


@pytest.fixture(scope="module")
def lab(image: Image, listening: tuple[Endpoint, Endpoint], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The rehearsal ingress of the image itself, its certificates in the image's ``/tmp``."""
    _, ingress = listening
    command = image.entrypoint("lab", "--listener", "healthy=healthy", "--port", str(ingress.port), "--directory", "/tmp/lab", "--control-port", "0")  # fmt: skip
    with running(command, directory=tmp_path_factory.mktemp("lab"), accepting=[ingress], name="lab"):
        yield ingress


@pytest.fixture(scope="module")
def service(
    image: Image, lab: Endpoint, listening: tuple[Endpoint, Endpoint], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """ENTRYPOINT and CMD, ready."""
    with running(
        image.entrypoint(), directory=tmp_path_factory.mktemp("service"), accepting=[listening[0]], name="service"
    ) as program:
        eventually(lambda: httpx.get(f"http://{listening[0]}/-/ready", trust_env=False).status_code == 200, "ready")
        yield program


def test_the_root_is_read_only_and_the_sources_are_not_in_it(image: Image) -> None:
    """The command is the environment's; not even root could write, and of the repository nothing is left."""
    said = image.run("prober", "--version")
    assert (said.returncode, said.stdout.split()) == (0, ["prober", __version__]), said.stderr
    where = image.run("python", "-c", "import prober, sys; print(prober.__file__); print(sys.prefix)").stdout.split()
    assert [path.startswith("/opt/prober/") or path == "/opt/prober" for path in where] == [True, True], where
    for directory in ("/", "/opt/prober", "/etc/prober", "/usr/local/bin", "/home"):
        tried = subprocess.run(image.inside("touch", f"{directory}/written", environment={"PATH": "/usr/bin:/bin"}), capture_output=True, text=True, check=False)  # fmt: skip
        assert "Read-only file system" in tried.stderr, directory
    assert image.run("sh", "-c", "touch /var/lib/prober/written && rm /var/lib/prober/written").returncode == 0
    assert not (image.root / "src").exists()


def test_nothing_of_the_build_or_the_tests_is_in_the_environment(image: Image) -> None:
    """No pip; of what the tests need, nothing."""
    tried = ["pip", "setuptools", "pytest", "hypothesis", "mypy", "jsonschema", "helm_python"]
    script = "import importlib.util as u, sys; print(*[name for name in sys.argv[1:] if u.find_spec(name)])"

    assert image.run("/opt/prober/bin/python", "-c", script, *tried, "prober").stdout.split() == ["prober"]


def test_the_service_is_somebody_without_rights(service: Program, image: Image) -> None:
    """User and group of the Dockerfile, no other group, no capability in any set, and no way to get one."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{service.process.pid}/status").read_text().splitlines() if ":\t" in line
    )

    user, group = image.final.last("USER").text.split(":")
    assert status["Uid"].split() == [user] * 4
    assert status["Gid"].split() == [group] * 4
    assert status["Groups"].split() == []
    assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 5
    assert status["NoNewPrivs"] == "1"


def test_the_service_answers(service: Program, listening: tuple[Endpoint, Endpoint]) -> None:
    """Pages, metrics with the verdict about the ingress, and history, as everywhere else; the log complains of nothing."""
    url = f"http://{listening[0]}"
    linked = re.findall(r'(?:href|src)="(/static/[^"]+)"', httpx.get(url, trust_env=False).text)
    assert [path for path in linked if ".css" in path]
    for path in ("/", "/-/healthy", "/-/ready", "/api/v1/targets", "/runbooks", *linked):
        answer = httpx.get(url + path, trust_env=False, follow_redirects=True)
        assert answer.status_code == 200, path
    metrics = httpx.get(f"{url}/metrics", trust_env=False).text
    assert f'probe_verdict_info{{target="rehearsal",address="{listening[1]}",verdict="ok"}} 1' in metrics
    assert "level=error" not in service.log()
    assert "Traceback" not in service.log()


def test_history_is_the_only_thing_that_is_written(service: Program, image: Image) -> None:
    """In the state directory, by the service's user; elsewhere nothing could be."""
    user = int(image.final.last("USER").text.split(":")[0])
    written = list((image.root / "var/lib/prober").iterdir())

    assert written
    assert {path.stat().st_uid for path in written} == {user}
    # Where the checkout itself lies below /tmp, an empty directory stands in its place.
    ours = {part for part in Path(__file__).parts if Path(__file__).is_relative_to(f"/tmp/{part}")}  # noqa: S108
    assert {path.name for path in (image.root / "tmp").iterdir() if not path.name.startswith(("lab", "prober-lab"))} <= ours


def test_once_answers_there(lab: Endpoint, image: Image) -> None:
    """The command beside the service: verdict and exit status."""
    done = subprocess.run(
        image.entrypoint("once", str(lab), "--server-name", "api.lab.test", "--ca-file", "/tmp/lab/ca.pem", "--format", "jsonl"),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"verdict": "ok"' in done.stdout


def test_the_state_directory_is_its_user_s(image: Image) -> None:
    """The one in the image, that a volume takes over: found by what the Dockerfile says, and made by running that."""
    commands = [command for each in image.final.all("RUN") for command in each.commands()]
    assert "install --directory --owner=prober --group=prober /var/lib/prober" in commands
    uid = image.run("id", "-u", "prober").stdout.strip()
    assert uid == image.final.last("USER").text.split(":")[0]
