"""Narrowing a profile to one protocol version, as `--tls` asks for it."""

from __future__ import annotations

from dataclasses import replace

from prober.tls.profile import Profile
from prober.tls.registry import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion

__all__ = ["TLS12_GROUPS", "TLS_CHOICES", "VersionNotInProfile", "restricted"]

TLS_CHOICES: dict[str, ProtocolVersion] = {
    "1.0": ProtocolVersion.TLSv1_0,
    "1.1": ProtocolVersion.TLSv1_1,
    "1.2": ProtocolVersion.TLSv1_2,
    "1.3": ProtocolVersion.TLSv1_3,
}
"""What `--tls` takes, beside ``auto``."""

# RFC 8446 §4.2: the extensions that mean nothing below TLS 1.3 ...
_SINCE_1_3 = frozenset(
    {
        ExtensionType.supported_versions,
        ExtensionType.cookie,
        ExtensionType.psk_key_exchange_modes,
        ExtensionType.post_handshake_auth,
        ExtensionType.key_share,
    }
)
# ... those that TLS 1.2 brought (RFC 5246 §7.4.1.4.1: "MUST NOT offer it if they offer versions prior to 1.2") ...
_SINCE_1_2 = frozenset({ExtensionType.signature_algorithms, ExtensionType.signature_algorithms_cert})
# ... and those that TLS 1.3 made meaningless.
_UNTIL_1_2 = frozenset(
    {
        ExtensionType.ec_point_formats,
        ExtensionType.status_request_v2,
        ExtensionType.encrypt_then_mac,
        ExtensionType.extended_master_secret,
        ExtensionType.session_ticket,
        ExtensionType.renegotiation_info,
    }
)

TLS12_GROUPS = frozenset({NamedGroup.brainpoolP256r1, NamedGroup.brainpoolP384r1, NamedGroup.brainpoolP512r1})
"""The groups that TLS 1.3 must not use (RFC 8446 §4.2.7 reserves their code points; RFC 8734 §2 gives it new ones)."""
_TLS13_GROUPS = frozenset({NamedGroup.SecP256r1MLKEM768, NamedGroup.X25519MLKEM768, NamedGroup.SecP384r1MLKEM1024})


class VersionNotInProfile(ValueError):
    """A profile cannot offer the version that was asked for; the text says what to do."""


def first_version(suite: CipherSuite) -> ProtocolVersion:
    """The lowest version that may negotiate a suite.

    TLS 1.3 has suites of its own (0x13xx). A suite that names the hash of the PRF, or CCM, is of TLS 1.2 (RFC 5246 §5, RFC 6655 §3).
    """
    if suite >> 8 == 0x13:
        return ProtocolVersion.TLSv1_3
    if suite.name.endswith(("_SHA256", "_SHA384")) or "_CCM" in suite.name:
        return ProtocolVersion.TLSv1_2
    return ProtocolVersion.TLSv1_0


def _may_offer(version: ProtocolVersion, suite: CipherSuite) -> bool:
    first = first_version(suite)
    return first == version if ProtocolVersion.TLSv1_3 in (first, version) else first <= version


def restricted(profile: Profile, tls: str) -> Profile:
    """``profile`` offering the version ``tls`` alone (a key of `TLS_CHOICES`), or unchanged for ``auto``.

    VersionNotInProfile when the profile does not have that version, or when there is no such choice.
    """
    if tls == "auto":
        return profile
    version = TLS_CHOICES.get(tls)
    if version is None:
        raise VersionNotInProfile(f"no TLS version {tls!r}: choose one of auto, {', '.join(TLS_CHOICES)}")
    if version not in profile.versions:
        offered = ", ".join(choice for choice, code in TLS_CHOICES.items() if code in profile.versions)
        raise VersionNotInProfile(
            f"the profile {profile.name} offers TLS {offered}, not {tls}: choose one of these, or the profile modern, which offers all"
        )
    return _narrowed(profile, version)


def _narrowed(profile: Profile, version: ProtocolVersion) -> Profile:
    suites = tuple(suite for suite in profile.cipher_suites if _may_offer(version, suite))
    if version == ProtocolVersion.TLSv1_3:
        extensions = tuple(kind for kind in profile.extensions if kind not in _UNTIL_1_2)
        groups = tuple(group for group in profile.groups if group not in TLS12_GROUPS)
        return replace(profile, versions=(version,), cipher_suites=suites, extensions=extensions, groups=groups)
    meaningless = _SINCE_1_3 if version == ProtocolVersion.TLSv1_2 else _SINCE_1_3 | _SINCE_1_2
    return replace(
        profile,
        versions=(version,),
        cipher_suites=suites,
        extensions=tuple(kind for kind in profile.extensions if kind not in meaningless),
        groups=tuple(group for group in profile.groups if group not in _TLS13_GROUPS),
        key_shares=(),
        record_version=min(profile.record_version, version),
        session_id_size=0,
    )
