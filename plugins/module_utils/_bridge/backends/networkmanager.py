# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NetworkManager: keyfiles of ours, and the old profile of a port made to stay quiet. Private to this collection."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..._errors import UnsupportedError
from ..commands import Command, find, run
from ..kernel import NO_MAC, Kernel, Link
from ..model import PLAIN, Declaration, Port
from ..target import PortConfiguration, Target
from . import keyfile
from ._backend import HEADER, MARK, Activation, Backend, Change, Changes, Files, bytes_of, is_made, text_of
from .nm_settings import METHODS6, Rows, bridge_rows, ip_rows, modification, up, vlan_words

_ETC = "/etc/NetworkManager/system-connections"
_DIRECTORIES = (_ETC, "/run/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections")
_DISPATCHER = "/etc/NetworkManager/dispatcher.d"
_RUNNING = "/run/NetworkManager"
_ENABLED = "/etc/systemd/system/multi-user.target.wants/NetworkManager.service"
_NAMESPACE = uuid.UUID("8d2c6f0e-5a0b-4a53-9c0f-6d1a3f5b7e21")
_PRIORITY = "999"  # the highest: whatever else would take a port by itself comes after it
_ACTIVE = 40  # GENERAL.STATE: from here on a profile is in use
_MACVLAN_MODES = {"vepa": 1, "bridge": 2, "private": 3, "passthru": 4}


@dataclass(frozen=True)
class NetworkManager(Backend):
    """NetworkManager."""

    name: str = field(default="networkmanager", init=False)

    def available(self) -> bool:
        """Whether it runs or is enabled."""
        return find("nmcli") is not None and self.exists(_RUNNING, _ENABLED)

    def claims(self, port: str, kernel: Kernel, files: Files) -> str | None:
        """The profile that is in use, or the one that would be at the next start."""
        state = self._state(port)
        if state is not None:
            return f"profile {state[1]}" if state[0] >= _ACTIVE and state[1] and not state[2] else None
        return next(iter(self._profiles(port, kernel, files)), None)

    def read(self) -> Files:
        """The keyfiles, and our dispatcher scripts."""
        scripts = self.read_directory(_DISPATCHER, suffixes=("",))
        ours = {path: content for path, content in scripts.items() if MARK in os.path.basename(path)}
        return {**self.read_directory(*_DIRECTORIES, suffixes=(".nmconnection", "")), **ours}

    def port_configuration(self, port: str, kernel: Kernel, files: Files) -> PortConfiguration:
        """DHCP, router advertisements and name servers of its profile."""
        text = self._profile_in_use(port, kernel, files)
        method6 = keyfile.value(text, "ipv6", "method")
        servers = [keyfile.value(text, section, "dns") for section in ("ipv4", "ipv6")]
        search = [keyfile.value(text, section, "dns-search") for section in ("ipv4", "ipv6")]
        return PortConfiguration(
            dhcp4=keyfile.value(text, "ipv4", "method") == "auto",
            dhcp6=method6 == "dhcp",
            accept_ra=method6 == METHODS6[0] if method6 in METHODS6 else None,
            dns_servers=tuple(dict.fromkeys(";".join(servers).replace(",", ";").replace(";", " ").split())) or None,
            dns_search=tuple(dict.fromkeys(";".join(search).replace(",", ";").replace(";", " ").split())) or None,
        )

    def defines(self, bridge: str, files: Files) -> str | None:
        """A bridge's profile of that name."""
        wanted = ("bridge", bridge)
        for path, content in files.items():
            text = text_of(content)
            said = tuple(keyfile.value(text, "connection", key) for key in ("type", "interface-name"))
            if said == wanted and not is_made(path):
                return path
        return None

    def gives(self, port: str, kernel: Kernel, files: Files) -> bool:
        """Addresses or DHCP in a profile that connects by itself."""
        texts = [text_of(files[path]) for path in self._profiles(port, kernel, files)]
        asking = [text for text in texts if keyfile.value(text, "connection", "autoconnect") != "false"]
        methods = [keyfile.value(text, section, "method") for text in asking for section in ("ipv4", "ipv6")]
        return any(method in ("auto", "manual", "dhcp") for method in methods)

    def render(self, target: Target, kernel: Kernel, files: Files) -> Changes:
        """A profile of the bridge and of each port; the profiles that ports had no longer connect by themselves."""
        wanted = target.written
        changes: Changes = {}
        for name in (wanted.name, *(port.name for port in wanted.port_list())):
            for path in self._profiles(name, kernel, files):
                quiet = keyfile.with_value(text_of(files[path]), "connection", "autoconnect", "false")
                changes[path] = bytes_of(quiet)
        changes[_path(wanted.name)] = _render(wanted.name, _bridge(wanted))
        for port in wanted.port_list():
            link = kernel.links.get(port.name)
            if port.kind == PLAIN and link is not None and not link.is_card:
                changes.update(self._own_profile(port, link, wanted, kernel, files))
            else:
                changes[_path(f"{wanted.name}-{port.name}")] = _render(wanted.name, _port(port, wanted))
        scripts = _dispatcher(wanted)
        if scripts:
            changes[f"{_DISPATCHER}/50-{MARK}-{wanted.name}"] = scripts
        return changes

    def activate(self, change: Change) -> Activation:
        """A new bridge comes up with its ports; one that guests are on is only told of its new settings."""
        nmcli = ("nmcli", "--wait", "0")
        commands: list[Command] = [("nmcli", "connection", "reload")]
        whole = change.present and (change.created or change.lost_lease)
        if whole:
            commands.append((*nmcli, "connection", "up", "uuid", _uuid(change.name)))
        coming = change.ports if whole else change.joined
        soft = [modification(change.written)] if change.written and not whole else []
        soft += [(*nmcli, "connection", "up", *_port_profile(port, change)) for port in coming]
        soft += _given_back(change.released, _others(change.files, taken=False))
        return Activation(after=(*commands, *soft), may_fail=tuple(soft))

    def restore_commands(self, change: Change, ports: Iterable[str]) -> list[Command]:
        """A profile that is gone takes its bridge with it."""
        again: list[Command] = [("nmcli", "connection", "reload")]
        if not (change.present and change.created):
            again.append(up("ifname", change.name))
            stayed = [port for port in ports if port not in change.joined]
            again += [up(*_port_profile(port, change)) for port in stayed]
        came = change.ports if change.created else change.joined
        return again + _given_back(came, _others(change.files, taken=True))

    def mode(self, path: str) -> int:
        """NetworkManager reads no keyfile that others can read, and runs no script that they can write."""
        return 0o755 if path.startswith(_DISPATCHER) else 0o600

    def _state(self, port: str) -> tuple[int, str, bool] | None:
        """The state of a device, the profile on it, and whether netplan wrote that.

        None where NetworkManager does not answer.
        """
        if self.root != "/" or not self.exists(_RUNNING):
            return None
        fields = "GENERAL.STATE,GENERAL.CON-UUID,GENERAL.CONNECTION"
        said = run(("nmcli", "--terse", "--fields", fields, "device", "show", port), may_fail=True)
        rows = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
        state = rows.get("GENERAL.STATE", "")
        if not state or "externally" in state:  # somebody else's doing, which it only shows
            return (0, "", False)
        of_netplan = rows.get("GENERAL.CONNECTION", "").startswith("netplan-")
        return int(state.split()[0]), rows.get("GENERAL.CON-UUID", ""), of_netplan

    def _profile_in_use(self, port: str, kernel: Kernel, files: Files) -> str:
        """The text of the profile that a link has now, or would have; empty for one that is in no file."""
        state = self._state(port)
        if state is not None and state[1]:
            texts = (text_of(content) for content in files.values())
            return next((text for text in texts if keyfile.value(text, "connection", "uuid") == state[1]), "")
        paths = self._profiles(port, kernel, files)
        return text_of(files[paths[0]]) if paths else ""

    def _profiles(self, name: str, kernel: Kernel, files: Files) -> list[str]:
        """The profiles that are for one link, in /etc: the ones elsewhere can't be edited, and have less priority."""
        link = kernel.links.get(name)
        mac = link.card_mac if link else None
        found = []
        for path, content in files.items():
            text = text_of(content)
            ours = MARK in os.path.basename(path)
            if path.startswith(_ETC) and not ours and not keyfile.value(text, "connection", "master"):
                by_name = keyfile.value(text, "connection", "interface-name")
                by_mac = keyfile.value(text, "ethernet", "mac-address").lower()
                if by_name == name or (not by_name and by_mac == mac):
                    found.append(path)
        return found

    def _own_profile(
        self, port: Port, link: Link, wanted: Declaration, kernel: Kernel, files: Files
    ) -> Iterator[tuple[str, bytes]]:
        """A bond or VLAN is made by its profile, which therefore becomes the port's."""
        paths = self._profiles(port.name, kernel, files)
        if not paths:
            raise UnsupportedError(
                f"The port {port.name} is a {link.kind} without a profile of NetworkManager, so it would be gone after "
                "a reboot. Make the profile first, or say persist: none."
            )
        text = text_of(files[paths[0]])
        for key, value in _slave(wanted):
            text = keyfile.with_value(text, "connection", key, value)
        for section in ("ipv4", "ipv6", "proxy"):
            text = keyfile.without_section(text, section)
        for section, rows in _port_vlans(port, wanted):
            for key, value in rows:
                text = keyfile.with_value(text, section, key, value)
        yield paths[0], bytes_of(text)


def _port_profile(port: str, change: Change) -> tuple[str, ...]:
    """What names the profile of a port: ours, or that of the bond or VLAN itself."""
    link = change.kernel.links.get(port)
    return ("uuid", _uuid(f"{change.name}-{port}")) if link is None or link.is_card else ("ifname", port)


def _others(files: Mapping[str, bytes | None], *, taken: bool) -> list[str]:
    """The UUIDs of the profiles of others that were edited: those that the bridge took from a link, or the rest."""
    texts = [text_of(content) for path, content in files.items() if content is not None and MARK not in path]
    wanted = [text for text in texts if _is_taken(text) == taken]
    return [one for one in (keyfile.value(text, "connection", "uuid") for text in wanted) if one]


def _is_taken(text: str) -> bool:
    return bool(keyfile.value(text, "connection", "master")) or (
        keyfile.value(text, "connection", "autoconnect") == "false"
    )


def _given_back(ports: Iterable[str], uuids: list[str]) -> list[Command]:
    """Ports get their own profiles: by name NetworkManager would take the one that was last in use, maybe another."""
    ports = list(ports)
    return [] if not ports else [up("uuid", one) for one in uuids] or [up("ifname", port) for port in ports]


def _path(name: str) -> str:
    return f"{_ETC}/{MARK}-{name}.nmconnection"


def _uuid(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name))


def _render(name: str, sections: Iterable[tuple[str, Rows]]) -> bytes:
    parts = [f"[{section}]\n" + "".join(f"{key}={value}\n" for key, value in rows) for section, rows in sections]
    return bytes_of(HEADER.format(name=name) + "\n" + "\n".join(parts))


def _connection(name: str, kind: str, link: str) -> Rows:
    return [
        ("id", f"{MARK}-{name}"),
        ("uuid", _uuid(name)),
        ("type", kind),
        ("interface-name", link),
        ("autoconnect", "true"),
        ("autoconnect-priority", _PRIORITY),
    ]


def _slave(wanted: Declaration) -> Rows:
    return [("master", wanted.name), ("slave-type", "bridge"), ("autoconnect", "true")]


def _bridge(wanted: Declaration) -> Iterator[tuple[str, Rows]]:
    said = wanted.settings
    yield "connection", [*_connection(wanted.name, "bridge", wanted.name), ("autoconnect-slaves", "1")]
    ethernet = [("cloned-mac-address", said.mac), ("mtu", said.mtu)]
    yield "ethernet", [(key, str(value)) for key, value in ethernet if value is not None]
    yield "bridge", bridge_rows(wanted)
    yield "ipv4", ip_rows(wanted.layer3, 4)
    yield "ipv6", ip_rows(wanted.layer3, 6)


def _port(port: Port, wanted: Declaration) -> Iterator[tuple[str, Rows]]:
    kind = "ethernet" if port.kind == PLAIN else port.kind
    connection = _connection(f"{wanted.name}-{port.name}", kind, port.name)
    yield "connection", [*connection, ("master", wanted.name), ("slave-type", "bridge")]
    yield "ethernet", [("mtu", str(wanted.settings.mtu))] if wanted.settings.mtu else []
    if port.macvlan:
        yield "macvlan", [("mode", str(_MACVLAN_MODES[port.macvlan.mode])), ("parent", port.macvlan.device)]
    if port.vxlan:
        tunnel = port.vxlan
        remote = tunnel.group or (tunnel.remotes[0] if len(tunnel.remotes) == 1 else None)
        rows = (
            ("id", tunnel.vni),
            ("local", tunnel.local),
            ("remote", remote),
            ("destination-port", tunnel.port),
            ("parent", tunnel.device),
        )
        yield "vxlan", [(key, str(value)) for key, value in rows if value is not None]
    yield from _port_vlans(port, wanted)


def _port_vlans(port: Port, wanted: Declaration) -> Iterator[tuple[str, Rows]]:
    vlans = wanted.vlans_to_write(port.vlans)
    yield "bridge-port", [] if vlans is None else [("vlans", vlan_words(vlans))]


def _dispatcher(wanted: Declaration) -> bytes | None:
    """A profile knows one peer of a tunnel; the others are told by a script when it comes up."""
    lines = [
        f'[ "$1" != {port.name} ] || bridge fdb append {NO_MAC} dev {port.name} dst {remote}'
        for port in wanted.port_list()
        for remote in (port.vxlan.remotes if port.vxlan and len(port.vxlan.remotes) > 1 else ())
    ]
    if not lines:
        return None
    head = "#!/bin/sh\n" + HEADER.format(name=wanted.name) + '[ "$2" = up ] || exit 0\n'
    return bytes_of(head + "\n".join(lines) + "\nexit 0\n")
