"""``tls_server_config`` of the web configuration file: what the HTTP listener is to be, in the words of Go's crypto/tls.

Only what Python's ssl module can really do is accepted: a setting that had no effect would be a promise about security that
nobody keeps.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from prober.config.nodes import Fields, Value
from prober.config.problems import Wrong
from prober.config.readers import choice, each, filled, no_repeats, readable_file, text
from prober.config.tls_words import SUITES, TLS13_SUITES, VERSIONS, client_auth, curve, suite, version

__all__ = ["ServerTls", "boolean", "tls_server_config"]

KEYS = (
    "cert_file",
    "key_file",
    "cert",
    "key",
    "client_ca_file",
    "client_ca",
    "client_auth_type",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
)

_SIZE_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """How the listener speaks TLS. Equal values make equal listeners, so that a renewed certificate is a change."""

    certificate: bytes = field(repr=False)
    """PEM, end-entity first."""
    key: bytes = field(repr=False)
    """PEM."""
    client_ca: bytes | None = field(default=None, repr=False)
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    client_allowed_sans: frozenset[str] = frozenset()
    """One of them must be in the client's certificate; empty: any client certificate will do."""
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    max_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    cipher_suites: tuple[str, ...] = ()
    """OpenSSL's names, for TLS 1.2; empty: its defaults."""
    prefer_server_cipher_suites: bool = True
    curve: str | None = None
    http2: bool = True
    files: tuple[str, ...] = ()
    """What was read."""
    context: ssl.SSLContext = field(compare=False, repr=False)
    """All of the above."""

    def admits(self, certificate: bytes | None) -> bool:
        """Whether a client whose certificate (DER) was verified may come in: by exact match of one subject alternative name."""
        if not self.client_allowed_sans:
            return True
        return certificate is not None and not self.client_allowed_sans.isdisjoint(_alternative_names(certificate))


def boolean(value: Value) -> bool:
    """Reader of ``true`` or ``false``."""
    return choice(("true", "false"))(value) == "true"


def tls_server_config(value: Value, *, http2: bool) -> ServerTls | None:
    """Reader of the section; None when nothing in it asks for TLS, or when something in it was complained about."""
    before = len(value.problems)
    fields = value.fields(KEYS)
    files: list[str] = []
    certificate = _material(fields, "cert", files)
    key = _material(fields, "key", files)
    client_ca = _material(fields, "client_ca", files)
    auth = fields.read("client_auth_type", client_auth, ssl.CERT_NONE)
    sans = fields.read("client_allowed_sans", filled(each(_san), "write at least one name, or remove the key"), ())
    low, high = fields.read("min_version", version, "TLS12"), fields.read("max_version", version, "TLS13")
    suites = fields.read("cipher_suites", filled(each(suite), "name at least one suite, or remove the key"), ())
    prefer = fields.read("prefer_server_cipher_suites", boolean, True)
    chosen_curve = fields.read("curve_preferences", curve, None)
    if not any(
        key in fields for key in ("cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file", "client_auth_type")
    ):
        if len(value.problems) == before and any(key in fields for key in KEYS):
            raise Wrong(
                "has no cert_file and no key_file, so that nothing in it has an effect; write both, or remove the section"
            )
        return None
    for needed in ("cert", "key"):
        if needed not in fields and f"{needed}_file" not in fields:
            fields.of.complain(f"has no {needed}_file; TLS takes a certificate and its key, so write cert_file and key_file")
    if low > high:
        fields.at("max_version", "min_version").complain(f"{high} is below min_version, which is {low}; raise it")
    if not fields.failed:
        _consistent(fields, auth, client_ca)
    named = no_repeats(suites)
    _tls13_cannot_be_chosen(fields, named, low)
    tls12 = tuple(SUITES[name] for name in named if name in SUITES)
    if http2 and tls12 and low == "TLS12" and not any("AES_128_GCM" in name for name in named if name in SUITES):
        # RFC 9113 §9.2.2: clients may take every other suite of TLS 1.2 for a reason to close.
        fields.at("cipher_suites").complain(
            "has no AES_128_GCM suite with ECDHE, without which HTTP/2 over TLS 1.2 fails; add one, or write http2: false"
        )
    if len(value.problems) > before:
        return None
    settings = ServerTls(
        certificate=certificate or b"",
        key=key or b"",
        client_ca=client_ca,
        client_auth=auth,
        client_allowed_sans=frozenset(san for _, san in sans),
        min_version=VERSIONS[low],
        max_version=VERSIONS[high],
        cipher_suites=tls12,
        prefer_server_cipher_suites=prefer,
        curve=chosen_curve,
        http2=http2,
        files=tuple(files),
        context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
    )
    _prepare(settings, fields)
    return settings


def _consistent(fields: Fields, auth: ssl.VerifyMode, client_ca: bytes | None) -> None:
    if auth is ssl.CERT_NONE and client_ca is not None:
        fields.at("client_ca_file", "client_ca").complain(
            "has no effect while no client certificate is asked for; write client_auth_type: RequireAndVerifyClientCert"
        )
    if auth is not ssl.CERT_NONE and client_ca is None:
        fields.at("client_auth_type").complain("has no authority to verify by; write client_ca_file")
    if "client_allowed_sans" in fields and auth is not ssl.CERT_REQUIRED:
        fields.at("client_allowed_sans").complain(
            "lets clients without a certificate in; write client_auth_type: RequireAndVerifyClientCert"
        )


def _tls13_cannot_be_chosen(fields: Fields, named: tuple[str, ...], low: str) -> None:
    of_tls13 = TLS13_SUITES.intersection(named)
    if of_tls13 and of_tls13 != TLS13_SUITES:
        missing = ", ".join(sorted(TLS13_SUITES - of_tls13))
        fields.at("cipher_suites").complain(
            f"leaves out {missing}, but the suites of TLS 1.3 cannot be chosen; list all three of them, or none"
        )
    elif named and of_tls13 == set(named) and low == "TLS12":
        fields.at("cipher_suites").complain("has no suite of TLS 1.2; add one, or write min_version: TLS13")


def _prepare(settings: ServerTls, fields: Fields) -> None:
    """Make the context what the settings say; complain about what OpenSSL does not take."""
    context = settings.context
    context.minimum_version, context.maximum_version = settings.min_version, settings.max_version
    context.set_alpn_protocols(["h2", "http/1.1"] if settings.http2 else ["http/1.1"])
    if settings.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if settings.cipher_suites:
        _choose_suites(context, settings.cipher_suites, fields.at("cipher_suites"))
    if settings.curve is not None:
        context.set_ecdh_curve(settings.curve)
    try:
        with _as_file(settings.certificate) as certificate, _as_file(settings.key) as key:
            context.load_cert_chain(certificate, key, password=_no_passphrase)
    except Wrong as wrong:
        fields.at("key_file", "key").complain(str(wrong))
    except ssl.SSLError as error:
        _complain_about_pair(settings, fields, error)
    if settings.client_ca is not None:
        try:
            # Comments beside the PEM may be in any language, but the ssl module takes nothing that is no ASCII.
            context.load_verify_locations(cadata=settings.client_ca.decode("ascii", "backslashreplace"))
        except ssl.SSLError:
            fields.at("client_ca_file", "client_ca").complain(
                "has no certificate that can be read; put the authority's PEM into it"
            )
    context.verify_mode = settings.client_auth


def _complain_about_pair(settings: ServerTls, fields: Fields, error: ssl.SSLError) -> None:
    """OpenSSL says little of which of the two it means, so that is found out."""
    if error.reason == "KEY_VALUES_MISMATCH":
        fields.at("key_file", "key").complain("is not the key of the certificate; name the pair that belongs together")
        return
    try:
        x509.load_pem_x509_certificates(settings.certificate)
    except ValueError:
        fields.at("cert_file", "cert").complain("has no certificate that can be read; put the server's PEM chain into it")
        return
    if b"PRIVATE KEY-----" not in settings.key:
        fields.at("key_file", "key").complain("has no private key that can be read; put the certificate's PEM key into it")
        return
    fields.at("cert_file", "cert").complain(
        f"and its key are refused by OpenSSL: {(error.reason or 'no reason given').replace('_', ' ').lower()}; make a new pair"
    )


def _choose_suites(context: ssl.SSLContext, suites: tuple[str, ...], value: Value) -> None:
    try:
        context.set_ciphers(":".join(suites))
    except ssl.SSLError:
        available: set[str] = set()
    else:
        available = {suite["name"] for suite in context.get_ciphers()}
    missing = [name for name, own in SUITES.items() if own in suites and own not in available]
    if missing:
        value.complain(f"names {', '.join(missing)}, which this OpenSSL does not offer; remove it")


def _no_passphrase() -> str:
    raise Wrong("is encrypted, and nobody is there to type its pass phrase; write the key without one, readable by prober alone")


@contextmanager
def _as_file(pem: bytes) -> Iterator[str]:
    """A path for the ssl module, which reads only files: in memory where the system has such, so that no key is on a disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(pem)
            stream.flush()
            yield f"/proc/self/fd/{descriptor}"
    else:
        with tempfile.NamedTemporaryFile() as stream:  # mode 0600
            stream.write(pem)
            stream.flush()
            yield stream.name


def _material(fields: Fields, key: str, files: list[str]) -> bytes | None:
    """PEM that is written as ``key`` or stands in the file that ``<key>_file`` names."""
    in_file = f"{key}_file"
    if key in fields and in_file in fields:
        fields.at(in_file).complain(f"is written beside {key}; keep one of them")
    path = fields.read(in_file, readable_file, None)
    if path is not None:
        files.append(path)
        return fields.read(in_file, lambda _: _content(path), None)
    return fields.read(key, _pem, None)


def _content(path: str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(_SIZE_LIMIT)
    except OSError as error:
        raise Wrong(f"{path} cannot be read: {error.strerror}; check its permissions") from None
    if not data.strip():
        raise Wrong(f"{path} is empty; put PEM into it")
    return data


def _pem(value: Value) -> bytes:
    raw = value.raw
    if "-----BEGIN " not in raw:
        raise Wrong("is no PEM; write it from -----BEGIN to the END line below a |, or name a file by the key with _file")
    return raw.encode()


def _san(value: Value) -> str:
    name = text(value)
    if not name:
        raise Wrong("is empty; write a name, an address or a URI as it stands in the certificate")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _alternative_names(certificate: bytes) -> frozenset[str]:
    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        names = extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return frozenset()  # what cannot be read admits nobody
    assert isinstance(names, x509.SubjectAlternativeName)
    kinds = (x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier, x509.IPAddress)
    return frozenset(str(name.value) for name in names if isinstance(name, kinds))
