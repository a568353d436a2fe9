"""Node.js's tls module as the tests meet it, where it is installed: one process, one server a port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prober.model import Verdict
from tests.servers.listeners import CLOSED, Fleet, Listener, cert
from tests.servers.material import KNOWN, Material
from tests.servers.ports import Ports
from tests.servers.processes import running
from tests.servers.requirements import optional_program

__all__ = ["LISTENERS", "node"]

LISTENERS = {
    listener.name: listener
    for listener in (
        Listener(
            name="contexts",
            config="server.addContext(known, pair('api'));",
            known=cert("api"),
            none=cert("wide"),
            unknown=cert("wide"),
            verdict=Verdict.OK,
        ),
        # An error in SNICallback destroys the socket: no alert. The callback is not called for clients without SNI.
        Listener(
            name="callback-refuses",
            config="""options.SNICallback = (name, done) =>
                name === known ? done(null, tls.createSecureContext(pair('api'))) : done(new Error('unknown ' + name));""",
            known=cert("api"),
            none=cert("wide"),
            unknown=CLOSED,
            verdict=Verdict.OK,
        ),
        Listener(
            name="client-certificate-requested",
            config="options.requestCert = true; options.rejectUnauthorized = false;",
            known=cert("wide"),
            none=cert("wide"),
            unknown=cert("wide"),
            verdict=Verdict.OK,
        ),
    )
}

_PROGRAM = """\
const fs = require('fs'), tls = require('tls');
const known = <known>, roles = <roles>;
const pair = role => ({cert: fs.readFileSync(roles[role][0]), key: fs.readFileSync(roles[role][1])});
function serve(port, host, configure) {
  const options = pair('wide');
  let contexts = [];
  configure(options, {addContext: (name, context) => contexts.push([name, context])});
  const server = tls.createServer(options, socket => socket.on('error', () => {}));
  contexts.forEach(([name, context]) => server.addContext(name, context));
  server.on('tlsClientError', () => {});
  server.listen(port, host);
}
"""


@contextmanager
def node(directory: Path, material: Material) -> Iterator[Fleet]:
    """One node with all `LISTENERS`."""
    program = optional_program("node")
    with Ports() as ports:
        endpoints = {listener.name: ports.take(listener.ip) for listener in LISTENERS.values()}
        roles = {role: [str(material.crt(role)), str(material.key(role))] for role in ("api", "wide")}
        script = material.fill(_PROGRAM, known=json.dumps(KNOWN), roles=json.dumps(roles))
        for listener in LISTENERS.values():
            at = endpoints[listener.name]
            script += f"serve({at.port}, {json.dumps(at.ip)}, (options, server) => {{ {listener.config} }});\n"
        file = directory / "server.js"
        file.write_text(script)
        with running([program, file], directory=directory, accepting=endpoints.values(), name="node"):
            yield Fleet("node", LISTENERS, endpoints, directory)
