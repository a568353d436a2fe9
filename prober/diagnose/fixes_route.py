"""The wildcard route's name, Secret, labels and manifest: a new one, or one that is there with what is wrong in it corrected. Pure.

What is not wrong in a route that is there is kept.

Source: "Enable non-SNI clients" of the Apigee hybrid documentation; its examples have a route for port 443 and one for 80 and 443.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prober.diagnose.overrides import INGRESS_APP
from prober.diagnose.route import WILDCARD, Port, Route

__all__ = ["common_labels", "may_be_named", "scalar", "used_credential", "wildcard_manifest"]

_TLS = {"credentialName": "", "mode": "SIMPLE", "minProtocolVersion": "TLS_AUTO"}

# A DNS subdomain (RFC 1123), as Kubernetes has it for the names of objects.
_OBJECT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")


def may_be_named(name: str) -> bool:
    """Whether an object can have that name: additionalGateways may also list ``*``, or what a template fills in."""
    return _OBJECT_NAME.fullmatch(name) is not None and len(name) <= 253


def used_credential(routes: Iterable[Route]) -> str | None:
    """The Secret that most of the routes' ports name; None where they name none."""
    counted = Counter(port.credential_name for route in routes for port in route.ports if port.credential_name)
    return counted.most_common(1)[0][0] if counted else None


def common_labels(selectors: Sequence[Iterable[tuple[str, str]]]) -> dict[str, str]:
    """The labels that all selectors ask for; the ingress's own where they have none in common."""
    wanted = [dict(each) for each in selectors]
    common = {key: value for key, value in wanted[0].items() if all(each.get(key) == value for each in wanted)} if wanted else {}
    return common or {"app": INGRESS_APP}


def wildcard_manifest(
    name: str,
    namespace: str,
    selector: Mapping[str, str],
    credential: str,
    hint: str = "",
    like: Route | None = None,
    *,
    selector_hint: str = "",
) -> str:
    """YAML of an ApigeeRoute for clients without SNI. ``hint``, ``selector_hint``: comments behind the credential and the labels.

    ``like``: the route as it is now. Who applies the manifest replaces its ports, so all that are not wrong are in it.
    """
    hostnames = like.hostnames if like is not None and WILDCARD in like.hostnames else (WILDCARD,)
    hosts = "".join(f"  - {scalar(host)}\n" for host in hostnames)
    ports = "".join(_ports(like.ports if like is not None else (), credential, hint))
    labels = "".join(f"    {scalar(key)}: {scalar(value)}{selector_hint}\n" for key, value in selector.items())
    return (
        "apiVersion: apigee.cloud.google.com/v1alpha1\n"
        "kind: ApigeeRoute\n"
        f"metadata:\n  name: {scalar(name)}\n  namespace: {scalar(namespace)}\n"
        f"spec:\n  hostnames:\n{hosts}  ports:\n{ports}  selector:\n{labels}  enableNonSniClient: true\n"
    )


def _ports(ports: tuple[Port, ...], credential: str, hint: str) -> Iterator[str]:
    # One whose number is no number is what was meant to be 443.
    tls = [port for port in ports if port.number == 443] or [port for port in ports if port.number is None]
    for port in ports:
        if port.number not in {443, None}:
            yield f"  - {port.written}\n"  # JSON, so YAML
    before = json.loads(tls[0].written).get("tls") if tls else None
    settings = {**_TLS, **(before if isinstance(before, dict) else {}), "credentialName": credential}
    if not any(port.tls_mode == "MUTUAL" for port in tls):
        settings["mode"] = "SIMPLE"
    yield "  - number: 443\n    protocol: HTTPS\n    tls:\n"
    for key, value in settings.items():
        text = scalar(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield f"      {scalar(key)}: {text}{hint if key == 'credentialName' else ''}\n"


def scalar(text: str) -> str:
    """A YAML scalar: quoted where it would mean something else."""
    plain = text.replace("-", "").replace(".", "").replace("_", "").isalnum() and text[:1].isalpha()
    if plain and text.lower() not in {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
