"""Kubeconfigs that are several files, and clusters behind a proxy."""

from __future__ import annotations

import ssl
from base64 import encodebytes
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml

from prober.discovery.kubeconfig import access
from prober.discovery.kubernetes_client import Client, list_objects
from prober.sources import SourceError
from tests.discovery.cluster import apigee_route, kubeconfig
from tests.pki import Authority
from tests.servers.kubernetes import api_server

ROUTES = ("apigee.cloud.google.com/v1alpha1", "apigeeroutes", "apigee")


def _write(directory: Path, **content: Any) -> str:
    directory.mkdir()
    (directory / "config").write_text(yaml.safe_dump(content))
    return str(directory / "config")


def test_several_files_are_read_as_one(tmp_path: Path) -> None:
    """As kubectl reads KUBECONFIG: of each name the first, the first current-context, paths relative to the file that has them."""
    first = _write(
        tmp_path / "a",
        **{"current-context": "one"},
        contexts=[{"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "first"}}],
        clusters=[{"name": "c", "cluster": {"server": "https://first.test"}}],
    )
    second = _write(
        tmp_path / "b",
        **{"current-context": "two"},
        contexts=[{"name": name, "context": {"cluster": f"c{name}", "user": "u"}} for name in ("one", "two")],
        clusters=[{"name": name, "cluster": {"server": "https://second.test"}} for name in ("c", "ctwo")],
        users=[{"name": "u", "user": {"tokenFile": "token"}}],
    )
    (tmp_path / "b" / "token").write_text("of-b")

    assert ("https://first.test", "first") == ((how := access([first, second], None, {})).server, how.namespace)
    assert {"Authorization": "Bearer of-b"} == how.headers
    assert "https://second.test" == access([first, second], "two", {}).server
    with pytest.raises(SourceError, match=rf"{first}, {second}: there is no context 'three'"):
        access([first, second], "three", {})


def test_data_in_lines_is_base64_too(tmp_path: Path) -> None:
    """As `base64` prints it, in a block of YAML: client-go reads it."""
    authority = Authority.root().write(tmp_path)
    text = encodebytes(authority.read_bytes()).decode()

    assert text.count("\n") > 2
    assert (
        1
        == access(
            kubeconfig(tmp_path, "https://a.test", **{"certificate-authority-data": text}), None, {}
        ).tls.cert_store_stats()["x509_ca"]
    )


async def test_a_cluster_behind_a_proxy_is_asked_through_it(tmp_path: Path) -> None:
    """`proxy-url`: the API server's name is the proxy's matter, TLS is with the API server, and the proxy's password is in no text."""
    authority = Authority.root()
    issued = authority.issue("kubernetes.test")
    files = issued.write(tmp_path, "api")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(files.certificate, files.key)
    asked: list[bytes] = []
    async with api_server(tls) as server, trio.open_nursery() as nursery:
        apigee_route(server, "r", "api.example.com")

        async def proxy(client: trio.SocketStream) -> None:
            asked.append(await client.receive_some())
            async with (
                await trio.open_tcp_stream("127.0.0.1", int(server.url.rpartition(":")[2])) as there,
                trio.open_nursery() as both,
            ):
                await client.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")

                async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
                    async for piece in source:
                        await sink.send_all(piece)
                    both.cancel_scope.cancel()

                both.start_soon(pump, client, there)
                both.start_soon(pump, there, client)

        (door,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, proxy, [door])
        at = f"http://user:Tr0ub4dor@127.0.0.1:{door.socket.getsockname()[1]}"
        path = kubeconfig(
            tmp_path, "https://kubernetes.test:6443", **{"proxy-url": at, "certificate-authority": str(authority.write(tmp_path))}
        )
        found = await list_objects(Client(path), *ROUTES)
        nursery.cancel_scope.cancel()

    assert isinstance(found, tuple)
    assert 1 == len(found)
    assert asked[0].startswith(b"CONNECT kubernetes.test:6443 HTTP/1.1\r\n")
    assert "Tr0ub4dor" not in repr(access(path, None, {}))


def test_a_proxy_that_is_not_spoken_with_is_refused(tmp_path: Path) -> None:
    """SOCKS: nobody is to be asked past it."""
    with pytest.raises(SourceError, match="proxy-url leads through something else"):
        access(kubeconfig(tmp_path, "https://a.test", **{"proxy-url": "socks5://127.0.0.1:1080"}), None, {})
