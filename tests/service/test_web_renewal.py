"""The web configuration file while the listener listens: what is renewed counts without a restart, and half a renewal does not."""

from __future__ import annotations

import bcrypt
import httpx
import pytest
import trio

from prober.service import web_access
from tests.service.listening import HASH, PAIR, PATIENCE, USERS, Place, get, listening, place, presented, until

__all__ = ["place"]


async def test_a_renewed_certificate_counts_without_a_restart(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also through a symbolic link, as secrets are mounted; connections that are open go on."""
    monkeypatch.setattr(web_access, "LOOK_SECONDS", 0.02)
    async with listening(place.write(PAIR)) as (url, access):
        context = place.trusting()
        assert await presented(url, context) == place.server.der
        async with httpx.AsyncClient(verify=context, trust_env=False, timeout=PATIENCE) as kept:
            assert (await kept.get(url + "/-/healthy")).status_code == 200
            before = access.context()
            renewed = place.renew()
            await until(lambda: access.context() is not before)
            assert await presented(url, context) == renewed.der
            assert (await kept.get(url + "/-/healthy")).status_code == 200
        for generation in ("first", "second"):
            issued = place.root.issue("localhost")
            (place.path / generation).mkdir()
            issued.write(place.path / generation)
            for name in ("server.crt", "server.key"):
                (place.path / "link").symlink_to(place.path / generation / name)
                (place.path / "link").replace(place.path / name)
            with trio.fail_after(PATIENCE):
                while await presented(url, context) != issued.der:  # noqa: ASYNC110 -- as above
                    await trio.sleep(0.01)


async def test_half_a_renewal_leaves_the_last_good_pair(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, without a secret; the other half makes it whole, though the first half does not change again."""
    monkeypatch.setattr(web_access, "LOOK_SECONDS", 0.02)
    caplog.set_level("INFO")
    renewed = place.root.issue("localhost")
    async with listening(place.write(PAIR + USERS)) as (url, _):
        await trio.sleep(0.1)
        (place.path / "server.crt").write_bytes(renewed.chain_pem)
        await until(lambda: "is not the key of the certificate" in _said(caplog))
        await trio.sleep(0.1)
        assert await presented(url, place.trusting()) == place.server.der
        assert _said(caplog).count("is not the key of the certificate") == 1
        (place.path / "server.key").write_bytes(renewed.key_pem)
        await until(lambda: "read again" in _said(caplog))
        assert await presented(url, place.trusting()) == renewed.der
    assert HASH not in _said(caplog)


async def test_a_file_that_comes_late_is_found(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The file that names it was refused, and does not change again; what it names has never been watched."""
    monkeypatch.setattr(web_access, "LOOK_SECONDS", 0.02)
    renewed = place.root.issue("localhost")
    file = place.write(PAIR)
    async with listening(file) as (url, access):
        before = access.context()
        file.write_text(PAIR.replace("server.", "late."))
        await until(lambda: "there is no file" in _said(caplog))
        renewed.write(place.path, "late")
        await until(lambda: access.context() is not before)
        assert await presented(url, place.trusting()) == renewed.der


async def test_a_changed_password_counts_without_a_restart(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The old one is refused from then on, though it was remembered. A file that is broken or gone changes nothing."""
    monkeypatch.setattr(web_access, "LOOK_SECONDS", 0.02)
    caplog.set_level("INFO")
    file = place.write(USERS)
    async with listening(file) as (url, access):
        context = place.trusting()
        assert (await get(url, context, auth=("alice", "correct horse"))).status_code == 200
        for text in ("", "basic_auth_users: {alice: plain}\n", PAIR + USERS, None):
            if text is None:
                file.unlink()
            else:
                file.write_text(text)
            said = len(caplog.records)
            await until(lambda said=said: len(caplog.records) > said)  # type: ignore[misc]
            assert (await get(url, context)).status_code == 401
            assert (await get(url, context, auth=("alice", "correct horse"))).status_code == 200
        assert "plain" not in _said(caplog)
        assert "changed from http to https, which needs a restart" in _said(caplog)
        changed = bcrypt.hashpw(b"new", bcrypt.gensalt(4))
        file.write_text(f"basic_auth_users: {{alice: {changed.decode()}}}\n")
        await until(lambda: access.users() == {"alice": changed})
        assert (await get(url, context, auth=("alice", "correct horse"))).status_code == 401
        assert (await get(url, context, auth=("alice", "new"))).status_code == 200


def _said(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
