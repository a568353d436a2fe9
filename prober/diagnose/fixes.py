"""Fixes ready to apply: the wildcard route's manifest with the names that this installation really has, and the commands. Pure.

Sources: "Enable non-SNI clients" of the Apigee hybrid documentation (manifest, ``additionalGateways``, helm and apigeectl).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import replace

from prober.diagnose.case import Case, conflict
from prober.diagnose.fixes_overrides import link_diff
from prober.diagnose.fixes_route import common_labels, may_be_named, scalar, used_credential, wildcard_manifest
from prober.diagnose.manifest import is_unresolved
from prober.diagnose.overrides import SERVICE_MESH_APP, OverridesFacts, VirtualHost
from prober.diagnose.route import Route
from prober.diagnose.wording import listed
from prober.findings import Fix

__all__ = ["STANDARD_INPUT", "Remedy"]

DEFAULT_ROUTE = "non-sni"
UNKNOWN_CREDENTIAL = "CREDENTIAL_NAME"
STANDARD_INPUT = "standard input"
_NAME = re.compile(r"[\w.-]+")
LINK_FILE = "additional-gateways.yaml"


class Remedy:
    """The parts that fixes are made of, with this case's names."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.namespace = case.namespace
        self.route = case.wildcards[0].name if case.wildcards else next(filter(may_be_named, case.links), DEFAULT_ROUTE)
        files = [each.file for each in case.overrides if each.file != STANDARD_INPUT and each.virtual_hosts]
        self.overrides_file = files[0] if files else "overrides.yaml"

    # -- parts ---------------------------------------------------------------------------------------------------------

    @property
    def credential(self) -> str:
        """The Secret that the environment groups' routes use most."""
        groups = (*self._case.group_routes, *self._case.route_configs)
        return used_credential(groups) or used_credential(self._case.wildcards) or UNKNOWN_CREDENTIAL

    @property
    def selector(self) -> dict[str, str]:
        """The labels that all gateways have in common, so that the route is on each of them."""
        selectors = [route.selector for route in self._case.group_routes if route.selector]
        return common_labels(selectors or [host.selector for _, host in self._case.virtual_hosts if host.selector])

    def manifest(self, like: Route | None = None, *, credential: str | None = None) -> str:
        """The wildcard ApigeeRoute; ``like``: the one that is to be corrected."""
        name = like.name if like is not None else self.route
        credential = credential or self.credential
        hint = ""
        if credential == UNKNOWN_CREDENTIAL:
            hint = f"  # the one that is in use: kubectl -n {self.namespace} get apigeeroutes -o yaml | grep credentialName"
        if like is None:
            # Where nothing says which ingress it is, Anthos Service Mesh's is as likely for an old installation.
            old = "" if self._case.gateways else f"  # with Anthos Service Mesh (hybrid 1.8 and earlier): {SERVICE_MESH_APP}"
            return wildcard_manifest(name, self.namespace, self.selector, credential, hint, selector_hint=old)
        linked = [each.selector for each in self._case.group_routes if like.name in each.additional_gateways]
        linked += [host.selector for _, host in self._case.virtual_hosts if like.name in host.additional_gateways]
        fits = self._case.selects_gateway(like) and not any(conflict(like.selector, each) for each in linked)
        selector = dict(like.selector) if like.selector and fits else self.selector
        return wildcard_manifest(name, like.namespace or self.namespace, selector, credential, hint, like)

    def diff(self, *, only: Iterable[str] | None = None) -> str | None:
        """What to change in overrides.yaml so that every environment group (or ``only`` these) lists the wildcard route."""
        parts = []
        for facts in self._case.overrides:
            text = self._case.evidence.texts.get(facts.file)
            changed = None if text is None else link_diff(facts, text, self.route, only=None if only is None else set(only))
            if changed is not None:
                parts.append(changed)
        return "".join(parts) or None

    @property
    def groups(self) -> tuple[str, ...]:
        """The environment groups: the virtual hosts' names; a placeholder where no overrides.yaml was given."""
        return tuple(dict.fromkeys(host.name for _, host in self._case.virtual_hosts if host.name)) or ("ENV_GROUP",)

    def apply_route(self, route: Route | None = None) -> tuple[str, ...]:
        """Commands that apply the manifest, tried on the server first."""
        name = route.name if route is not None else self.route
        place = route.namespace if route is not None and route.namespace else self.namespace
        file, namespace = shlex.quote(f"{name}.yaml"), shlex.quote(place)
        return (
            f"kubectl -n {namespace} apply --dry-run=server -f {file}",
            f"kubectl -n {namespace} apply -f {file}",
            f"kubectl -n {namespace} wait --for=jsonpath='{{.status.state}}'=running {shlex.quote(f'apigeeroute/{name}')}",
        )

    def apply_overrides(self, *, only: Iterable[str] | None = None) -> tuple[str, ...]:
        """Commands that bring the virtual hosts of overrides.yaml into the cluster: helm's, and apigeectl's for old versions.

        Of several files each group's own is applied, in its own namespace; where one alone has virtual hosts, they are layers of one.
        """
        wanted = dict.fromkeys(only or self.groups)
        homes = {
            host.name: facts for facts in reversed(self._case.overrides) for host in facts.virtual_hosts if host.name in wanted
        }
        layered = sum(bool(facts.virtual_hosts) for facts in self._case.overrides) == 1
        commands: list[str] = []
        files: dict[str, None] = {}
        for group in wanted:
            name = group if group == "ENV_GROUP" else shlex.quote(group)
            home = homes.get(group)
            file = self._file_options(self._case.overrides if layered or home is None else (home,))
            files[file] = None
            # Of one installation the cluster's own word counts; of several each file has its own.
            several = len({facts.namespace for facts in self._case.overrides}) > 1
            namespace = home.namespace if home is not None and several and not layered else self.namespace
            upgrade = (
                f"helm upgrade {name} apigee-virtualhost/ --install --namespace {shlex.quote(namespace)} --atomic "
                f"--set envgroup={name} {file}"
            )
            commands += (f"{upgrade} --dry-run", upgrade)
        commands += (
            f"apigeectl apply {file} --settings virtualhosts --env $ENV  # hybrid 1.11 and earlier, instead of helm"
            for file in files
            if file.count("-f ") == 1  # several files are helm's way
        )
        return tuple(commands)

    def _file_options(self, overrides: Iterable[OverridesFacts]) -> str:
        files = [facts.file for facts in overrides if facts.file != STANDARD_INPUT] or ["overrides.yaml"]
        return " ".join(f"-f {shlex.quote(file)}" for file in files)

    def prove(self) -> str:
        """The command that shows whether it worked."""
        probe = next(iter(self._case.probes), None)
        names = [each.server_name for each in probe.known if each.server_name] if probe is not None else []
        names = names or [name for name in self._case.hostnames if "*" not in name][:1] or ["HOSTNAME"]
        where = probe.where if probe is not None else "INGRESS_IP"
        wanted = " ".join(f"--server-name {shlex.quote(name)}" for name in names)
        options = "".join(f" {shlex.quote(word)}" for word in (probe.options if probe is not None else ()))
        return f"prober diagnose probe {shlex.quote(where)} {wanted}{options} --http"

    # -- fixes ---------------------------------------------------------------------------------------------------------

    def enable(self, *, instead_of: str | None = None) -> Fix:
        """Create the wildcard route, link it, apply both; ``instead_of`` a link that can be no route's name."""
        diff = self.diff()
        parts = [self.manifest()]
        if diff is not None:
            parts.append(f"# and in {self._files}:\n" + _commented(diff))
        linking = (
            ", link it in overrides.yaml (the diff below the manifest), and apply both."
            if diff is not None
            else f', add additionalGateways: ["{self.route}"] to {self._everywhere} of overrides.yaml, and apply both.'
            if not self._linked_everywhere()
            else f", and apply it and {self._files}, which links it already."
        )
        out = f" Take {instead_of} out of additionalGateways: no ApigeeRoute can have that name." if instead_of else ""
        return Fix(
            explanation=f"Create the wildcard route {self.route} (save the manifest as {self.route}.yaml){linking}{out}",
            yaml="".join(parts),
            commands=(*self.apply_route(), *self._patch(diff, f"{self.route}.yaml"), *self.apply_overrides(), self.prove()),
        )

    def move(self, route: Route) -> Fix:
        """Create the wildcard route where it is linked, in the place of one of another namespace; there may not be two."""
        fix = self.enable()
        if users := self._case.users_of(route):
            stays = f" The one in {route.namespace} stays, since {', '.join(users)} there is linked to it."
            return replace(fix, explanation=fix.explanation + stays)
        gone = f" The one in {route.namespace}, which no route there is linked to, is deleted first; a copy is saved."
        return replace(fix, explanation=fix.explanation + gone, commands=(*self.delete(route), *fix.commands))

    def delete(self, route: Route) -> tuple[str, str]:
        """Commands that save a copy of a route and delete it."""
        namespace, name = shlex.quote(route.namespace or self.namespace), shlex.quote(route.name)
        saved = shlex.quote(f"{route.name}.saved.yaml")
        return (
            f"kubectl -n {namespace} get apigeeroute {name} -o yaml > {saved}",
            f"kubectl -n {namespace} delete apigeeroute {name}",
        )

    def _patch(self, diff: str | None, saved: str) -> tuple[str, ...]:
        """The command that takes the diff out of the comments of the saved file and applies it."""
        if diff is None or sum(bool(facts.virtual_hosts) for facts in self._case.overrides) != 1 or "\r" in diff:
            return ()
        return (f"sed -n 's/^# //p' {shlex.quote(saved)} | patch {shlex.quote(self.overrides_file)}",)

    def repair_route(
        self, route: Route, explanation: str, *, merge_patch: str | None = None, credential: str | None = None
    ) -> Fix:
        """Correct an existing wildcard route; ``credential``: the Secret that it should name, where its own is not right."""
        if is_unresolved(route.name):
            return Fix(
                explanation=f"{explanation} {route.file}:{route.line} is a template: change it there.", commands=(self.prove(),)
            )
        namespace = shlex.quote(route.namespace or self.namespace)
        own = next((port.credential_name for port in route.ports if port.number == 443), None)
        first = self.apply_route(route)
        if merge_patch is not None:
            patch = (
                f"kubectl -n {namespace} patch apigeeroute {shlex.quote(route.name)} --type=merge -p {shlex.quote(merge_patch)}"
            )
            first = (f"{patch} --dry-run=server", patch, first[-1])
        return Fix(
            explanation=explanation, yaml=self.manifest(route, credential=credential or own), commands=(*first, self.prove())
        )

    def link(self, only: Iterable[str] | None = None, *, behind: Iterable[str] = ()) -> Fix:
        """List the wildcard route in the virtual hosts that lack it, and apply them.

        ``behind``: the routes that lack it, for who has no overrides.yaml to look into.
        """
        only = None if only is None else tuple(only)
        diff = self.diff(only=only)
        behind = tuple(behind) if not self._case.virtual_hosts else ()
        where = (
            f"virtualhost {', '.join(only)}"
            if only
            else f"the virtualhost of {listed(behind)} (its environment group)"
            if behind
            else self._everywhere
        )
        text = f'Add additionalGateways: ["{self.route}"] to {where} of {self._files}, and apply the virtual hosts.'
        if not self._case.wildcards and self.route not in self._case.links:
            text += f" {self.route} stands for the wildcard route's name: kubectl get apigeeroutes -A shows what it is called."
        present = {host.name: host.additional_gateways for _, host in self._case.virtual_hosts if host.tls_mode != "MUTUAL"}
        rows = []
        for name in only or tuple(filter(None, present)) or ("ENV_GROUP",):
            gateways = ", ".join(f'"{each}"' for each in dict.fromkeys((*present.get(name, ()), self.route)))
            rows.append(f"- name: {scalar(name)}\n  additionalGateways: [{gateways}]\n")
        yaml = "virtualhosts:\n" + "".join(rows)
        if diff is not None:
            text += f" (Save what is below as {LINK_FILE}: its comments are the diff.)"
            yaml = _commented(diff) + yaml
        commands = (*self._patch(diff, LINK_FILE), *self.apply_overrides(only=only), self.prove())
        return Fix(explanation=text, yaml=yaml, commands=commands)

    @property
    def _files(self) -> str:
        """The files that have virtual hosts, in words."""
        files = [facts.file for facts in self._case.overrides if facts.virtual_hosts]
        return ", ".join("overrides.yaml" if file == STANDARD_INPUT else file for file in files) or self.overrides_file

    @property
    def _everywhere(self) -> str:
        """All virtual hosts that may be linked: one that demands client certificates would not, to who sends no name."""
        mutual = [host.name for _, host in self._case.virtual_hosts if host.tls_mode == "MUTUAL"]
        return f"every virtualhost but {', '.join(mutual)} (tlsMode MUTUAL)" if mutual else "every virtualhost"

    def rename_link(self, name: str) -> Fix:
        """Write the wildcard route's name where a name stands that no route has."""
        twice = [host.name for _, host in self._case.virtual_hosts if {name, self.route} <= set(host.additional_gateways)]
        only_out = f" (where {self.route} is listed already, in {', '.join(twice)}: only take {name} out)" if twice else ""
        edits = [
            f"sed -E -i {shlex.quote(f'{line},{line + len(host.additional_gateways)}{{{edit}}}')} {shlex.quote(file)}"
            for file, host in reversed(self._case.virtual_hosts)  # a line that is taken out moves those behind it
            if name in host.additional_gateways and (line := host.additional_gateways_line) and file != STANDARD_INPUT
            for edit in (_taken_out(name) if self.route in host.additional_gateways else _renamed(name, self.route),)
        ]
        if not _NAME.fullmatch(name) or not _NAME.fullmatch(self.route):
            edits = []
        return Fix(
            explanation=f"Write {self.route} instead of {name} in additionalGateways of {self._files}{only_out}, and apply the virtual hosts.",
            yaml=f'virtualhosts:\n- name: {scalar(self.groups[0])}\n  additionalGateways: ["{self.route}"]\n',
            commands=(*edits, *self.apply_overrides(), self.prove()),
        )

    def unlink(self, hosts: Iterable[tuple[str, VirtualHost]], explanation: str) -> Fix:
        """Take all links out of virtual hosts (each with its file), and apply these."""
        hosts = tuple(hosts)
        edits = [
            f"sed -E -i {shlex.quote(f'{line},{line + len(host.additional_gateways)}{{{_taken_out(name)}}}')} {shlex.quote(file)}"
            for file, host in reversed(hosts)
            for name in host.additional_gateways
            if (line := host.additional_gateways_line) and file != STANDARD_INPUT and _NAME.fullmatch(name)
        ]
        return Fix(
            explanation=explanation,
            commands=(*edits, *self.apply_overrides(only=[host.name for _, host in hosts if host.name]), self.prove()),
        )

    def reapply(self, explanation: str) -> Fix:
        """The configuration is right and did not arrive: apply it again, and look at what carries it."""
        namespace = shlex.quote(self.namespace)
        return Fix(
            explanation=explanation,
            commands=(
                *self.apply_overrides(),
                f"kubectl -n {namespace} get apigeerouteconfigs,apigeeroutes",
                f"kubectl -n {namespace} get apigeeissues",
                f"kubectl -n {namespace} logs -l app=apigee-watcher --all-containers --tail=100",
                self.prove(),
            ),
        )

    def _linked_everywhere(self) -> bool:
        lists = [host.additional_gateways for _, host in self._case.virtual_hosts if host.tls_mode != "MUTUAL"]
        return bool(lists) and all(self.route in each for each in lists)


def _renamed(name: str, new: str) -> str:
    """For sed: a name of a list as another one, and not within a longer name."""
    return rf"s/(^|[^[:alnum:]_.-]){name.replace('.', '[.]')}([^[:alnum:]_.-]|$)/\1{new}\2/"


def _taken_out(name: str) -> str:
    """For sed: a name out of a list, written in brackets or one a line."""
    item = rf'["\x27]?{name.replace(".", "[.]")}["\x27]?'
    return rf"s/\[ *{item} *\]/[]/;s/(additionalGateways: *){item} *(#.*)?$/\1[]/;s/, *{item}( *[],])/\1/;s/(\[ *){item} *, */\1/;/^ *- *{item} *(#.*)?$/d"


def _commented(diff: str) -> str:
    return "".join(f"# {line}\n" for line in diff.splitlines())
