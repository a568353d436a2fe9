"""The ingresses of a Kubernetes cluster, followed by list and watch.

Each kind of object is followed on its own. What the cluster does not show (403, no such CRD) is unknown: it is asked again now and then,
and what was seen of it before stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import uniform

import trio

from prober.discovery.feed import Feed
from prober.discovery.kubernetes_client import Client, Expired, Object, Refused, Silent, Unknown
from prober.discovery.kubernetes_ingresses import Cluster, ingresses
from prober.discovery.kubernetes_objects import mapping
from prober.sources import KubernetesSource, SourceError

__all__ = ["KubernetesWatcher"]

# What is followed, in the order of `Cluster`'s fields. Of Istio's versions, the first that the cluster knows.
_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "services": ("services", ("v1",)),
    "pods": ("pods", ("v1",)),
    "ingresses": ("ingresses", ("networking.k8s.io/v1",)),
    "gateways": ("gateways", ("gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1")),
    "http_routes": ("httproutes", ("gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1")),
    "tls_routes": (
        "tlsroutes",
        tuple(f"gateway.networking.k8s.io/{version}" for version in ("v1", "v1alpha3", "v1alpha2")),
    ),
    "istio_gateways": ("gateways", ("networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3")),
    "openshift_routes": ("routes", ("route.openshift.io/v1",)),
    "apigee_routes": ("apigeeroutes", ("apigee.cloud.google.com/v1alpha1",)),
}

FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
"""Seconds, doubled after each failure without success between them."""
ASK_AGAIN = 60.0
"""Seconds after which a kind that the cluster does not show is asked for again."""
GATHER = 0.2
"""Seconds for which events are gathered: a rollout changes many objects at once."""
MOST_NOTES = 20
"""What is left out is told one by one up to here."""
_METADATA = frozenset({"namespace", "name", "labels", "annotations"})
ALIVE = 15.0
"""Seconds after which the source says that it is fine although nothing changed."""


@dataclass(slots=True)
class _Follower:
    """All objects of one kind in one namespace (None: in all)."""

    client: Client
    kind: str
    namespace: str | None
    changed: Callable[[], None]
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    answered: bool = False
    problem: str | None = None
    unknown: str | None = None
    refused: bool = False
    """The last watch was forbidden."""
    unwatched: str | None = None
    """Its list is shown, and its changes are not."""
    retry: float = FIRST_RETRY

    async def run(self) -> None:
        """List, then watch from there on; list again when the server has forgotten where that was."""
        while True:
            try:
                group_version, version = await self._list()
                await self._watch(group_version, version)
            except Expired:
                await self._pause()
            except SourceError as error:
                self.problem, self.answered = str(error), True
                self.changed()
                await self._pause()

    async def _list(self) -> tuple[str, str]:
        """Take in everything; what the cluster does not show is waited for."""
        plural, group_versions = _KINDS[self.kind]
        while True:
            unknown: list[str] = []
            for group_version in group_versions:
                listing = await self.client.list(group_version, plural, self.namespace)
                if not isinstance(listing, Unknown):
                    self.objects = {_key(item): _lean(self.kind, item) for item in listing.objects}
                    self._fine()
                    return group_version, listing.version
                unknown.append(listing.reason)
                if listing.forbidden:
                    break
            self._fine()
            self.unknown, self.unwatched, self.refused = f"{self._what}: {unknown[-1]}", None, False
            await trio.sleep(ASK_AGAIN)

    @property
    def _what(self) -> str:
        plural, group_versions = _KINDS[self.kind]
        group = group_versions[0].rpartition("/")[0]
        return f"{plural}.{group}".removesuffix(".") + (f" in {self.namespace}" if self.namespace else "")

    async def _watch(self, group_version: str, version: str) -> None:
        """Take in events, until nothing is heard any more."""
        plural = _KINDS[self.kind][0]
        failed = False
        while True:
            began = trio.current_time()
            try:
                async for event in self.client.watch(group_version, plural, self.namespace, version):
                    version = self._take(event) or version
                    failed, self.retry = False, FIRST_RETRY
                    self._shown()
            except Refused:
                if self.refused:
                    self.unwatched = (
                        f"{self._what}: watch is forbidden (403), list is not: changes are seen every {ASK_AGAIN:g} s"
                    )
                    self.changed()
                    await trio.sleep(ASK_AGAIN)
                self.refused = True
                return  # perhaps the list is forbidden by now, too
            except Silent:
                return  # what happened meanwhile, if anything, is in a new list
            except SourceError:
                if failed:
                    raise  # twice without an event between them: list again
                failed = True
                await self._pause()
            else:
                self._shown()
                # The server ends watches after some minutes; one that ends them at once is not asked at once again.
                if trio.current_time() - began < FIRST_RETRY:
                    await self._pause()

    def _take(self, event: Object) -> str | None:
        """The version from which a watch may go on after this event."""
        item = mapping(event, "object")
        kind = event.get("type")
        if kind in {"ADDED", "MODIFIED"}:
            lean = _lean(self.kind, item)
            if self.objects.get(_key(item)) != lean:
                self.objects[_key(item)] = lean
                self.changed()
        elif kind == "DELETED":
            self.objects.pop(_key(item), None)
            self.changed()
        version = mapping(item, "metadata").get("resourceVersion")
        return None if version is None else str(version)

    def _shown(self) -> None:
        """A watch was answered."""
        self.refused = False
        if self.problem is not None or self.unwatched is not None:
            self.unwatched = None
            self._fine()

    def _fine(self) -> None:
        self.problem, self.unknown, self.answered = None, None, True
        self.changed()

    async def _pause(self) -> None:
        # Not in step with the other kinds, and other probers, that lost the same server.
        await trio.sleep(uniform(0.5, 1.0) * self.retry)  # noqa: S311
        self.retry = min(2 * self.retry, LONGEST_RETRY)


class KubernetesWatcher:
    """`prober.discovery.feed.Watcher` of one cluster."""

    def __init__(self, source: KubernetesSource, client: Client | None = None) -> None:
        self._source = source
        self._client = client or Client(source.kubeconfig, source.context)
        self._changed = trio.Event()
        self._followers = [
            _Follower(self._client, kind, namespace, self._wake) for kind in _KINDS for namespace in source.namespaces or (None,)
        ]

    def _wake(self) -> None:
        self._changed.set()

    async def run(self, feed: Feed) -> None:
        """Follow, until cancelled. `SourceError` when there is no way to a cluster."""
        await self._client.namespace()
        async with trio.open_nursery() as nursery:
            for follower in self._followers:
                nursery.start_soon(follower.run)
            while True:
                with trio.move_on_after(ALIVE):
                    await self._changed.wait()
                    await trio.sleep(GATHER)
                self._changed = trio.Event()
                if all(follower.answered for follower in self._followers):
                    await self._publish(feed)

    async def _publish(self, feed: Feed) -> None:
        objects = {
            kind: [item for one in self._followers if one.kind == kind for item in one.objects.values()] for kind in _KINDS
        }
        problems = dict.fromkeys(one.problem for one in self._followers if one.problem is not None)
        unknown = dict.fromkeys(said for one in self._followers for said in (one.unknown, one.unwatched) if said is not None)
        # In a thread: of a large cluster it takes a while, and probes must not wait for it.
        made = await trio.to_thread.run_sync(ingresses, Cluster(**objects))
        found = tuple({**self._source.labels, **labels} for labels in made.label_sets)
        feed.publish(found, tuple(problems), (*unknown, *_few(made.notes)))


def _few(notes: tuple[str, ...]) -> tuple[str, ...]:
    return notes if len(notes) <= MOST_NOTES else (*notes[:MOST_NOTES], f"and {len(notes) - MOST_NOTES} more of this kind")


def _lean(kind: str, item: Object) -> Object:
    """What is kept of an object. Of pods, labels are all that is asked for, and a cluster has tens of thousands of them."""
    metadata = {key: value for key, value in mapping(item, "metadata").items() if key in _METADATA}
    return {"metadata": metadata} if kind == "pods" else {**item, "metadata": metadata}


def _key(item: Object) -> tuple[str, str]:
    metadata = mapping(item, "metadata")
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))
