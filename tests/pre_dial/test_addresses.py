"""Which URLs a hook may have, and which addresses requests may go to."""

from collections.abc import AsyncIterator
from ipaddress import ip_address
from uuid import UUID

import pytest
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from outdial.pre_dial.addresses import check_hook_secret, check_hook_url, is_public
from outdial.pre_dial.client import HookClient, HookEndpoint, HookFailure
from outdial.pre_dial.errors import InvalidHookSecret, InvalidHookUrl
from outdial.pre_dial.messages import CallToClear, ClearanceRequest
from tests.support.factories import NOW
from tests.support.hooks import SECRET, HookServer, hook_server

REQUEST = ClearanceRequest(
    organization_id=UUID(int=8),
    campaign_id=UUID(int=9),
    purpose="sales",
    calls=[CallToClear(UUID(int=1), "+14155550101")],
    sent_at=NOW,
)


@pytest.fixture
async def hook() -> AsyncIterator[HookServer]:
    async with hook_server() as server:
        yield server


@pytest.mark.parametrize("url", ["https://hook.example.com/a?b=c", " https://8.8.8.8:8443 ", "https://[2606:4700::1]/"])
def test_a_public_https_url_is_accepted(url: str) -> None:
    assert check_hook_url(url, allow_private=False) == url.strip()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "Not a URL"),
        ("hook.example.com", "Not a URL"),
        ("https://", "Not a URL"),
        ("https://a b.example.com", "Not a URL"),
        ("https://host:99999/", "Not a URL"),
        ("https://[::1/", "Not a URL"),
        ("ftp://hook.example.com", "Use https"),
        ("http://hook.example.com", "Use https"),
        ("http://10.1.2.3/", "Use https"),
        ("https://user:pass@hook.example.com", "Leave out the user name"),
        ("https://hook.example.com/#top", "after #"),
        ("https://hook.example.com/" + "x" * 2000, "more than 2000"),
    ],
)
def test_a_bad_url_says_what_to_change(url: str, message: str) -> None:
    for allow_private in (True, False):
        with pytest.raises(InvalidHookUrl, match=message):
            check_hook_url(url, allow_private=allow_private)


@pytest.mark.parametrize(
    "url",
    ["http://localhost:9000/", "http://127.0.0.1/", "http://[::1]:1/", "https://192.168.1.4/", "https://10.0.0.1"],
)
def test_a_private_address_needs_the_setting(url: str) -> None:
    assert check_hook_url(url, allow_private=True) == url
    with pytest.raises(InvalidHookUrl, match="OUTDIAL_HOOK_PRIVATE_NETWORKS"):
        check_hook_url(url, allow_private=False)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",  # carrier-grade NAT, also the metadata service of one cloud
        "127.0.0.1",
        "169.254.169.254",  # the metadata service of most clouds
        "172.31.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "fd00::1",
        "fe80::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://[::ffff:127.0.0.1]/", "https://2130706433/"])
async def test_a_url_that_was_stored_before_the_setting_changed_is_not_called(url: str) -> None:
    client = HookClient(allow_private=False)
    response = await client.ask(HookEndpoint(url, SECRET), REQUEST)
    await client.close()
    assert isinstance(response, HookFailure)


async def test_a_public_name_that_resolves_to_this_machine_is_not_called(
    hook: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def rebound(self: ThreadedResolver, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=2, proto=0, flags=0)
            for address in ("8.8.8.8", "127.0.0.1")
        ]

    monkeypatch.setattr(ThreadedResolver, "resolve", rebound)
    client = HookClient(allow_private=False)
    port = hook.url.split(":")[2].partition("/")[0]
    response = await client.ask(HookEndpoint(f"https://hook.example.com:{port}/hook", SECRET), REQUEST)
    await client.close()
    assert isinstance(response, HookFailure)
    assert "its host resolves to a private address" in response.reason
    assert not hook.requests


@pytest.mark.parametrize("secret", ["", "short", "x" * 201, "sixteen chars\x00\x00\x00\x00", "sixteen chäracters"])
def test_a_bad_secret_is_refused_and_not_quoted(secret: str) -> None:
    with pytest.raises(InvalidHookSecret) as caught:
        check_hook_secret(secret)
    assert not secret or secret not in str(caught.value)


def test_a_secret_loses_the_spaces_around_it() -> None:
    assert check_hook_secret(f" {SECRET}\n") == SECRET
