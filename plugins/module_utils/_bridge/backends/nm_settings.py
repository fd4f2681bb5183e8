# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bridge's settings in NetworkManager's words: for a keyfile, and for a bridge that is up.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..commands import Command
from ..model import Declaration, Layer3, Route, Vlan

Rows = list[tuple[str, str]]

_UP = ("nmcli", "--wait", "10", "connection", "up")
_CLIENT = "dhcp-client-id"
_WITHOUT_ADDRESSES = ("disabled", "link-local")
# of IPv6, beside those that leave advertisements to the kernel; only the first listens to them
METHODS6 = ("auto", "dhcp", "disabled", "link-local", "manual")
# what a profile that no longer says it goes back to; every other setting stays as it was declared once
_UNSAID = {
    "bridge": {"vlan-default-pvid": "1", "vlans": ""},
    "ip": {"addresses": "", "gateway": "", "routes": "", "dns": "", "dns-search": ""},
}


def bridge_rows(wanted: Declaration) -> Rows:
    """The section `bridge`."""
    said = wanted.settings
    rows = (
        ("stp", said.stp),
        ("forward-delay", said.forward_delay),
        ("priority", said.priority),
        ("ageing-time", said.ageing),
        ("multicast-snooping", said.multicast_snooping),
        ("vlan-filtering", said.vlan_filtering),
    )
    bridge = [(key, str(value).lower()) for key, value in rows if value is not None]
    bridge += [] if wanted.default_vlan else [("vlan-default-pvid", "0")]
    vlans = wanted.vlans_to_write(wanted.vlans)
    return bridge + ([] if vlans is None else [("vlans", vlan_words(vlans))])


def ip_rows(said: Layer3, version: int) -> Rows:
    """The section `ipv4` or `ipv6`."""
    addresses = [address for address in said.addresses or () if (":" in address) == (version == 6)]
    methods = {4: _method4(said), 6: _method6(said)}
    rows: Rows = [("method", methods[version])]
    if methods[version] in _WITHOUT_ADDRESSES:
        return rows  # NetworkManager takes no profile that says more here
    rows += [(f"address{number}", address) for number, address in enumerate(addresses, 1)]
    if version == 4 and said.dhcp4:
        rows.append((_CLIENT, "mac"))  # the server that knows the host by its MAC shall know it again
    rows += _routes([route for route in said.routes or () if route.version == version], bool(addresses))
    servers = [server for server in said.dns_servers or () if (":" in server) == (version == 6)]
    rows += [("dns", "".join(f"{server};" for server in servers))] if servers else []
    first = next(one for one in (4, 6) if methods[one] not in _WITHOUT_ADDRESSES)
    if said.dns_search and first == version:
        rows.append(("dns-search", "".join(f"{domain};" for domain in said.dns_search)))
    return rows


def vlan_words(vlans: tuple[Vlan, ...]) -> str:
    """A list of VLANs, each with its flags."""
    words = []
    for vlan in vlans:
        flags = [word for word, wanted in (("pvid", vlan.pvid), ("untagged", vlan.untagged)) if wanted]
        words.append(" ".join([str(vlan.number), *flags]))
    return ",".join(words)


def up(*profile: str) -> Command:
    """The command that brings a profile up, which is `uuid` or `id` and its name, or `ifname` and a link.

    A link alone: of its profiles NetworkManager takes the one that was last in use, and it fails where there is none.
    Not `device connect`, which writes a new profile with DHCP then. It ends when the link is up: NetworkManager may be
    about to do so by itself, and begin anew.
    """
    return (*_UP, *profile)


def modification(wanted: Declaration, *, ours: bool = True) -> Command:
    """The command that gives a bridge that is up all that its profile says, but its MAC. `ours`: we wrote the profile.

    `nmcli device reapply` takes nothing at all from a profile whose MAC has changed since the bridge came up.
    """
    mtu = wanted.settings.mtu
    words = ["802-3-ethernet.mtu", str(mtu)] if mtu else []
    for key, value in {**_UNSAID["bridge"], **dict(bridge_rows(wanted))}.items():
        words += [f"bridge.{key}", value]
    for version in (4, 6):
        written = ip_rows(wanted.layer3, version)
        for key, value in {**_UNSAID["ip"], **dict(_properties(written))}.items():
            words += [f"ipv{version}.{key}", value]
        if version == 4 and ours:
            words += [f"ipv4.{_CLIENT}", dict(written).get(_CLIENT, "")]
    return ("nmcli", "device", "modify", wanted.name, *words)


def _properties(rows: Rows) -> Iterator[tuple[str, str]]:
    """The rows of a keyfile's IP section as properties, which say lists in one."""
    options = {key.partition("_")[0]: value for key, value in rows if key.endswith("_options")}
    yield "addresses", ",".join(value for key, value in rows if key.startswith("address"))
    routes = [(key, value.split(",")) for key, value in rows if key.startswith("route") and "_" not in key]
    yield "routes", ", ".join(" ".join([*words, *options.get(key, "").split()]) for key, words in routes)
    for key, value in rows:
        if not key.startswith(("address", "route", _CLIENT)):
            yield key, value.rstrip(";").replace(";", ",")


def _routes(routes: list[Route], has_addresses: bool) -> Rows:
    rows: Rows = []
    number = 0
    for route in routes:
        if route.default and route.metric is None and route.via and has_addresses:
            rows.append(("gateway", route.via))
            continue
        number += 1
        parts = [route.to, route.via or ("::" if route.version == 6 else "0.0.0.0")]  # noqa: S104 - "no gateway"
        rows.append((f"route{number}", ",".join([*parts, *([str(route.metric)] if route.metric else [])])))
        rows += [(f"route{number}_options", f"table={route.table}")] if route.table else []
    return rows


def _method4(said: Layer3) -> str:
    has = any(":" not in address for address in said.addresses or ())
    return "auto" if said.dhcp4 else "manual" if has else "disabled"


def _method6(said: Layer3) -> str:
    if said.accept_ra or (said.dhcp6 and said.accept_ra is None):
        return "auto"
    if said.dhcp6:
        return "dhcp"
    if any(":" in address for address in said.addresses or ()):
        return "manual"
    return "link-local" if said.accept_ra is False else "auto"
