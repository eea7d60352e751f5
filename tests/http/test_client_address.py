"""The client of a request is the address that the last trusted proxy has seen, whatever the client writes itself."""

import pytest

from outdial.net import client_address, network_of
from outdial.settings import SettingError, trusted_proxies

PROXY, LOOPBACK = "10.0.0.7", "127.0.0.1"
NAME = "OUTDIAL_TRUSTED_PROXIES"


@pytest.mark.parametrize(
    ("peer", "lines", "proxies", "client"),
    [
        ("203.0.113.9", [], 0, "203.0.113.9"),
        ("203.0.113.9", ["192.0.2.1"], 0, "203.0.113.9"),
        (PROXY, ["203.0.113.9"], 1, "203.0.113.9"),
        (PROXY, ["192.0.2.1, 203.0.113.9"], 1, "203.0.113.9"),
        (PROXY, ["192.0.2.1", "203.0.113.9"], 1, "203.0.113.9"),  # HAProxy appends a line of its own
        (PROXY, ["192.0.2.1, 192.0.2.2", "192.0.2.3 , 203.0.113.9"], 1, "203.0.113.9"),
        (PROXY, ["192.0.2.1, 203.0.113.9, 10.0.0.8"], 2, "203.0.113.9"),
        (PROXY, ["192.0.2.1, 203.0.113.9", "10.0.0.8"], 2, "203.0.113.9"),
        (PROXY, ["203.0.113.9"], 2, "203.0.113.9"),
        (PROXY, ["203.0.113.9:4711"], 1, "203.0.113.9"),
        (PROXY, ["[2001:db8::9]:4711"], 1, "2001:db8::9"),
        (PROXY, ["2001:DB8::9"], 1, "2001:db8::9"),
        (PROXY, ["203.0.113.9, unknown"], 1, PROXY),
        (PROXY, ["203.0.113.9,"], 1, PROXY),
        (PROXY, [""], 1, PROXY),
        (PROXY, [], 1, PROXY),
        (LOOPBACK, ["192.0.2.1, 203.0.113.9"], 0, "203.0.113.9"),
        (LOOPBACK, ["192.0.2.1, 203.0.113.9, 10.0.0.8"], 2, "203.0.113.9"),
        (LOOPBACK, [], 0, LOOPBACK),
        ("::ffff:127.0.0.1", ["192.0.2.1, 203.0.113.9"], 0, "203.0.113.9"),
        (PROXY, ["::ffff:203.0.113.9"], 1, "203.0.113.9"),
        ("", ["203.0.113.9"], 0, ""),
    ],
)
def test_the_client_is_what_the_last_trusted_proxy_saw(peer: str, lines: list[str], proxies: int, client: str) -> None:
    assert client_address(peer, lines, proxies=proxies) == client


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.0/24"),
        ("::ffff:203.0.113.9", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_address_belongs_to_one_network(address: str, network: str) -> None:
    assert network_of(address, ipv4_bits=24, ipv6_bits=48) == network


def test_the_number_of_proxies_is_a_setting_and_counts_only_behind_a_proxy() -> None:
    assert trusted_proxies({}, behind_proxy=True) == 1
    assert trusted_proxies({NAME: "2"}, behind_proxy=True) == 2
    assert trusted_proxies({NAME: "2"}, behind_proxy=False) == 0


@pytest.mark.parametrize("value", ["0", "-1", "two", "11", "1.5", "²"])
def test_a_number_that_cannot_be_is_refused(value: str) -> None:
    with pytest.raises(SettingError, match=NAME):
        trusted_proxies({NAME: value}, behind_proxy=True)
