"""The web configuration file: the exact complaint about everything that it may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from prober.config import ConfigError
from prober.config.web_file import load_web_file
from tests.config.web_files import CLIENT, HASH, PAIR, directory

__all__ = ["directory"]


REFUSED = {
    "unknown key": (
        f"basic_auth_user: {{a: {HASH}}}",
        "1: basic_auth_user: unknown key; did you mean 'basic_auth_users'?",
    ),
    "unknown key of TLS": (
        PAIR + "  min_versions: TLS12",
        "4: tls_server_config.min_versions: unknown key; did you mean 'min_version'?",
    ),
    "rate limit without a burst": (
        "rate_limit: {interval: 1s}",
        "1: rate_limit: burst is missing; write how many requests may come at once, at least 1",
    ),
    "rate limit that lets nobody in": (
        "rate_limit: {interval: 1s, burst: 0}",
        "1: rate_limit.burst: '0' is no number of requests; write a whole number from 1 to 1000000",
    ),
    "rate limit without an interval": (
        "rate_limit: {burst: 5}",
        "1: rate_limit: interval is missing; write the time in which one more request may come, for example 1s, or 0 for no limit",
    ),
    "rate limit without a unit": (
        "rate_limit: {interval: 2, burst: 5}",
        "1: rate_limit.interval: 2 has no unit; write 2s if seconds are meant",
    ),
    "TLS 1.1": (
        PAIR + "  min_version: TLS11",
        "4: tls_server_config.min_version: TLS11 is older than TLS 1.2, which is the least that is served; write TLS12 or TLS13",
    ),
    "no version": (
        PAIR + "  min_version: '1.2'",
        "4: tls_server_config.min_version: '1.2' is no version; write TLS12 or TLS13",
    ),
    "versions backwards": (
        PAIR + "  min_version: TLS13\n  max_version: TLS12",
        "5: tls_server_config.max_version: TLS12 is below min_version, which is TLS13; raise it",
    ),
    "no key": (
        "tls_server_config: {cert_file: server.crt}",
        "1: tls_server_config: has no key_file; TLS takes a certificate and its key, so write cert_file and key_file",
    ),
    "nothing but a version": (
        "tls_server_config: {min_version: TLS13}",
        (
            "1: tls_server_config: has no cert_file and no key_file, so that nothing in it has an effect; "
            "write both, or remove the section"
        ),
    ),
    "no such file": (
        "tls_server_config: {cert_file: lost.crt, key_file: server.key}",
        "1: tls_server_config.cert_file: there is no file lost.crt; relative paths are relative to the file that names them",
    ),
    "empty file": (
        "tls_server_config: {cert_file: empty.pem, key_file: server.key}",
        "1: tls_server_config.cert_file: empty.pem is empty; put PEM into it",
    ),
    "another's key": (
        "tls_server_config:\n  cert_file: server.crt\n  key_file: other.key",
        "3: tls_server_config.key_file: is not the key of the certificate; name the pair that belongs together",
    ),
    "encrypted key": (
        "tls_server_config:\n  cert_file: server.crt\n  key_file: encrypted.key",
        (
            "3: tls_server_config.key_file: is encrypted, and nobody is there to type its pass phrase; "
            "write the key without one, readable by prober alone"
        ),
    ),
    "key for a certificate": (
        "tls_server_config:\n  cert_file: server.key\n  key_file: server.key",
        "2: tls_server_config.cert_file: has no certificate that can be read; put the server's PEM chain into it",
    ),
    "certificate for a key": (
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.crt",
        "3: tls_server_config.key_file: has no private key that can be read; put the certificate's PEM key into it",
    ),
    "inline and file": (
        PAIR + '  cert: "-----BEGIN CERTIFICATE-----"',
        "2: tls_server_config.cert_file: is written beside cert; keep one of them",
    ),
    "inline that is none": (
        "tls_server_config: {cert_file: server.crt, key: hunter2}",
        (
            "1: tls_server_config.key: is no PEM; write it from -----BEGIN to the END line below a |, "
            "or name a file by the key with _file"
        ),
    ),
    "client certificates nobody verifies": (
        PAIR + "  client_auth_type: RequireAnyClientCert",
        (
            "4: tls_server_config.client_auth_type: RequireAnyClientCert takes certificates that nobody verifies, "
            "which is not built; write RequireAndVerifyClientCert"
        ),
    ),
    "client certificates asked for": (
        PAIR + "  client_auth_type: RequestClientCert",
        (
            "4: tls_server_config.client_auth_type: RequestClientCert takes certificates that nobody verifies, "
            "which is not built; write VerifyClientCertIfGiven"
        ),
    ),
    "unknown client authentication": (
        PAIR + "  client_auth_type: Always",
        (
            "4: tls_server_config.client_auth_type: 'Always' is no way to authenticate clients; "
            "write one of NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"
        ),
    ),
    "no authority": (
        PAIR + "  client_auth_type: VerifyClientCertIfGiven",
        "4: tls_server_config.client_auth_type: has no authority to verify by; write client_ca_file",
    ),
    "authority without use": (
        PAIR + "  client_ca_file: ca.pem",
        (
            "4: tls_server_config.client_ca_file: has no effect while no client certificate is asked for; "
            "write client_auth_type: RequireAndVerifyClientCert"
        ),
    ),
    "authority that is none": (
        PAIR + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: server.key",
        "5: tls_server_config.client_ca_file: has no certificate that can be read; put the authority's PEM into it",
    ),
    "names of nobody": (
        CLIENT.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven") + "  client_allowed_sans: [a.example.test]",
        (
            "6: tls_server_config.client_allowed_sans: lets clients without a certificate in; "
            "write client_auth_type: RequireAndVerifyClientCert"
        ),
    ),
    "no names": (
        CLIENT + "  client_allowed_sans: []",
        "6: tls_server_config.client_allowed_sans: is an empty list; write at least one name, or remove the key",
    ),
    "unknown suite": (
        PAIR + "  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]",
        (
            "4: tls_server_config.cipher_suites[0]: 'TLS_RSA_WITH_RC4_128_SHA' is no suite that is served; known are "
            "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "
            "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
        ),
    ),
    "some suites of TLS 1.3": (
        PAIR + "  min_version: TLS13\n  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384]",
        (
            "5: tls_server_config.cipher_suites: leaves out TLS_CHACHA20_POLY1305_SHA256, but the suites of TLS 1.3 cannot be chosen; "
            "list all three of them, or none"
        ),
    ),
    "only suites of TLS 1.3": (
        PAIR + "  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256]",
        "4: tls_server_config.cipher_suites: has no suite of TLS 1.2; add one, or write min_version: TLS13",
    ),
    "a suite that HTTP/2 does not take": (
        PAIR + "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA]",
        (
            "4: tls_server_config.cipher_suites: has no AES_128_GCM suite with ECDHE, without which HTTP/2 over TLS 1.2 fails; "
            "add one, or write http2: false"
        ),
    ),
    "two curves": (
        PAIR + "  curve_preferences: [X25519, CurveP256]",
        (
            "4: tls_server_config.curve_preferences: has several curves, but Python's ssl takes one; "
            "keep the one that is wanted, or remove the key"
        ),
    ),
    "unknown curve": (
        PAIR + "  curve_preferences: [P256]",
        (
            "4: tls_server_config.curve_preferences[0]: 'P256' is no curve that is known here; "
            "write one of CurveP256, CurveP384, CurveP521, X25519"
        ),
    ),
    "header of another kind": (
        "http_server_config: {headers: {Server: nginx}}",
        (
            "1: http_server_config.headers.Server: is no header that can be set here; known are Content-Security-Policy, "
            "X-Frame-Options, X-Content-Type-Options, X-XSS-Protection, Strict-Transport-Security"
        ),
    ),
    "header that means nothing": (
        "http_server_config: {headers: {X-Frame-Options: maybe}}",
        "1: http_server_config.headers.X-Frame-Options: 'maybe' means nothing to browsers; write deny or sameorigin",
    ),
    "header of two lines": (
        'http_server_config: {headers: {Content-Security-Policy: "a\\r\\nSet-Cookie: b"}}',
        (
            "1: http_server_config.headers.Content-Security-Policy: has a character that no header may have; "
            "write printable ASCII on one line"
        ),
    ),
    "http2 that is no boolean": (
        "http_server_config: {http2: maybe}",
        "1: http_server_config.http2: 'maybe' is none of the words that are known here; write one of true, false",
    ),
    "password for a hash": (
        "basic_auth_users:\n  alice: hunter2",
        "2: basic_auth_users.alice: is no bcrypt hash; make one with htpasswd -nBC 10 NAME, and write what is behind the colon",
    ),
    "costly hash": (
        f"basic_auth_users:\n  alice: {HASH.replace('$04$', '$17$')}",
        "2: basic_auth_users.alice: has the cost 17, so that a check takes longer than a scrape waits; write 16 or less",
    ),
    "hash for a name": (
        f"basic_auth_users:\n  {HASH}: alice",
        "1: basic_auth_users: has a hash where a name belongs; write NAME: HASH",
    ),
    "name with a colon": (
        f'basic_auth_users:\n  "a:b": {HASH}',
        '2: basic_auth_users["a:b"]: is no name that a browser can send; write one without a colon',
    ),
    "nobody": (
        "basic_auth_users:",
        "1: basic_auth_users: has no users; write NAME: HASH, or remove the key to ask for no password",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_refused_with_place_reason_and_remedy(case: str, directory: Path) -> None:
    """Word for word, and nothing else is complained about; what may be a secret is not repeated."""
    text, complaint = REFUSED[case]
    Path("web.yml").write_text(text + "\n")
    with pytest.raises(ConfigError) as refused:
        load_web_file("web.yml")
    assert str(refused.value) == f"web.yml:{complaint}"
    assert "hunter2" not in str(refused.value)
    assert "$2y$" not in str(refused.value)


def test_an_empty_file_is_refused(directory: Path) -> None:
    """A file that was truncated by accident must not open the door."""
    Path("web.yml").write_text("# nothing\n")
    with pytest.raises(
        ConfigError, match=r"^web\.yml:1: is empty; write at least '\{\}', which asks for neither TLS nor passwords$"
    ):
        load_web_file("web.yml")
