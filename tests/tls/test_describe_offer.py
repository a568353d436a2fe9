"""Our own hellos decoded by what others of the same layout said: no word may differ from decoding them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from prober.tls.client_hello import HelloFactory, Offer
from prober.tls.describe import describe_sent
from prober.tls.describe_offer import describe_offer
from prober.tls.profiles import PROFILES
from prober.tls.registry import NamedGroup
from prober.tls.version_restriction import VersionNotInProfile

NAMES = (None, "a.example", "api.example.com", "b.example", "www.example.com", "x" * 60 + ".example", "192.0.2.7", None)


def factory(profile: str = "modern", tls: str = "auto") -> HelloFactory:
    """A new one, to which nothing is known."""
    return HelloFactory(PROFILES[profile], tls=tls, entropy=os.urandom)


def possible() -> Iterator[tuple[str, str]]:
    """Profiles with the versions that they can offer."""
    for profile in PROFILES:
        for tls in ("auto", "1.0", "1.2", "1.3"):
            with suppress(VersionNotInProfile):
                factory(profile, tls)
                yield profile, tls


@pytest.mark.parametrize(("profile", "tls"), list(possible()))
def test_it_says_what_decoding_says(profile: str, tls: str) -> None:
    """Of every profile and version, with names of several lengths and without one; of the same length a second time, too."""
    made = factory(profile, tls)
    for name in NAMES * 2:
        offer = made.offer(name)
        assert describe_offer(offer) == describe_sent(offer.message)


@pytest.mark.parametrize("change", [(NamedGroup.secp256r1, None), (None, b"cookie"), (NamedGroup.secp384r1, b"another")])
def test_a_second_hello_is_decoded(change: tuple[NamedGroup | None, bytes | None]) -> None:
    """It has another key share, or the server's cookie, and may be just as long as the first one for all that."""
    made = factory()
    first = made.offer("api.example.com")
    assert describe_offer(first) == describe_sent(first.message)
    for _ in range(2):
        second = made.offer("api.example.com").retry(*change)
        assert not second.follows_layout
        assert describe_offer(second) == describe_sent(second.message)


def test_it_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what it is for."""
    decoded: list[bytes] = []

    def counted(message: bytes) -> object:
        decoded.append(message)
        return describe_sent(message)

    monkeypatch.setattr("prober.tls.describe_offer.describe_sent", counted)
    made = factory()
    offers: list[Offer] = [made.offer(f"{letter}.example.com") for letter in "abcdef"]
    entries = [describe_offer(offer) for offer in offers]
    assert decoded == [offers[0].message]
    assert len({entry.lines for entry in entries}) == len(offers)
