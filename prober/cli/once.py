"""``prober once``: one differential for every address, now."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence

from prober.cli.descriptors import require_descriptors
from prober.cli.once_targets import Recipe, TargetFile
from prober.cli.parser import UsageError, near_miss, positive_int, seconds, server_name
from prober.model import Depth, Module, NonSniPolicy, Sni, Target, TlsOffer

__all__ = ["add_parser", "run"]

_DESCRIPTION = """\
Open three TLS handshakes with every address of each target, side by side: with
the right server name, with none, and with a name that nobody serves; say what
became of each, and what that means.
"""

_EPILOG = """\
TARGET is NAME, NAME:PORT, IP, IP:PORT, [IPv6]:PORT or https://NAME[:PORT]/;
the port is 443 unless it is written.

examples:
  prober once api.example.com
  prober once 203.0.113.10 --server-name api.example.com
  prober once [2001:db8::1]:8443 --server-name api.example.com --verbose
  prober once api.example.com --tls 1.2 --depth finished --json
  prober once --file ingresses.txt --format csv > result.csv
  kubectl get ingress -A -o jsonpath='{..host}' | tr ' ' '\\n' |
    prober once --file - --format jsonl

exit status:
  0  all verdicts are as expected
  1  some ingress is at fault
  2  usage or configuration error; also when a line of --file holds no target
     (it is reported, and the others are probed)
  3  nothing is at fault, but something could not be judged
  130, 143  SIGINT, SIGTERM: what was there is printed
"""

_SNI_NAMES = ", ".join(mode.value for mode in Sni)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "once",
        help="probe now, and say what is wrong",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="what to probe")
    what = parser.add_argument_group("what to probe")
    what.add_argument(
        "--file", action="append", default=[], metavar="FILE", help="targets, one a line (-: standard input; # comments)"
    )
    what.add_argument(
        "--server-name",
        action="append",
        default=[],
        type=server_name,
        metavar="NAME",
        help="known name, repeatable (default: TARGET's own host when it is a name)",
    )
    what.add_argument("--connect-ip", type=int, choices=(4, 6), help="only addresses of this family")
    what.add_argument(
        "--expect-non-sni",
        choices=[policy.value for policy in NonSniPolicy],
        default="certificate",
        help="what clients without a server name should get (default: %(default)s)",
    )
    how = parser.add_argument_group("how to probe")
    how.add_argument(
        "--sni", type=_sni, default=tuple(Sni), metavar="MODES", help=f"which hellos to send (default: {_SNI_NAMES})"
    )
    how.add_argument(
        "--tls", choices=[offer.value for offer in TlsOffer], default="auto", help="offered version (default: %(default)s)"
    )
    how.add_argument(
        "--hello",
        type=_profile,
        default="modern",
        metavar="PROFILE",
        help="ClientHello profile (list: print them) (default: modern)",
    )
    how.add_argument(
        "--depth", choices=[depth.value for depth in Depth], default="certificate", help="where to stop (default: %(default)s)"
    )
    how.add_argument(
        "--timeout",
        type=seconds,
        default=5.0,
        metavar="SECONDS",
        help="deadline of a whole handshake, resolution and connect included (default: 5)",
    )
    how.add_argument("--concurrency", type=positive_int, metavar="N", help="at most N handshakes in flight (default: 256)")
    how.add_argument("--ca-file", metavar="FILE", help="trust anchors, PEM (default: the system's)")
    how.add_argument("--proxy-protocol", choices=("v1", "v2"), help="send a PROXY header first")
    how.add_argument(
        "--packet-timestamps",
        action="store_true",
        help="time resets by the kernel's stamps of packets (Linux, CAP_NET_RAW)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--format",
        choices=("table", "json", "jsonl", "csv"),
        default="table",
        help="how results are written (default: %(default)s)",
    )
    output.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    output.add_argument("--verbose", action="store_true", help="the handshakes' transcripts, decoded message by message")
    output.add_argument("--no-color", action="store_true", help="no colours (also: NO_COLOR in the environment)")


_FEW_COLLECTIONS = 50_000
"""Objects between two looks of the collector; by default 700, which is every fifth handshake. What a handshake leaves behind is no
cycle, so hardly anything is found."""


def run(args: argparse.Namespace) -> int:
    """Probe everything that was asked for; the exit status."""
    if args.hello == "list":
        return _list_profiles()
    require_descriptors()
    # The engine, the judgement and Trio take most of the start; a wrong argument is told without them.
    recipe = _recipe(args)
    targets = _targets(args.targets, recipe)
    if not targets and not args.file:
        raise UsageError("no TARGET; write what to probe, for example: prober once api.example.com")
    files = _files(args.file)
    _check_hello(args.hello, args.tls)

    # The imports make 100,000 objects that stay: to look through them for garbage, again and again, is a tenth of the start.
    gc.disable()
    from prober.cli.once_plan import Plan
    from prober.cli.once_run import carry_out

    gc.freeze()
    gc.set_threshold(_FEW_COLLECTIONS)
    gc.enable()

    return carry_out(
        Plan(
            targets=targets,
            files=files,
            recipe=recipe,
            family=args.connect_ip,
            concurrency=args.concurrency,
            format=args.format,
            transcript=args.verbose,
            packet_timestamps=args.packet_timestamps,
            colour=not args.no_color,
        )
    )


def _recipe(args: argparse.Namespace) -> Recipe:
    return Recipe(
        module=Module(
            hello=args.hello,
            tls=TlsOffer(args.tls),
            depth=Depth(args.depth),
            sni=args.sni,
            timeout=args.timeout,
            ca_file=args.ca_file,
            proxy_protocol=args.proxy_protocol,
        ),
        server_names=tuple(dict.fromkeys(args.server_name)),
        timeout=args.timeout,
        non_sni=NonSniPolicy(args.expect_non_sni),
    )


def _targets(words: Sequence[str], recipe: Recipe) -> list[Target]:
    targets, errors = [], []
    for word in words:
        try:
            targets.append(recipe.target(word))
        except ValueError as error:
            errors.append(str(error))
    if errors:
        raise UsageError("\n".join(errors))
    return targets


def _files(paths: Sequence[str]) -> list[TargetFile]:
    files: list[TargetFile] = []
    for path in paths:
        try:
            files.append(TargetFile(path))
        except OSError as error:
            raise UsageError(f"--file {path}: {error.strerror or error}") from None
    return files


def _sni(text: str) -> tuple[Sni, ...]:
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in tuple(Sni):
            raise argparse.ArgumentTypeError(
                f"{word!r} is no hello{near_miss(word, Sni)}; choose from {_SNI_NAMES}, separated by commas"
            )
    return tuple(mode for mode in Sni if mode in words)


def _profile(text: str) -> str:
    from prober.tls.profiles import PROFILES

    if text != "list" and text not in PROFILES:
        raise argparse.ArgumentTypeError(f"there is no profile {text!r}{near_miss(text, PROFILES)}; `--hello list` prints them")
    return text


def _check_hello(name: str, tls: str) -> None:
    """A profile without the version that was asked for, or with a key share that this installation cannot make."""
    from prober.tls.client_hello import HelloFactory
    from prober.tls.profiles import PROFILES

    try:
        HelloFactory(PROFILES[name], tls=tls, entropy=os.urandom)
    except ValueError as error:
        raise UsageError(f"--hello {name} --tls {tls}: {error}") from None


def _list_profiles() -> int:
    """One line each for programs; a terminal, which most lines do not fit, gets them in pieces below one another."""
    from prober.cli.table import wrap
    from prober.cli.terminal import Terminal
    from prober.tls.client_hello import HelloFactory
    from prober.tls.profiles import PROFILES

    width = max(map(len, PROFILES))
    terminal = Terminal.of(sys.stdout, os.environ)
    for profile in PROFILES.values():
        try:
            summary = HelloFactory(profile, entropy=os.urandom).describe()
        except ValueError as error:
            print(f"{profile.name:<{width}}  not available: {error}")
            continue
        if sys.stdout.isatty():
            print(f"{summary.name} ({summary.size_with_name} bytes)", *wrap(summary.description, terminal, "  "), sep="\n")
            print(f"  JA4 {summary.ja4_with_name} with a name", f"      {summary.ja4_without_name} without", sep="\n")
            continue
        # The JA4 with a server name and without one: its fourth letter, d or i, says which is which.
        fingerprints = f"{summary.ja4_with_name}  {summary.ja4_without_name}"
        print(f"{summary.name:<{width}}  {fingerprints}  {summary.size_with_name:>4} bytes  {summary.description}")
    return 0
