"""How requests to an HTTP server are authorized, and by which certificates: `prober.sources.HttpAccess`, read from its files.

For sources of targets and receivers of alerts alike. Files are read when they are asked for, so that what was rotated is used next.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from pathlib import Path

from prober.sources import HttpAccess, SourceError

__all__ = ["AccessError", "authorization", "read_secret", "request_headers", "tls_context", "verifying"]

_SECRET_LIMIT = 64 * 1024


class AccessError(SourceError):
    """A file cannot be used; the text says which and why, and holds no secret."""


def request_headers(access: HttpAccess) -> dict[str, str]:
    """What authorizes a request, read from its files now. Blocks. `AccessError` when a file cannot be read."""
    if access.username is not None and access.password_file is not None:
        # RFC 7617 §2
        credentials = b64encode(f"{access.username}:{read_secret(access.password_file)}".encode()).decode()
        return authorization("Basic", credentials, access.password_file)
    if access.credentials_file is not None:
        return authorization(access.authorization_type, read_secret(access.credentials_file), access.credentials_file)
    return {}


def authorization(scheme: str, secret: str, where: str) -> dict[str, str]:
    """The header. `AccessError` when there can be none; the HTTP client's own complaint would quote the secret."""
    if not secret.isascii() or not secret.isprintable():
        raise AccessError(f"{where}: the secret has characters that no HTTP header can have")
    return {"Authorization": f"{scheme} {secret}"}


def read_secret(path: str) -> str:
    """The text of a small file without the white space around it. Blocks. `AccessError` when it cannot be used."""
    try:
        with Path(path).open("rb") as stream:
            secret = stream.read(_SECRET_LIMIT).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise AccessError(f"{path}: cannot be read: {reason}") from None
    if not secret or not secret.isprintable():
        raise AccessError(f"{path}: holds no secret on one line")
    return secret


def verifying(*, cafile: str | None = None, cadata: str | None = None) -> ssl.SSLContext:
    """A client's context that trusts these authorities, else the system's. Blocks. ``OSError`` when they cannot be used.

    It verifies as curl, Go and kubectl do, whatever Python runs it: `ssl.create_default_context` of 3.13 refuses certificates without key
    identifiers, as the authorities of many clusters issue them, and the one before it an intermediate that is trusted by itself. It also
    fails where SSLKEYLOGFILE names a file that cannot be written, and writes the keys of all connections where it can.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if cafile is None and cadata is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=cafile, cadata=cadata)
    return context


def tls_context(access: HttpAccess) -> ssl.SSLContext:
    """By the access's certificates, which are read now. Blocks. `AccessError` when one cannot be used."""
    try:
        trust = verifying(cafile=access.ca_file)
        if access.cert_file is not None:
            # OpenSSL would ask the terminal for the passphrase of an encrypted key.
            trust.load_cert_chain(access.cert_file, access.key_file, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(file for file in (access.ca_file, access.cert_file, access.key_file) if file)
        raise AccessError(f"{files}: cannot be used: {error.strerror or error}") from None
    return trust
