"""Single words of Go's crypto/tls, as what Python's ssl module has for them. Each reader takes one value of `tls_server_config`.

What ssl cannot do, or no server should, is refused with the word to write in its place.
"""

from __future__ import annotations

import ssl

from prober.config.nodes import Value
from prober.config.problems import Wrong, near_miss
from prober.config.readers import each, filled, text

__all__ = ["SUITES", "TLS13_SUITES", "VERSIONS", "client_auth", "curve", "suite", "version"]

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_TOO_OLD = ("TLS10", "TLS11")
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
# Certificates that are asked for and not verified: OpenSSL can, Python's ssl cannot.
_UNVERIFIED = {"RequestClientCert": "VerifyClientCertIfGiven", "RequireAnyClientCert": "RequireAndVerifyClientCert"}
# What Go's tls.CipherSuites() lists for TLS 1.2, by OpenSSL's names.
SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
TLS13_SUITES = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}


def client_auth(value: Value) -> ssl.VerifyMode:
    """``RequireAndVerifyClientCert`` and so on."""
    name = text(value)
    if name in _UNVERIFIED:
        raise Wrong(f"{name} takes certificates that nobody verifies, which is not built; write {_UNVERIFIED[name]}")
    if name not in _CLIENT_AUTH:
        raise Wrong(f"{name!r} is no way to authenticate clients; write one of {', '.join(_CLIENT_AUTH)}")
    return _CLIENT_AUTH[name]


def version(value: Value) -> str:
    """A key of `VERSIONS`."""
    name = text(value)
    if name in _TOO_OLD:
        raise Wrong(f"{name} is older than TLS 1.2, which is the least that is served; write TLS12 or TLS13")
    if name not in VERSIONS:
        raise Wrong(f"{name!r} is no version; write TLS12 or TLS13")
    return name


def suite(value: Value) -> str:
    """A key of `SUITES`, or one of `TLS13_SUITES`."""
    name = text(value)
    if name not in SUITES and name not in TLS13_SUITES:
        raise Wrong(f"{name!r} is no suite that is served; {near_miss(name, SUITES) if name else 'write a name'}")
    return name


def curve(value: Value) -> str | None:
    """OpenSSL's name of the one curve that is listed."""
    names = filled(each(_curve_name), "name one curve, or remove the key")(value)
    if len(names) > 1:
        raise Wrong("has several curves, but Python's ssl takes one; keep the one that is wanted, or remove the key")
    return names[0][1] if names else None


def _curve_name(value: Value) -> str:
    name = text(value)
    if name not in _CURVES:
        raise Wrong(f"{name!r} is no curve that is known here; write one of {', '.join(_CURVES)}")
    return _CURVES[name]
