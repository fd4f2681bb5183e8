# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd-networkd: files of ours that come before all others, so that nobody's file is edited.

Private to this collection.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..._errors import ConflictError
from ..commands import Command, find, run
from ..kernel import NO_MAC, Kernel
from ..model import PLAIN, Declaration, Layer3, Port, Route, Vlan
from ..target import PortConfiguration, Target
from ._backend import HEADER, MARK, Activation, Backend, Change, Changes, Files, bytes_of, is_made, text_of

_ETC = "/etc/systemd/network"
_DIRECTORIES = (
    _ETC,
    "/run/systemd/network",
    "/usr/local/lib/systemd/network",
    "/usr/lib/systemd/network",
    "/lib/systemd/network",
)
_LINKS = "/run/systemd/netif/links"
_ENABLED = (
    "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
    "/etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service",
    "/etc/systemd/system/dbus-org.freedesktop.network1.service",
)
# the first of the files that match a link counts, in the order of their names (systemd.network(5))
_FIRST = f"00-{MARK}-"
_YES = ("1", "yes", "true", "on")
_DHCP = {"yes": (True, True), "ipv4": (True, False), "ipv6": (False, True)}

Section = tuple[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Networkd(Backend):
    """systemd-networkd."""

    name: str = field(default="networkd", init=False)
    remakes: bool = field(default=False, init=False)

    def available(self) -> bool:
        """Whether it runs or is enabled."""
        return find("networkctl") is not None and self.exists(_LINKS, *_ENABLED)

    def claims(self, port: str, kernel: Kernel, files: Files) -> str | None:
        """The file that applies to a link; what netplan wrote is netplan's."""
        path = self._file_of(port, kernel, files)
        return None if path is None or "netplan" in os.path.basename(path) else path

    def read(self) -> Files:
        """The files of all directories; one in /etc hides those of its name elsewhere."""
        return self.read_directory(*_DIRECTORIES, suffixes=(".network", ".netdev"))

    def port_configuration(self, port: str, kernel: Kernel, files: Files) -> PortConfiguration:
        """DHCP, router advertisements and DNS of the file that applies."""
        path = self._file_of(port, kernel, files)
        said = dict_of_lists(parse(text_of(files[path])), "Network") if path and path in files else {}
        dhcp4, dhcp6 = _DHCP.get(last(said, "DHCP").lower(), (last(said, "DHCP").lower() in _YES,) * 2)
        accept = last(said, "IPv6AcceptRA").lower()
        return PortConfiguration(
            dhcp4=dhcp4,
            dhcp6=dhcp6,
            accept_ra=accept in _YES if accept else None,
            dns_servers=tuple(" ".join(said.get("DNS", [])).split()) or None,
            dns_search=tuple(" ".join(said.get("Domains", [])).split()) or None,
            client=self._client(port) if dhcp4 else None,
        )

    def defines(self, bridge: str, files: Files) -> str | None:
        """A .netdev of that name."""
        found = [path for path in files if path.endswith(".netdev") and not is_made(path)]
        names = {path: last(dict_of_lists(parse(text_of(files[path])), "NetDev"), "Name") for path in found}
        return next((path for path, name in names.items() if name == bridge), None)

    def gives(self, port: str, kernel: Kernel, files: Files) -> bool:
        """Addresses or DHCP in the file that applies."""
        path = self._file_of(port, kernel, files)
        sections = parse(text_of(files[path])) if path and path in files else []
        network, address = dict_of_lists(sections, "Network"), dict_of_lists(sections, "Address")
        asks = last(network, "DHCP").lower() in (*_DHCP, *_YES)
        return asks or bool(network.get("Address") or address.get("Address"))

    def render(self, target: Target, kernel: Kernel, files: Files) -> Changes:
        """A .netdev and a .network of the bridge, and a .network of each port."""
        wanted = target.written
        changes: Changes = {}
        changes[_path(wanted.name, "netdev")] = _render(wanted.name, _netdev(wanted))
        changes[_path(wanted.name, "network")] = _render(wanted.name, _bridge_network(wanted))
        for port in wanted.port_list():
            if port.kind != PLAIN:
                changes[_path(f"{wanted.name}-{port.name}", "netdev")] = _render(wanted.name, _port_netdev(port))
            changes[_path(f"{wanted.name}-{port.name}", "network")] = _render(wanted.name, _port_network(wanted, port))
        changes.update(self._lower_links(wanted, kernel, files))
        self._check_order(wanted, kernel, files)
        return changes

    def activate(self, change: Change) -> Activation:
        """networkd makes new links by itself, and never removes one."""
        remove: tuple[Command, ...] = () if change.present else (("ip", "link", "del", "dev", change.name),)
        links = change.released if not change.present else (*change.ports, *change.released, change.name)
        again: tuple[Command, ...] = (("networkctl", "reconfigure", *links),) if links else ()
        start: tuple[Command, ...] = (
            () if self.exists(_LINKS) else (("systemctl", "enable", "--now", "systemd-networkd"),)
        )
        leave = leave_bridge(change)
        # the kernel may have come first
        return Activation(after=(*start, *remove, ("networkctl", "reload"), *again, *leave), may_fail=(*remove, *leave))

    def restore_commands(self, change: Change, ports: Iterable[str]) -> list[Command]:
        """The bridge itself may be one that the old files do not know."""
        return [("networkctl", "reload"), *(("networkctl", "reconfigure", link) for link in (change.name, *ports))]

    def _client(self, port: str) -> str | None:
        """By what the DHCP server knows the link, so that the bridge keeps the lease."""
        if self.root != "/" or not self.exists(_LINKS):
            return None
        said = run(("networkctl", "--no-pager", "--lines=0", "status", port), may_fail=True)
        found = re.search(r"DHCP4 Client ID: IAID:(0x[0-9a-f]+)/DUID", said)
        return str(int(found[1], 16)) if found else None

    def _file_of(self, port: str, kernel: Kernel, files: Files) -> str | None:
        """The file that networkd itself names, or else the first that matches by name; never one of ours."""
        link = kernel.links.get(port)
        if link is not None:
            try:
                with open(self.path(_LINKS, str(link.index)), encoding="utf-8") as file:
                    rows = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
                named = rows.get("NETWORK_FILE")
                if named and MARK not in os.path.basename(named):
                    return named
            except OSError:
                pass
        found = [path for path in files if path.endswith(".network") and MARK not in os.path.basename(path)]
        for path in sorted(found, key=os.path.basename):
            if _matches(text_of(files[path]), port, link.mac if link else None):
                return path
        return None

    def _lower_links(self, wanted: Declaration, kernel: Kernel, files: Files) -> Iterator[tuple[str, bytes]]:
        """networkd makes a link that lies on another one only when the other one's file names it."""
        under: dict[str, list[tuple[str, str]]] = {}
        for port in wanted.port_list():
            if port.macvlan:
                under.setdefault(port.macvlan.device, []).append(("MACVLAN", port.name))
            elif port.vxlan and port.vxlan.device:
                under.setdefault(port.vxlan.device, []).append(("VXLAN", port.name))
        for device, rows in under.items():
            path = self._file_of(device, kernel, files)
            if path is not None:
                name = f"{_ETC}/{os.path.basename(path)}.d/{MARK}-{wanted.name}.conf"
                yield name, _render(wanted.name, [("Network", rows)])
            else:  # somebody else gave it what it has, and it keeps that
                kept = [("KeepConfiguration", "yes"), ("LinkLocalAddressing", "no"), *rows]
                sections: list[Section] = [("Match", [("Name", device)]), ("Network", kept)]
                yield _path(f"{wanted.name}-{device}", "network"), _render(wanted.name, sections)

    def _check_order(self, wanted: Declaration, kernel: Kernel, files: Files) -> None:
        for name in (wanted.name, *(port.name for port in wanted.port_list())):
            path = self._file_of(name, kernel, files)
            if path is not None and os.path.basename(path) < _FIRST:
                raise ConflictError(
                    f"{path} configures {name}, and its name comes before {_FIRST}{wanted.name}.network, so networkd "
                    f"would never read the latter. Give it a name that comes later, such as 10-{name}.network."
                )


def parse(text: str) -> list[Section]:
    """The sections of a unit file, in order."""
    sections: list[Section] = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            sections.append((line[1:-1], []))
        elif line and line[0] not in "#;" and "=" in line and sections:
            key, _sign, value = line.partition("=")
            sections[-1][1].append((key.strip(), value.strip()))
    return sections


def dict_of_lists(sections: list[Section], name: str) -> dict[str, list[str]]:
    """The settings of all sections of a name; an empty value takes back those before it."""
    found: dict[str, list[str]] = {}
    for section, rows in sections:
        for key, value in rows if section == name else []:
            found[key] = [*found.get(key, []), value] if value else []
    return found


def last(said: dict[str, list[str]], key: str) -> str:
    """The value that counts, or an empty text."""
    return said.get(key, [""])[-1] if said.get(key) else ""


def _matches(text: str, port: str, mac: str | None) -> bool:
    """Whether [Match] takes a link by its name or MAC; what it may say beside that is left to networkd."""
    said = dict_of_lists(parse(text), "Match")
    patterns = " ".join(said.get("Name", [])).split()
    macs = [one.lower() for one in " ".join(said.get("MACAddress", []) + said.get("PermanentMACAddress", [])).split()]
    if patterns and patterns[0].startswith("!"):
        return False
    by_name = any(fnmatch.fnmatchcase(port, pattern) for pattern in patterns)
    return by_name if patterns else mac in macs


def _path(name: str, suffix: str) -> str:
    return f"{_ETC}/{_FIRST}{name}.{suffix}"


def _render(name: str, sections: Iterable[Section]) -> bytes:
    parts = [f"[{section}]\n" + "".join(f"{key}={value}\n" for key, value in rows) for section, rows in sections]
    return bytes_of(HEADER.format(name=name) + "\n" + "\n".join(parts))


def _yes(value: bool | None) -> str:
    return "yes" if value else "no"


def _netdev(wanted: Declaration) -> list[Section]:
    said = wanted.settings
    device = [("Name", wanted.name), ("Kind", "bridge")]
    device += [("MTUBytes", str(said.mtu))] if said.mtu else []
    device += [("MACAddress", said.mac)] if said.mac else []
    rows = (
        ("STP", None if said.stp is None else _yes(said.stp)),
        ("ForwardDelaySec", said.forward_delay),
        ("Priority", said.priority),
        ("AgeingTimeSec", said.ageing),
        ("VLANFiltering", None if said.vlan_filtering is None else _yes(said.vlan_filtering)),
        ("DefaultPVID", None if wanted.default_vlan else "none"),
        ("MulticastSnooping", None if said.multicast_snooping is None else _yes(said.multicast_snooping)),
    )
    bridge = [(key, str(value)) for key, value in rows if value is not None]
    return [("NetDev", device), *([("Bridge", bridge)] if bridge else [])]


def _port_netdev(port: Port) -> list[Section]:
    device = [("Name", port.name), ("Kind", port.kind)]
    if port.macvlan:
        return [("NetDev", device), ("MACVLAN", [("Mode", port.macvlan.mode)])]
    tunnel = port.vxlan
    rows = (
        [("VNI", tunnel.vni), ("Group", tunnel.group), ("Local", tunnel.local), ("DestinationPort", tunnel.port)]
        if tunnel
        else []
    )
    # without an underlying link networkd makes it as soon as it starts
    independent = [] if tunnel and tunnel.device else [("Independent", "yes")]
    return [
        ("NetDev", device),
        ("VXLAN", [(key, str(value)) for key, value in rows if value is not None] + independent),
    ]


def _bridge_network(wanted: Declaration) -> list[Section]:
    said = wanted.layer3
    mtu = [("Link", [("MTUBytes", str(wanted.settings.mtu))])] if wanted.settings.mtu else []
    network: list[tuple[str, str]] = [("ConfigureWithoutCarrier", "yes")]
    network += [("Address", address) for address in said.addresses or ()]
    network += [
        (
            "DHCP",
            {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6"}.get(
                (bool(said.dhcp4), bool(said.dhcp6)), "no"
            ),
        )
    ]
    network += [] if said.accept_ra is None else [("IPv6AcceptRA", _yes(said.accept_ra))]
    network += [("DNS", server) for server in said.dns_servers or ()]
    network += [("Domains", " ".join(said.dns_search))] if said.dns_search else []
    lease: list[Section] = [("DHCPv4", _client_rows(said))] if said.dhcp4 else []
    if said.dhcp6 and said.accept_ra is False:  # else the advertisement tells it to begin
        lease.append(("DHCPv6", [("WithoutRA", "solicit")]))
    return [
        ("Match", [("Name", wanted.name)]),
        *mtu,
        ("Network", network),
        *lease,
        *_routes(said),
        *_vlans(wanted, wanted.vlans),
    ]


def _client_rows(said: Layer3) -> list[tuple[str, str]]:
    """What a server knows the host by shall be as it was, or else its MAC, which the bridge has from its port."""
    if said.client and said.client.isdecimal():
        return [("ClientIdentifier", "duid"), ("IAID", said.client)]
    return [("ClientIdentifier", "mac")]


def _routes(said: Layer3) -> Iterator[Section]:
    for route in said.routes or ():
        yield "Route", _route(route)


def _route(route: Route) -> list[tuple[str, str]]:
    rows = (("Destination", route.to), ("Gateway", route.via), ("Metric", route.metric), ("Table", route.table))
    scope = [("Scope", "link")] if route.via is None and route.version == 4 else []
    return [(key, str(value)) for key, value in rows if value is not None] + scope


def _port_network(wanted: Declaration, port: Port) -> list[Section]:
    mtu = [("Link", [("MTUBytes", str(wanted.settings.mtu))])] if wanted.settings.mtu else []
    network = [("Bridge", wanted.name), ("LinkLocalAddressing", "no"), ("IPv6AcceptRA", "no")]
    remotes = port.vxlan.remotes if port.vxlan else ()
    peers: list[Section] = [("BridgeFDB", [("MACAddress", NO_MAC), ("Destination", ip)]) for ip in remotes]
    return [("Match", [("Name", port.name)]), *mtu, ("Network", network), *peers, *_vlans(wanted, port.vlans)]


def _vlans(wanted: Declaration, vlans: tuple[Vlan, ...] | None) -> Iterator[Section]:
    for vlan in wanted.vlans_to_write(vlans) or ():
        rows = [("VLAN", str(vlan.number))]
        rows += [("EgressUntagged", str(vlan.number))] if vlan.untagged else []
        rows += [("PVID", str(vlan.number))] if vlan.pvid else []
        yield "BridgeVLAN", rows


def leave_bridge(change: Change) -> tuple[Command, ...]:
    """networkd lets go of a port of which no file is left, and leaves it where it is."""
    return tuple(("ip", "link", "set", "dev", port, "nomaster") for port in change.released if change.present)
