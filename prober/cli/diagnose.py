"""``prober diagnose``: from symptom to root cause and fix, by one route of the playbook or by all of them together."""

from __future__ import annotations

import argparse
import re
from typing import TypeAlias

from prober.cli.parser import UsageError, seconds, server_name

__all__ = ["add_parser", "run", "since_seconds"]

_DESCRIPTION = """\
Find out why TLS clients without a server name (SNI) fail: from probes, access
logs, packet captures, ApigeeRoutes and overrides.yaml, each alone or together.
Together they name the root cause, the evidence for and against it, and the fix.
"""

_EPILOG = """\
examples:
  prober diagnose all --probe 203.0.113.10 --server-name api.example.com \\
    ingress.log routes.json overrides.yaml
  prober diagnose all --kubernetes --probe api.example.com --http
  kubectl -n apigee logs -l app=apigee-ingressgateway --all-containers \\
    --prefix --tail=-1 | prober diagnose logs -
  kubectl -n apigee get apigeeroutes -o json | prober diagnose routes -
  prober diagnose bundle -o support.tar.gz --kubernetes overrides.yaml

`prober diagnose ROUTE --help` says more about each.

exit status:
  0  nothing is wrong, and there is evidence for it
  1  something is wrong
  2  usage error, or no source at all could be read
  3  nothing wrong was found, but something is missing to be sure
"""

_PROBE = """\
examples:
  prober diagnose probe 203.0.113.10 --server-name api.example.com
  prober diagnose probe api.example.com --http
"""
_LOGS = """\
FILE is an ingress's access log: typed JSON, JSON of strings or Istio's text
format, as it is or as kubectl (--prefix, --timestamps), CRI, docker, Stern,
syslog, Fluent Bit, Loki, Elasticsearch, Splunk or Cloud Logging (--format=json)
wrap it; gzip is unpacked; `-` is standard input.

examples:
  kubectl -n apigee logs POD --all-containers | prober diagnose logs -
  prober diagnose logs --follow /var/log/containers/apigee-ingressgateway-*.log
"""
_CAPTURE = """\
FILE is a pcap or pcapng file. Capture at the ingress, whole packets:
  tcpdump -n -i any -s 0 'tcp port 443 or tcp port 8443' -w ingress.pcap
"""
_ROUTES = """\
FILE holds ApigeeRoute and ApigeeRouteConfig objects, YAML or JSON:
  kubectl -n apigee get apigeeroutes,apigeerouteconfigs -o json > routes.json
"""
_ALL = """\
A FILE without an option is recognised by its content.

examples:
  prober diagnose all --probe 203.0.113.10 --server-name api.example.com \\
    --logs ingress.log --routes routes.json --overrides overrides.yaml
  prober diagnose all ingress.log routes.json overrides.yaml capture.pcap
"""

_BUNDLE = """\
A FILE without an option is recognised by its content. Look at the archive
before you send it all the same.

examples:
  prober diagnose bundle -o support.tar.gz --kubernetes --probe api.example.com
  prober diagnose bundle -o support.tar.gz ingress.log overrides.yaml
"""
_OVERRIDES = """\
example:
  prober diagnose overrides overrides.yaml
"""
_SOURCES = {
    "logs": "an access log",
    "capture": "a pcap or pcapng file",
    "routes": "ApigeeRoute objects, YAML or JSON",
    "overrides": "an overrides.yaml",
}

_TOGETHER = """\
Judge probes, access logs, packet captures, ApigeeRoutes and overrides.yaml
together, whichever of them there are: the root cause, how sure it is, the
evidence for and against it, and the fix.
"""

_PACKED = """\
Judge all sources as `prober diagnose all` does, and pack them with the result
into one archive for support, secrets redacted.
"""

# Answered by the ingress itself, and only to such agents (Apigee hybrid, ``istiod.healthCheckUserAgents``).
HEALTH_PATH = "/healthz/ingress"
HEALTH_AGENT = "GoogleHC/1.0"

_Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_parser(subparsers: _Subparsers) -> None:
    """Register the command and its routes."""
    parser = subparsers.add_parser(
        "diagnose",
        help="find the cause of failing clients, and the fix",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    routes = parser.add_subparsers(dest="route", metavar="ROUTE", title="routes", required=True)
    probe = _route(routes, "probe", "handshakes with the right name, with none and with an unknown one", _PROBE)
    probe.add_argument("probes", nargs="+", metavar="TARGET", help="what to probe: NAME[:PORT] or IP[:PORT]")
    _probing(probe)

    logs = _route(routes, "logs", "ingress access logs: who sends no name, and what comes of it", _LOGS)
    logs.add_argument("logs", nargs="+", metavar="FILE", help="access logs (-: standard input)")
    logs.add_argument("--follow", action="store_true", help="read on as the file grows (Ctrl-C: print the result)")

    capture = _route(routes, "capture", "packet captures: every ClientHello, and who ended it", _CAPTURE)
    capture.add_argument("capture", nargs="*", metavar="FILE", help="pcap or pcapng files")
    capture.add_argument("--live", metavar="INTERFACE", help="watch live traffic instead (needs the right to capture)")

    objects = _route(routes, "routes", "ApigeeRoute and ApigeeRouteConfig objects", _ROUTES)
    objects.add_argument("routes", nargs="*", metavar="FILE", help="manifests, or kubectl's output (-: standard input)")
    _cluster(objects)

    overrides = _route(routes, "overrides", "Apigee's overrides.yaml: every mistake with its line", _OVERRIDES)
    overrides.add_argument("overrides", nargs="+", metavar="FILE", help="overrides.yaml (-: standard input)")

    everything = _route(routes, "all", "any combination of these: the root cause and its fix", _ALL, _TOGETHER)
    _combined(everything)
    bundle = _route(routes, "bundle", "as all, and everything in one archive for support", _BUNDLE, _PACKED)
    bundle.add_argument("-o", "--output", required=True, metavar="FILE.tar.gz", help="the archive to write")
    _combined(bundle)


def _route(routes: _Subparsers, name: str, text: str, epilog: str, description: str = "") -> argparse.ArgumentParser:
    parser = routes.add_parser(
        name,
        help=text,
        description=description or f"{text[:1].upper()}{text[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--format", choices=("text", "json"), default="text", help="how the result is written (default: %(default)s)"
    )
    output.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    output.add_argument("--no-color", action="store_true", help="no colours (also: NO_COLOR in the environment)")
    return parser


def _combined(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE", help="logs, captures, routes, overrides, told apart by content")
    sources = parser.add_argument_group("sources")
    sources.add_argument(
        "--probe", action="append", default=[], dest="probes", metavar="TARGET", help="probe this ingress, repeatable"
    )
    for option, what in _SOURCES.items():
        sources.add_argument(f"--{option}", action="append", default=[], metavar="FILE", help=f"{what}, repeatable")
    _probing(parser)
    _cluster(parser)


def _probing(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how to probe")
    how.add_argument(
        "--server-name",
        action="append",
        default=[],
        type=server_name,
        metavar="NAME",
        help="known name, repeatable (default: TARGET's own host when it is a name)",
    )
    # A flag and an option, not an option with an optional value: that would swallow the FILE behind it.
    how.add_argument(
        "--http",
        action="store_const",
        const=HEALTH_PATH,
        help=f"also GET {HEALTH_PATH} after the handshake: it calls no API, and tells a wildcard route that is not linked",
    )
    how.add_argument("--http-path", dest="http", type=_path, metavar="PATH", help="GET this path instead")
    how.add_argument(
        "--http-agent",
        default=HEALTH_AGENT,
        type=_agent,
        metavar="TEXT",
        help="User-Agent of that request (default: %(default)s)",
    )
    how.add_argument("--timeout", type=seconds, default=5.0, metavar="SECONDS", help="deadline of a handshake (default: 5)")
    how.add_argument("--ca-file", metavar="FILE", help="trust anchors, PEM (default: the system's)")
    how.add_argument("--connect-ip", type=int, choices=(4, 6), help="only addresses of this family")
    how.add_argument("--proxy-protocol", choices=("v1", "v2"), help="send a PROXY header first")
    how.add_argument(
        "--settle",
        type=seconds,
        metavar="SECONDS",
        help="wait between probing and reading logs, so that they hold the probes (Envoy writes every 10 s)",
    )


def _cluster(parser: argparse.ArgumentParser) -> None:
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument("--kubernetes", action="store_true", help="read routes, pods and logs from the cluster")
    cluster.add_argument(
        "--namespace", default="apigee", metavar="NAME", help="where Apigee's gateways run (default: %(default)s)"
    )
    cluster.add_argument("--context", metavar="NAME", help="kubeconfig context (default: the current one)")
    cluster.add_argument(
        "--since", default="1h", type=_since, metavar="DURATION", help="how far back logs are read (default: %(default)s)"
    )


def since_seconds(text: str) -> int:
    """Seconds of a duration as kubectl writes it (``1h30m``, ``45s``). Raises `ArgumentTypeError` for what is none."""
    parts = re.findall(r"(\d{1,6})([hms])", text)
    seconds = sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 30m, 1h or 1h30m")
    return seconds


def _since(text: str) -> str:
    since_seconds(text)
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no path; write {HEALTH_PATH}")
    return text


def _agent(text: str) -> str:
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} cannot stand in a header; write printable ASCII, as {HEALTH_AGENT}")
    return text


def run(args: argparse.Namespace) -> int:
    """Gather what was asked for, judge it, print it; the exit status."""
    words = vars(args)
    sources = ("probes", "files", "logs", "capture", "live", "routes", "overrides")
    if not any(words.get(each) for each in sources) and not words.get("kubernetes"):
        others = [f"--{option}" for option in ("probe", "live", "kubernetes") if f"{option}s" in words or option in words]
        either = " or ".join(["a FILE", *others])
        raise UsageError(f"nothing to look at: give {either}; `prober diagnose {args.route} --help` has examples")
    if words.get("follow") and "-" in words["logs"] and len(words["logs"]) > 1:
        raise UsageError("standard input (-) is followed alone")
    if sum(words[each].count("-") for each in ("files", "logs", "capture", "routes", "overrides") if words.get(each)) > 1:
        raise UsageError("standard input (-) can be read once")

    from prober.cli.diagnose_run import carry_out

    return carry_out(args)
