"""The web configuration file: what it may say."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from prober.config import ConfigError, load
from prober.config.show import show
from prober.config.web_file import load_web_file
from prober.operations import RateLimit
from tests.config.web_files import CLIENT, HASH, PAIR, directory

__all__ = ["directory"]


def test_what_is_not_written_is_as_the_exporters_have_it(directory: Path) -> None:
    """TLS 1.2 and 1.3, HTTP/2, the server's order, no client certificates."""
    Path("web.yml").write_text(PAIR)
    tls = load_web_file("web.yml").tls
    assert tls is not None
    assert (tls.context.minimum_version, tls.context.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert tls.context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert tls.context.verify_mode is ssl.CERT_NONE
    assert tls.http2


def test_everything_can_be_written(directory: Path) -> None:
    """Each setting arrives where OpenSSL sees it; material may stand in the file itself."""
    material = {
        key: Path(name).read_text() for key, name in (("cert", "server.crt"), ("key", "server.key"), ("client_ca", "ca.pem"))
    }
    inline = "".join(f"  {key}: |\n" + "".join(f"    {line}\n" for line in pem.splitlines()) for key, pem in material.items())
    Path("web.yml").write_text(
        "tls_server_config:\n" + inline + "  client_auth_type: RequireAndVerifyClientCert\n"
        "  client_allowed_sans: [prometheus.example.test, '::0001']\n"
        "  min_version: TLS12\n  max_version: TLS12\n"
        "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n"
        "  prefer_server_cipher_suites: false\n  curve_preferences: [CurveP384]\n"
        "http_server_config:\n  http2: false\n  headers: {Strict-Transport-Security: max-age=31536000, X-XSS-Protection: ''}\n"
        f"basic_auth_users:\n  alice: {HASH}\n"
    )
    web = load_web_file("web.yml")
    tls = web.tls
    assert tls is not None
    assert tls.context.maximum_version is ssl.TLSVersion.TLSv1_2
    assert not tls.context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert tls.context.verify_mode is ssl.CERT_REQUIRED
    assert [suite["name"] for suite in tls.context.get_ciphers() if suite["protocol"] == "TLSv1.2"] == [
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ]
    assert tls.client_allowed_sans == {"prometheus.example.test", "::1"}
    assert tls.curve == "secp384r1"
    assert not tls.http2
    assert web.headers == {"Strict-Transport-Security": "max-age=31536000"}
    assert web.users == {"alice": HASH.encode()}
    assert web.files == ("web.yml",)


def test_paths_are_relative_to_the_file_that_names_them(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the configuration and of the web configuration alike; both files' mistakes are reported together."""
    (directory / "etc").mkdir()
    (directory / "etc" / "web.yml").write_text(PAIR.replace("server.", "../server."))
    (directory / "prober.yml").write_text("targets: []\nweb_config_file: etc/web.yml\n")
    monkeypatch.chdir("/")
    config = load(directory / "prober.yml")
    assert config.web is not None
    assert config.web.files == tuple(str(directory / "etc" / name) for name in ("web.yml", "../server.crt", "../server.key"))
    (directory / "prober.yml").write_text("targets: 3\nweb_config_file: etc/web.yml\n")
    (directory / "etc" / "web.yml").write_text("rate_limit: {}\n")
    with pytest.raises(ConfigError) as refused:
        load(directory / "prober.yml")
    assert [Path(problem.file).name for problem in refused.value.problems] == ["prober.yml", "web.yml"]


def test_an_authority_may_be_named_in_any_language_beside_its_pem(directory: Path) -> None:
    """As the bundles of distributions do; OpenSSL passes it over."""
    authority = Path("ca.pem")
    authority.write_bytes("# Základní autorita Größe\n".encode() + authority.read_bytes())
    Path("web.yml").write_text(CLIENT)
    tls = load_web_file("web.yml").tls
    assert tls is not None
    assert tls.context.cert_store_stats()["x509_ca"] == 1


def test_the_file_of_the_command_line_wins(directory: Path) -> None:
    """Then the other one is not even read."""
    Path("prober.yml").write_text("targets: []\nweb_config_file: broken.yml\n")
    Path("broken.yml").write_text("rate_limit: {}\n")
    Path("web.yml").write_text("{}\n")
    config = load("prober.yml", Path("web.yml"))
    assert config.web is not None
    assert config.web.file == "web.yml"


def test_no_secret_is_shown(directory: Path) -> None:
    """Neither by ``repr`` nor in what /config answers: the file's path, and nothing that stands in it."""
    Path("prober.yml").write_text("targets: []\nweb_config_file: web.yml\n")
    Path("web.yml").write_text(f"{PAIR}basic_auth_users:\n  alice: {HASH}\n")
    config = load("prober.yml")
    shown = show(config)
    assert "web_config_file: web.yml\n" in shown
    secrets = [HASH, "PRIVATE KEY", *Path("server.key").read_text().splitlines()[1:2]]
    for text in (repr(config), repr(config.web), shown):
        assert not [secret for secret in secrets if secret in text]


def test_a_rate_limit_is_read_as_the_exporters_read_it(directory: Path) -> None:
    """The time between two requests and a burst; an interval of 0 is no limit."""
    file = directory / "web.yml"
    for text, limit in (
        ("{interval: 250ms, burst: 20}", RateLimit(0.25, 20)),
        ("{interval: 1m30s, burst: 1}", RateLimit(90.0, 1)),
        ("{interval: 0, burst: 5}", None),
        ("{interval: 0s}", None),
    ):
        file.write_text(f"rate_limit: {text}\n")
        assert load_web_file(file).rate_limit == limit
    file.write_text("{}\n")
    assert load_web_file(file).rate_limit is None
