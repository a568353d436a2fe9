"""Key shares agree with an independent peer, and refuse what a peer must not send."""

from __future__ import annotations

import os
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from prober.tls.errors import PeerMisbehaved
from prober.tls.ffdhe import FiniteFieldGroup, finite_field_group
from prober.tls.key_exchange import (
    PUBLIC_SIZES,
    SUPPORTED_GROUPS,
    EphemeralDh,
    GroupNotSupported,
    KeySharePool,
    generate,
    require_group,
    supports,
)
from prober.tls.registry import NamedGroup
from tests.tls.counter import CounterEntropy

GROUPS = [NamedGroup(code) for code in sorted(SUPPORTED_GROUPS)]
CURVES: dict[NamedGroup, ec.EllipticCurve] = {
    NamedGroup.secp256r1: ec.SECP256R1(),
    NamedGroup.secp384r1: ec.SECP384R1(),
    NamedGroup.secp521r1: ec.SECP521R1(),
    NamedGroup.brainpoolP256r1: ec.BrainpoolP256R1(),
    NamedGroup.brainpoolP384r1: ec.BrainpoolP384R1(),
    NamedGroup.brainpoolP512r1: ec.BrainpoolP512R1(),
}
FINITE_FIELDS = [group for group in GROUPS if group.name.startswith("ffdhe")]


def server_answer(group: NamedGroup, client: bytes) -> tuple[bytes, bytes]:
    """What a server answers that is built on the cryptography package or, since that drops finite fields, on `pow`.

    Returns (its public value, the shared secret).
    """
    if group == NamedGroup.x25519:
        private = x25519.X25519PrivateKey.generate()
        return private.public_key().public_bytes_raw(), private.exchange(x25519.X25519PublicKey.from_public_bytes(client))
    if group == NamedGroup.x448:
        private4 = x448.X448PrivateKey.generate()
        return private4.public_key().public_bytes_raw(), private4.exchange(x448.X448PublicKey.from_public_bytes(client))
    if group in CURVES:
        point = ec.generate_private_key(CURVES[group])
        public = point.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return public, point.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVES[group], client))
    if group == NamedGroup.X25519MLKEM768:
        secret, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(client[:1184]).encapsulate()
        public, classical = server_answer(NamedGroup.x25519, client[1184:])
        return ciphertext + public, secret + classical
    if group == NamedGroup.SecP256r1MLKEM768:
        public, classical = server_answer(NamedGroup.secp256r1, client[:65])
        secret, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(client[65:]).encapsulate()
        return public + ciphertext, classical + secret
    if group == NamedGroup.SecP384r1MLKEM1024:
        public, classical = server_answer(NamedGroup.secp384r1, client[:97])
        secret, ciphertext = mlkem.MLKEM1024PublicKey.from_public_bytes(client[97:]).encapsulate()
        return public + ciphertext, classical + secret
    field = finite_field_group(group)
    exponent = int.from_bytes(os.urandom(40))
    value = pow(field.generator, exponent, field.prime)
    return value.to_bytes(field.size), pow(int.from_bytes(client), exponent, field.prime).to_bytes(field.size)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_a_share_and_an_independent_peer_agree_on_the_secret(group: NamedGroup) -> None:
    """Our secret equals the one that is computed on the server's side; sizes are as stated."""
    share = generate(group, CounterEntropy())
    assert len(share.public) == PUBLIC_SIZES[group]
    public, secret = server_answer(group, share.public)
    assert share.exchange(public) == secret


def test_a_share_asked_for_one_peer_and_another_in_turn_mixes_up_neither() -> None:
    """It remembers the last answer; the same question has the same one, a refused peer leaves nothing behind."""
    share = generate(NamedGroup.x25519, CounterEntropy())
    first, second = (generate(NamedGroup.x25519, CounterEntropy(start)) for start in (7, 8))
    expected = [peer.exchange(share.public) for peer in (first, second)]
    for _ in range(2):
        assert [share.exchange(peer.public) for peer in (first, first, second)] == [expected[0], *expected]
        with pytest.raises(PeerMisbehaved):
            share.exchange(b"")


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_the_same_entropy_makes_the_same_share(group: NamedGroup) -> None:
    """Shares are reproducible, and different entropy makes different ones."""
    assert generate(group, CounterEntropy()).public == generate(group, CounterEntropy()).public
    assert generate(group, CounterEntropy()).public != generate(group, CounterEntropy(1000)).public


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_a_share_of_the_wrong_length_is_refused(group: NamedGroup) -> None:
    """One byte less, one byte more, and nothing at all raise PeerMisbehaved, with illegal_parameter as the alert."""
    share = generate(group, CounterEntropy())
    public, _ = server_answer(group, share.public)
    for wrong in (b"", public[:-1], public + b"\0"):
        with pytest.raises(PeerMisbehaved, match="bytes, not") as caught:
            share.exchange(wrong)
        assert caught.value.implies.name == "illegal_parameter"


# RFC 7748 §6.1 and §6.2: (group, Alice's private key, her public key, Bob's public key, the secret)
RFC_7748 = [
    (
        NamedGroup.x25519,
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    ),
    (
        NamedGroup.x448,
        "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b",
        "9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0",
        "3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609",
        "07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282bb60c0b56fd2464c335543936521c24403085d59a449a5037514a879d",
    ),
]


@pytest.mark.parametrize(("group", "private", "public", "peer", "secret"), RFC_7748, ids=lambda value: getattr(value, "name", ""))
def test_the_vectors_of_rfc_7748_hold(group: NamedGroup, private: str, public: str, peer: str, secret: str) -> None:
    """With Alice's private key as entropy, the share is her public key, and with Bob's it gives their secret."""
    share = generate(group, lambda size: bytes.fromhex(private)[:size])
    assert share.public.hex() == public
    assert share.exchange(bytes.fromhex(peer)).hex() == secret


# Points of order 1, 2, 4 and 8 of Curve25519 and its twist, also in encodings that are not reduced; some with the unused top bit.
SMALL_ORDER_25519 = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000080",
]
# u = 0, 1, -1 and the unreduced encodings of 0 and 1
SMALL_ORDER_448 = [
    "00" * 56,
    "01" + "00" * 55,
    "fe" + "ff" * 27 + "fe" + "ff" * 27,
    "ff" * 28 + "fe" + "ff" * 27,
    "00" * 28 + "ff" * 28,
]


@pytest.mark.parametrize(
    ("group", "point"),
    [(NamedGroup.x25519, point) for point in SMALL_ORDER_25519] + [(NamedGroup.x448, point) for point in SMALL_ORDER_448],
)
def test_a_point_of_small_order_is_refused(group: NamedGroup, point: str) -> None:
    """A peer that would force an all-zero secret misbehaves (RFC 8446 §7.4.2)."""
    with pytest.raises(PeerMisbehaved, match="small order"):
        generate(group, CounterEntropy()).exchange(bytes.fromhex(point))


def test_a_point_of_small_order_is_refused_within_the_hybrid() -> None:
    """The X25519 half of X25519MLKEM768 is checked as X25519 alone is."""
    share = generate(NamedGroup.X25519MLKEM768, CounterEntropy())
    ciphertext = server_answer(NamedGroup.X25519MLKEM768, share.public)[0][:1088]
    with pytest.raises(PeerMisbehaved, match="small order"):
        share.exchange(ciphertext + bytes(32))


def test_a_wrong_ml_kem_ciphertext_gives_another_secret_and_no_error() -> None:
    """FIPS 203 rejects implicitly: the handshake fails later, at the first record that is not decrypted."""
    share = generate(NamedGroup.X25519MLKEM768, CounterEntropy())
    answer, secret = server_answer(NamedGroup.X25519MLKEM768, share.public)
    damaged = bytes([answer[0] ^ 1]) + answer[1:]
    assert share.exchange(damaged) != secret
    assert share.exchange(damaged)[32:] == secret[32:]


@pytest.mark.parametrize("group", CURVES, ids=lambda group: group.name)
def test_what_is_no_uncompressed_point_of_the_curve_is_refused(group: NamedGroup) -> None:
    """Off the curve, outside the field, the hybrid forms, a compressed point and the point at infinity are all refused."""
    share = generate(group, CounterEntropy())
    point, _ = server_answer(group, share.public)
    half = len(point) // 2
    wrong = {
        "off the curve": point[:-1] + bytes([point[-1] ^ 1]),
        "outside the field": b"\x04" + b"\xff" * (2 * half),
        "hybrid form": bytes([0x06 | point[-1] & 1]) + point[1:],
        "compressed": bytes([0x02 | point[-1] & 1]) + point[1 : 1 + half],
        "compressed and filled": bytes([0x02 | point[-1] & 1]) + point[1:],
        "infinity": b"\0",
        "infinity and filled": bytes(len(point)),
    }
    for what, value in wrong.items():
        with pytest.raises(PeerMisbehaved):
            share.exchange(value)
            pytest.fail(f"{what} was accepted")


@pytest.mark.parametrize("group", FINITE_FIELDS, ids=lambda group: group.name)
def test_a_trivial_value_of_a_finite_field_is_refused(group: NamedGroup) -> None:
    """0, 1, p - 1 and p would fix the secret (RFC 7919 §5.1)."""
    share = generate(group, CounterEntropy())
    field = finite_field_group(group)
    for value in (0, 1, field.prime - 1, field.prime):
        with pytest.raises(PeerMisbehaved, match="not in its group"):
            share.exchange(value.to_bytes(field.size))


@given(st.sampled_from([group for group in GROUPS if group not in FINITE_FIELDS[1:]]), st.binary(max_size=300))
def test_arbitrary_shares_give_a_secret_or_the_documented_error(group: NamedGroup, peer: bytes) -> None:
    """Whatever the peer sends, `exchange` returns bytes or raises PeerMisbehaved; sizes that fit are reached too."""
    share = generate(group, CounterEntropy())
    for value in (peer, (peer * 1120)[: len(share.public)]):
        try:
            secret = share.exchange(value)
        except PeerMisbehaved:
            continue
        assert len(secret) >= 32


def test_a_server_may_choose_its_own_diffie_hellman_group() -> None:
    """TLS 1.2: with a group that is in no RFC, here a 512-bit prime with generator 5, both sides agree."""
    prime = (1 << 512) - 569  # the largest prime below 2^512
    group = FiniteFieldGroup(prime, 5)
    ours = EphemeralDh(group, CounterEntropy())
    theirs = EphemeralDh(group, CounterEntropy(99))
    assert ours.exchange(theirs.public) == theirs.exchange(ours.public)
    assert len(ours.exchange(theirs.public)) == 64


def test_a_short_diffie_hellman_value_is_as_good_as_a_padded_one() -> None:
    """TLS <= 1.2 sends ``dh_Ys`` without leading zeros."""
    ours = EphemeralDh(finite_field_group(NamedGroup.ffdhe2048), CounterEntropy())
    assert ours.exchange(b"\x02") == ours.exchange(b"\x02".rjust(256, b"\0")) == ours.public


@pytest.mark.parametrize(
    ("prime", "generator"),
    [
        ((1 << 511) - 1, 2),
        ((1 << 8193) - 1, 2),
        ((1 << 1024) - 2, 2),
        ((1 << 1024) - 1, 1),
        ((1 << 1024) - 1, 0),
        ((1 << 1024) - 1, (1 << 1024) - 2),
    ],
    ids=["too small", "too large", "even", "generator 1", "generator 0", "generator p - 1"],
)
def test_a_diffie_hellman_group_that_cannot_work_is_refused_before_any_work(prime: int, generator: int) -> None:
    """The size of the modulus is bounded on both sides, so that a server cannot make us compute for long."""
    with pytest.raises(PeerMisbehaved, match="cannot be used"):
        EphemeralDh(FiniteFieldGroup(prime, generator), CounterEntropy())


def test_a_pool_uses_each_share_as_often_as_it_was_told() -> None:
    """With reuse=2 the first two takes get one share, the next two another; groups do not share."""
    pool = KeySharePool(CounterEntropy(), reuse=2)
    shares = [pool.take(NamedGroup.x25519) for _ in range(4)]
    other = pool.take(NamedGroup.secp256r1)
    assert shares[0] is shares[1]
    assert shares[2] is shares[3]
    assert shares[0].public != shares[2].public
    assert other.group == NamedGroup.secp256r1


def test_a_pool_that_never_uses_a_share_is_a_mistake() -> None:
    """reuse=0 raises ValueError."""
    with pytest.raises(ValueError, match="at least once"):
        KeySharePool(CounterEntropy(), reuse=0)


def test_a_group_without_implementation_is_named() -> None:
    """`generate` and `require_group` name the group that they cannot serve, registered or not."""
    for make in (lambda group: generate(group, CounterEntropy()), require_group):
        for group in (NamedGroup.sect163k1, NamedGroup(0x1A1A)):
            with pytest.raises(GroupNotSupported, match=group.name):
                make(group)
            assert not supports(group)


def test_a_library_without_ml_kem_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cryptography package has no ML-KEM, the error says which version to install."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mlkem", None)
    monkeypatch.delattr("cryptography.hazmat.primitives.asymmetric.mlkem")
    with pytest.raises(GroupNotSupported, match="install cryptography"):
        generate(NamedGroup.X25519MLKEM768, CounterEntropy())


def test_the_private_half_is_in_no_repr() -> None:
    """A share shows its group alone."""
    assert repr(generate(NamedGroup.x25519, CounterEntropy())) == "<KeyShare x25519>"
