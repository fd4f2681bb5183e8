# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of links, addresses, routes and VLANs, as typed data; reads only. Private to this collection."""

from __future__ import annotations

import gzip
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from .commands import run_json
from .model import DEFAULT_VXLAN_PORT, Macvlan, Route, Settings, Vlan, Vxlan

NO_MAC = "00:00:00:00:00:00"
_CENTISECONDS = 100
_FOREVER = 2**32 - 1  # seconds, as iproute2 writes it
_CAP_NET_ADMIN = 12
_SYSFS = "/sys/class/net"
# protocols of routes that come and go with something else: an address, a lease, an advertisement
_DERIVED = ("kernel", "dhcp", "ra", "redirect")


@dataclass(frozen=True)
class Address:
    """An address of a link. `dynamic`: from a lease or an advertisement; `seconds` is what is left of it."""

    address: str  # with its prefix length
    dynamic: bool = False
    seconds: int | None = None
    protocol: str | None = None

    @property
    def version(self) -> int:
        """4 or 6."""
        return ipaddress.ip_interface(self.address).version


@dataclass(frozen=True)
class Link:
    """A link. `kind` is the kernel's word (bridge, vxlan, bond …), None for a network card."""

    name: str
    index: int = 0
    mac: str = ""
    mtu: int = 1500
    up: bool = False
    kind: str | None = None
    master: str | None = None
    lower: str | None = None
    permanent_mac: str | None = None
    alternative_names: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    physical: bool = False
    wireless: bool = False
    ethernet: bool = True  # its frames have MACs
    max_mtu: int | None = None

    @property
    def is_card(self) -> bool:
        """Whether it is a network card, or what containers have in its place."""
        return self.kind in (None, "veth")

    @property
    def card_mac(self) -> str | None:
        """The MAC by which files know a card. Bridges, bonds and VLANs have borrowed the one that they have."""
        mac = self.permanent_mac or self.mac
        return mac.lower() if mac and self.is_card else None

    @property
    def default_vlan(self) -> int | None:
        """The VLAN that new links under this bridge get, 0 for none; None for a kernel without VLAN filtering."""
        found: int | None = self.info.get("vlan_default_pvid")
        return found

    @property
    def settings(self) -> Settings:
        """The settings of a bridge."""
        info = self.info
        return Settings(
            stp=bool(info.get("stp_state")),
            forward_delay=_seconds(info.get("forward_delay")),
            priority=info.get("priority"),
            ageing=_seconds(info.get("ageing_time")),
            mtu=self.mtu,
            mac=self.mac,
            vlan_filtering=bool(info.get("vlan_filtering")),
            multicast_snooping=bool(info.get("mcast_snooping")),
        )


@dataclass(frozen=True)
class KernelRoute:
    """A route over one link."""

    route: Route
    device: str
    protocol: str = "boot"

    @property
    def derived(self) -> bool:
        """Whether it comes by itself; ifupdown2 calls its gateways the kernel's, which makes none."""
        return self.protocol in _DERIVED and not (self.protocol == "kernel" and self.route.via)


@dataclass(frozen=True)
class Kernel:
    """Everything that a plan looks at."""

    links: Mapping[str, Link] = field(default_factory=dict)
    addresses: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)  # without link-local ones
    routes: tuple[KernelRoute, ...] = ()
    vlans: Mapping[str, tuple[Vlan, ...]] = field(default_factory=dict)
    remotes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of VXLAN links
    learned: Mapping[str, int] = field(default_factory=dict)  # entries in the forwarding table of each bridge
    has_vlan_filtering: bool | None = None  # None: can't be told
    privileged: bool = True

    def ports_of(self, bridge: str) -> list[Link]:
        """The links under a bridge."""
        return [link for link in self.links.values() if link.master == bridge]

    def addresses_of(self, name: str) -> tuple[Address, ...]:
        """The addresses of a link, without link-local ones."""
        return self.addresses.get(name, ())

    def routes_of(self, device: str) -> tuple[KernelRoute, ...]:
        """The routes over a link that somebody set."""
        return tuple(found for found in self.routes if found.device == device and not found.derived)


def read_kernel() -> Kernel:
    """The kernel as it is now."""
    rows = run_json(("ip", "-json", "-details", "addr", "show"))
    links = {entry["ifname"]: _link(entry) for entry in rows}
    fdb = run_json(("bridge", "-json", "fdb", "show"))
    return Kernel(
        links=links,
        addresses=_addresses(rows),
        routes=_routes(),
        vlans=_vlans(),
        remotes=_remotes(fdb, links),
        learned=_learned(fdb, links),
        has_vlan_filtering=_has_vlan_filtering(),
        privileged=_privileged(),
    )


def vxlan_of(link: Link, kernel: Kernel) -> Vxlan:
    """A VXLAN link as a declaration would say it."""
    info = link.info
    remotes = set(kernel.remotes.get(link.name, ())) | {info[key] for key in ("remote", "remote6") if key in info}
    group = info.get("group") or info.get("group6")
    return Vxlan(
        vni=info.get("id", 0),
        remotes=tuple(sorted(remotes - {group})),
        group=group,
        local=info.get("local") or info.get("local6"),
        port=info.get("port", DEFAULT_VXLAN_PORT),
        device=info.get("link"),
    )


def macvlan_of(link: Link) -> Macvlan:
    """A macvlan link as a declaration would say it."""
    return Macvlan(link.lower or "", link.info.get("mode", ""))


def _seconds(centiseconds: int | None) -> int | None:
    return None if centiseconds is None else centiseconds // _CENTISECONDS


def _link(entry: dict[str, Any]) -> Link:
    name = entry["ifname"]
    info = entry.get("linkinfo", {})
    directory = os.path.join(_SYSFS, name)
    return Link(
        name=name,
        index=entry["ifindex"],
        mac=entry.get("address", ""),
        mtu=entry["mtu"],
        up="UP" in entry["flags"],
        kind=info.get("info_kind"),
        master=entry.get("master"),
        lower=entry.get("link"),
        permanent_mac=entry.get("permaddr"),
        alternative_names=tuple(entry.get("altnames", ())),
        info=info.get("info_data", {}),
        physical=os.path.exists(os.path.join(directory, "device")),
        ethernet=entry.get("link_type", "ether") == "ether",
        max_mtu=entry.get("max_mtu") or None,
        wireless=os.path.exists(os.path.join(directory, "phy80211")),
    )


def _addresses(rows: list[dict[str, Any]]) -> dict[str, tuple[Address, ...]]:
    return {
        link["ifname"]: tuple(_address(entry) for entry in link.get("addr_info", []) if _counts(entry)) for link in rows
    }


def _counts(entry: dict[str, Any]) -> bool:
    """Whether an address is one that somebody gives; link-local ones come by themselves."""
    return "local" in entry and entry.get("scope") not in ("link", "host")


def _address(entry: dict[str, Any]) -> Address:
    # an advertisement may give a prefix for ever, which then does not count as dynamic
    dynamic = any(entry.get(flag) for flag in ("dynamic", "mngtmpaddr", "temporary"))
    seconds = entry.get("valid_life_time", _FOREVER)
    return Address(
        address=str(ipaddress.ip_interface(f"{entry['local']}/{entry['prefixlen']}")),
        dynamic=dynamic,
        seconds=seconds if dynamic and seconds < _FOREVER else None,
        protocol=entry.get("protocol"),
    )


def _routes() -> tuple[KernelRoute, ...]:
    found = []
    for version in (4, 6):
        for entry in run_json(("ip", "-json", "-details", f"-{version}", "route", "show", "table", "all")):
            route = _route(entry, version)
            if route is not None:
                found.append(route)
    return tuple(found)


def _route(entry: dict[str, Any], version: int) -> KernelRoute | None:
    """A unicast route over one link; None for what the kernel makes by itself, and for routes over several links."""
    if entry.get("type", "unicast") != "unicast" or "dev" not in entry or entry.get("table") == "local":
        return None
    everything = "0.0.0.0/0" if version == 4 else "::/0"
    network = ipaddress.ip_network(everything if entry["dst"] == "default" else entry["dst"])
    if network.is_link_local or network.is_multicast:
        return None
    metric = entry.get("metric") or None
    if version == 6 and metric == 1024:  # the kernel's own for IPv6, the same as none
        metric = None
    via = entry.get("gateway") or entry.get("via", {}).get("host")
    table = str(entry.get("table", "main"))
    route = Route(str(network), via, metric, None if table == "main" else _table_number(table))
    return KernelRoute(route, entry["dev"], entry.get("protocol", "boot"))


def _table_number(name: str) -> int:
    """The number of a table that has a name in iproute2's configuration."""
    if name.isdecimal():
        return int(name)
    numbers = {"default": 253, "main": 254, "local": 255}
    for path in ("/usr/share/iproute2/rt_tables", "/usr/lib/iproute2/rt_tables", "/etc/iproute2/rt_tables"):
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                rows = [line.split() for line in file if re.match(r"\s*\d+\s+\S", line)]
            numbers.update({row[1]: int(row[0]) for row in rows})
    return numbers.get(name, 0)


def _vlans() -> dict[str, tuple[Vlan, ...]]:
    found = {}
    for entry in run_json(("bridge", "-json", "vlan", "show")):
        vlans = []
        for row in entry.get("vlans", []):
            flags = row.get("flags", [])
            numbers = range(row["vlan"], row.get("vlanEnd", row["vlan"]) + 1)
            vlans += [Vlan(number, "PVID" in flags, "Egress Untagged" in flags) for number in numbers]
        found[entry["ifname"]] = tuple(sorted(vlans, key=lambda vlan: vlan.number))
    return found


def _remotes(fdb: list[dict[str, Any]], links: Mapping[str, Link]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for entry in fdb:
        name = entry.get("ifname", "")
        if entry.get("mac") == NO_MAC and "dst" in entry and name in links and links[name].kind == "vxlan":
            found.setdefault(name, set()).add(entry["dst"])
    return {name: tuple(sorted(remotes)) for name, remotes in found.items()}


def _learned(fdb: list[dict[str, Any]], links: Mapping[str, Link]) -> dict[str, int]:
    found = {name: 0 for name, link in links.items() if link.kind == "bridge"}
    for entry in fdb:
        if entry.get("master") in found:
            found[entry["master"]] += 1
    return found


@lru_cache(maxsize=1)
def _has_vlan_filtering() -> bool | None:
    """From the kernel's own configuration: only a change of the network would tell otherwise."""
    release = os.uname().release
    for path in ("/proc/config.gz", f"/boot/config-{release}", f"/lib/modules/{release}/config"):
        try:
            with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
                return b"\nCONFIG_BRIDGE_VLAN_FILTERING=y\n" in file.read()
        except OSError:
            continue
    return None


def _privileged() -> bool:
    """Whether this process may change the network."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        found = re.search(r"^CapEff:\s*([0-9a-f]+)$", file.read(), re.MULTILINE)
    return bool(found and int(found[1], 16) >> _CAP_NET_ADMIN & 1)
