"""Java's JSSE as the tests meet it, where a JDK is installed: the TLS stack of many gateways, and unlike OpenSSL's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from prober.model import Verdict
from tests.servers.listeners import Fleet, Listener, alert, cert
from tests.servers.material import KNOWN, Material
from tests.servers.ports import Ports
from tests.servers.processes import running
from tests.servers.requirements import optional_program

__all__ = ["LISTENERS", "java"]

LISTENERS = {
    listener.name: listener
    for listener in (
        Listener(
            name="plain",
            config="",
            known=cert("rsa"),
            none=cert("rsa"),
            unknown=cert("rsa"),
            verdict=Verdict.OK,
            piecemeal=True,
        ),
        # A matcher refuses other names; a client that sends none is not asked.
        Listener(
            name="matcher",
            config=f'parameters.setSNIMatchers(List.of(SNIHostName.createSNIMatcher("{KNOWN.replace(".", "[.]")}")));',
            known=cert("rsa"),
            none=cert("rsa"),
            unknown=alert(112),
            verdict=Verdict.OK,
            piecemeal=True,
        ),
        Listener(
            name="client-certificate-wanted",
            config="parameters.setWantClientAuth(true);",
            known=cert("rsa"),
            none=cert("rsa"),
            unknown=cert("rsa"),
            verdict=Verdict.OK,
            piecemeal=True,
        ),
    )
}

_PASSWORD = "not-a-secret"
_PROGRAM = """\
import java.io.*; import java.net.*; import java.security.*; import java.util.*; import java.util.function.*; import javax.net.ssl.*;
class Server {
  static SSLContext context;
  static void serve(String host, int port, Consumer<SSLParameters> configure) throws Exception {
    var door = (SSLServerSocket) context.getServerSocketFactory().createServerSocket(port, 50, InetAddress.getByName(host));
    var parameters = door.getSSLParameters(); configure.accept(parameters); door.setSSLParameters(parameters);
    new Thread(() -> { while (true) { try {
      var connection = (SSLSocket) door.accept();
      new Thread(() -> { try (connection) { connection.startHandshake(); connection.getInputStream().read(); }
        catch (IOException gone) { } }).start();
    } catch (IOException gone) { } } }).start();
  }
  public static void main(String[] words) throws Exception {
    var password = "<password>".toCharArray();
    var store = KeyStore.getInstance("PKCS12"); store.load(new FileInputStream("<store>"), password);
    var keys = KeyManagerFactory.getInstance("PKIX"); keys.init(store, password);
    context = SSLContext.getInstance("TLS"); context.init(keys.getKeyManagers(), null, null);
    <serve>
  }
}
"""


@contextmanager
def java(directory: Path, material: Material) -> Iterator[Fleet]:
    """One virtual machine with all `LISTENERS`."""
    program = optional_program("java")
    optional_program("javac")
    issued = material.issued["rsa"]
    store = directory / "store.p12"
    encryption = BestAvailableEncryption(_PASSWORD.encode())
    store.write_bytes(
        pkcs12.serialize_key_and_certificates(b"server", issued.key, issued.certificate, issued.intermediates, encryption)
    )
    with Ports() as ports:
        endpoints = {listener.name: ports.take(listener.ip) for listener in LISTENERS.values()}
        serve = "\n".join(
            f'serve("{endpoints[listener.name].ip}", {endpoints[listener.name].port}, parameters -> {{ {listener.config} }});'
            for listener in LISTENERS.values()
        )
        file = directory / "Server.java"
        file.write_text(material.fill(_PROGRAM, password=_PASSWORD, store=store, serve=serve, SSLParameters="<SSLParameters>"))
        command = [program, "-XX:+UseSerialGC", "-Xmx128m", file]
        with running(command, directory=directory, accepting=endpoints.values(), name="java"):
            yield Fleet("java", LISTENERS, endpoints, directory)
