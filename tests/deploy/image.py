"""The image's file system without a container engine: the Dockerfile's own steps on a copy-on-write view of this machine.

A mount namespace holds an overlay over ``/`` whose changes are kept in memory; the steps run in it by chroot, as root, with the paths that
the image has. Differences from a build, each because nothing is downloaded here:

- The base image is this machine, with this interpreter in ``/usr/local``; so ``apt-get`` does not run.
- Dependencies are not fetched: the files of those that the tests run with are put into the new environment before pip runs. pip,
  without an index, then finds each requirement met in the version of ``constraints.txt``, or fails.

What follows runs as the image's user, with the root file system read-only, no capability, and none to be had.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from tests.deploy.dockerfile import DOCKERFILE, Instruction, Stage, read_stages
from tests.servers.processes import running
from tests.servers.requirements import not_permitted, require_program
from tests.service.process import eventually

__all__ = ["Image", "built_image", "require_mounts"]

_REPOSITORY = DOCKERFILE.parent
# The overlay's upper directory is a file system of its own: it must not lie within the lower one.
_HOLD = """
set -e
mount -t tmpfs -o mode=0755 tmpfs "$1"
view="$1/root"
mkdir "$1/upper" "$1/work" "$view"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$view"
mount -t proc proc "$view/proc"
mount --rbind /dev "$view/dev"
mount -t tmpfs -o mode=1777 tmpfs "$view/tmp"
case "$2" in
/usr) ;;
*)
  mkdir "$1/upper-local" "$1/work-local"
  mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper-local,workdir=$1/work-local" "$view/usr/local"
  ;;
esac
[ -e "$view/usr/local/bin/python" ] || ln -s "$4" "$view/usr/local/bin/python"
mkdir -p "$view$3"
mount -t tmpfs tmpfs "$view$3"    # the sources are not in the image
echo held
exec chroot "$view" sleep infinity
"""


@dataclass(frozen=True, slots=True)
class Image:
    """A file system as the Dockerfile makes it, and how its last stage is run."""

    holder: int
    """Process in whose mount namespace it is."""
    final: Stage

    @property
    def root(self) -> Path:
        """Seen from outside."""
        return Path(f"/proc/{self.holder}/root")

    def inside(self, *command: str, environment: dict[str, str]) -> list[str]:
        """The command line that runs a command as root in there, with these variables alone."""
        variables = [f"{name}={value}" for name, value in {**_INTERPRETER, **environment}.items()]
        return ["nsenter", "--target", str(self.holder), "--mount", "--root", "env", "--chdir=/", "-i", *variables, *command]

    def as_its_user(self, *command: str) -> list[str]:
        """The command line that runs a command as an engine would that drops all capabilities and forbids new privileges."""
        user, _, group = self.final.last("USER").text.partition(":")
        environment = {name: value.replace("$PATH", _PATH) for name, value in self.final.environment().items()}
        confined = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs"]
        confined += ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        return self.inside(*confined, *command, environment=environment)

    def entrypoint(self, *arguments: str) -> list[str]:
        """The command line of the image's ENTRYPOINT, by default with its CMD."""
        return self.as_its_user(*self.final.last("ENTRYPOINT").words(), *(arguments or self.final.last("CMD").words()))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run something as the image's user, to its end."""
        return subprocess.run(self.as_its_user(*command), capture_output=True, text=True, timeout=60, check=False)

    def root_shell(self, script: str, **environment: str) -> str:
        """What a script prints that runs as root, at build time."""
        command = self.inside("sh", "-ec", script, environment={"PATH": _PATH, "HOME": "/tmp", **environment})
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


_INTERPRETER = {"LD_LIBRARY_PATH": "/usr/local/lib"}
"""Where it finds its library, if it has one of its own: the path that is written into it may be in somebody's home."""
_BUILDER = "setuptools"
"""What pip builds the package with: of an environment of its own where it may download, of the one that it installs into here."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require_mounts(directory: Path) -> None:
    """End the test, skipped or failed, where `built_image` cannot mount what it needs below ``directory``."""
    for program in ("unshare", "nsenter", "setpriv", "mount"):
        require_program(program, package="util-linux")
    if os.geteuid() != 0:
        not_permitted("mounting a file system needs root")
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", str(directory)], capture_output=True, check=False
    )
    if tried.returncode:
        not_permitted(f"this root may not mount: {tried.stderr.decode().strip()}")


@contextmanager
def built_image(directory: Path, configuration: str) -> Iterator[Image]:
    """Build it, mount what an engine would mount, and make the rest read-only. For root alone.

    ``configuration`` is what is mounted at ``/etc/prober/prober.yml``.
    """
    view = directory / "image"
    view.mkdir()
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _HOLD]
    interpreter = (
        f"python{sys.version_info.major}.{sys.version_info.minor}"  # beside which the link is made, or the machine's own
    )
    interpreter = f"/usr/bin/{interpreter}" if sys.base_prefix == "/usr" else interpreter
    command += ["sh", str(view), sys.base_prefix, str(_REPOSITORY), interpreter]
    with running(command, directory=directory, name="image") as holder:
        eventually(lambda: "held" in holder.log() or holder.process.poll() is not None, "the image's file system is mounted")
        assert holder.process.poll() is None, holder.log()
        stages = read_stages()
        image = Image(holder.process.pid, stages[-1])
        eventually(lambda: _same_root(image), "the holder has changed its root")
        for stage in stages:
            _build(image, stage)
        image.root_shell("rm -rf /src")  # of the build stage, of which only what the last one copies is kept
        mounted = image.root / "etc" / "prober"
        mounted.mkdir(exist_ok=True)
        (mounted / "prober.yml").write_text(configuration)
        user, _, group = image.final.last("USER").text.partition(":")
        image.root_shell(f"mount -t tmpfs -o uid={user},gid={group},mode=0755 tmpfs /var/lib/prober")
        image.root_shell("if mountpoint -q /usr/local; then mount -o remount,ro /usr/local; fi; mount -o remount,ro /")
        yield image


def _same_root(image: Image) -> bool:
    return not (image.root / DOCKERFILE.relative_to("/")).exists() and (image.root / "proc" / "self").exists()


def _build(image: Image, stage: Stage) -> None:
    place = Path("/")
    for each in stage.instructions:
        match each.name:
            case "WORKDIR":
                place = Path(each.text)
                image.root_shell(f"mkdir -p {place}")
            case "COPY":
                _copy(image, each, place)
            case "RUN":
                for command in each.commands():
                    _run(image, command, place)
            case _:
                pass  # LABEL, ENV, USER, EXPOSE and the like change no files


def _copy(image: Image, instruction: Instruction, place: Path) -> None:
    words = instruction.words()
    if words[0].startswith("--from="):
        assert words[1] == words[2], "stages share one file system here"
        assert (image.root / words[1].lstrip("/")).exists()
        return
    ignored = [line for line in (_REPOSITORY / ".dockerignore").read_text().splitlines() if line]
    *sources, target = words
    into = image.root / str(place / target).lstrip("/")
    for source in sources:
        assert not any(fnmatch.fnmatch(source, pattern) for pattern in ignored), f"{source} is not sent to the build"
        file = _REPOSITORY / source
        if file.is_dir():
            names = [pattern.removeprefix("**/") for pattern in ignored]
            shutil.copytree(file, into, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*names))
        else:
            shutil.copy(file, into)


def _run(image: Image, command: str, place: Path) -> None:
    if command.startswith("apt-get ") or (command.startswith("python -m pip ") and not _has_pip(image)):
        return
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_BREAK_SYSTEM_PACKAGES": "1"}
    image.root_shell(f"cd {place}; {command}", **offline)
    made = re.fullmatch(r"python -m venv (\S+)", command)
    if made:
        _fill(image.root / made[1].lstrip("/"))
    elif " pip install " in f" {command} ".replace("/", " "):
        _remove(_packages(image.root / command.split("/bin/pip", 1)[0].lstrip("/")), _BUILDER)


def _has_pip(image: Image) -> bool:
    return image.root_shell("python -c 'import pip' 2>/dev/null && echo yes || echo no").strip() == "yes"


def _fill(environment: Path) -> None:
    """Put the dependencies that this process runs with into a virtual environment, and what builds the package."""
    packages = _packages(environment)
    _remove(packages, _BUILDER)  # an older one, in some versions of Python
    for name in {*_needed("prober"), _BUILDER} - {"prober"}:
        of = distribution(name)
        for file in of.files or ():
            source = Path(str(of.locate_file(file)))
            if ".." in file.parts or not source.is_file():
                continue  # scripts in bin/: nothing calls them
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)  # with its time, by which Python knows whether it is compiled


def _packages(environment: Path) -> Path:
    """Where a virtual environment has its packages."""
    return environment / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)


def _remove(packages: Path, name: str) -> None:
    for path in packages.glob(f"{name}*"):
        shutil.rmtree(path)


def _needed(name: str) -> set[str]:
    """A distribution and what it requires, without extras of its own, in turn."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each in found:
            continue
        try:
            found[each] = distribution(each)
        except PackageNotFoundError:
            continue  # for another platform
        waiting += [
            re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()
            for requirement in found[each].requires or ()
            if "extra ==" not in requirement
        ]
    return set(found)
