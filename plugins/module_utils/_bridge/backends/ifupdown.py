# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""interfaces(5), which ifupdown (with bridge-utils) and ifupdown2 read. Private to this collection."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ..._errors import UnsupportedError
from ..commands import Command, find
from ..kernel import NO_MAC, Kernel
from ..live import route_command, vlan_command, words_of
from ..model import PLAIN, Declaration, Layer3, Port, Route
from ..target import PortConfiguration, Target
from ._backend import HEADER, MARK, Activation, Backend, Change, Changes, Files, bytes_of, text_of
from .interfaces_file import ifaces, parse, without, without_addresses

_MAIN = "/etc/network/interfaces"
_DIRECTORY = "/etc/network/interfaces.d"
_INDENT = "    "
_VERSIONS = (4, 6)


@dataclass(frozen=True)
class Ifupdown(Backend):
    """ifupdown or ifupdown2."""

    name: str = field(default="ifupdown", init=False)
    waits: bool = field(default=True, init=False)

    def available(self) -> bool:
        """Whether it is installed and has its file."""
        return find("ifup") is not None and self.exists(_MAIN)

    def claims(self, port: str, kernel: Kernel, files: Files) -> str | None:  # noqa: ARG002
        """The file that has the link."""
        return next((path for path in self._own(files) if ifaces(text_of(files[path]), port)), None)

    def read(self) -> Files:
        """The main file, and what it reads."""
        found: dict[str, bytes] = {}
        waiting = [_MAIN]
        while waiting:
            path = waiting.pop(0)
            if path in found or not os.path.isfile(self.path(path)):
                continue
            with open(self.path(path), "rb") as file:
                found[path] = file.read()
            waiting += self._sourced(text_of(found[path]))
        own = self.read_directory(_DIRECTORY, suffixes=("",))
        found.update({path: content for path, content in own.items() if os.path.basename(path).startswith(MARK)})
        return found

    def port_configuration(self, port: str, kernel: Kernel, files: Files) -> PortConfiguration:  # noqa: ARG002
        """DHCP, router advertisements and name servers of its stanzas."""
        found = [stanza for path in self._own(files) for stanza in ifaces(text_of(files[path]), port)]
        methods = {tuple(stanza.words[2:4]) for stanza in found}
        options = [option for stanza in found for option in stanza.options]
        advertised = next((value != "0" for name, value in options if name == "accept_ra"), None)
        return PortConfiguration(
            dhcp4=("inet", "dhcp") in methods,
            dhcp6=("inet6", "dhcp") in methods,
            accept_ra=True if ("inet6", "auto") in methods else advertised,
            dns_servers=_words(options, "dns-nameservers", "dns-nameserver", "dns_nameservers"),
            dns_search=_words(options, "dns-search", "dns-domain", "dns_search"),
        )

    def defines(self, bridge: str, files: Files) -> str | None:
        """The file that has a stanza of it."""
        return next((path for path in self._own(files) if ifaces(text_of(files[path]), bridge)), None)

    def gives(self, port: str, kernel: Kernel, files: Files) -> bool:  # noqa: ARG002
        """A stanza with an address, or with a method that brings one."""
        found = [stanza for path in self._own(files) for stanza in ifaces(text_of(files[path]), port)]
        return any(stanza.words[3:4] in (["static"], ["dhcp"], ["auto"]) for stanza in found)

    def check(self, declaration: Declaration) -> None:
        """Name servers are resolvconf's work, and without it nothing comes of them."""
        said = declaration.layer3
        if (said.dns_servers or said.dns_search) and find("resolvconf") is None:
            raise UnsupportedError(
                f"The bridge {declaration.name} was to have name servers (dns_servers, dns_search), and with ifupdown "
                "these need the program resolvconf, which is not on this host. Install resolvconf or openresolv, or "
                "leave them out and write /etc/resolv.conf."
            )

    def render(self, target: Target, kernel: Kernel, files: Files) -> Changes:  # noqa: ARG002
        """A file of ours with the bridge; its ports lose their addresses where they stand."""
        wanted = target.written
        own = f"{_DIRECTORY}/{MARK}-{wanted.name.replace('.', '_')}"
        changes: Changes = {}
        for path in self._own(files):
            text = without(text_of(files[path]), wanted.name)
            for port in wanted.port_list():
                text = without_addresses(text, port.name) if port.kind == PLAIN else without(text, port.name)
            if path == _MAIN and own not in self._sourced(text_of(files[_MAIN]), also=(own,)):
                text = text.rstrip("\n") + f"\n\nsource {own}\n"
            if bytes_of(text) != files[path]:
                changes[path] = bytes_of(text)
        changes[own] = bytes_of(HEADER.format(name=wanted.name) + "\n" + "\n".join(_stanzas(wanted)))
        return changes

    def activate(self, change: Change) -> Activation:
        """A new bridge comes up whole. One that guests are on never goes down: the kernel's steps change it."""
        down: tuple[Command, ...] = ()
        up: tuple[Command, ...] = ()
        if not change.present:
            down = (("ifdown", "--force", change.name),)
            up = _given_back(change.released)
        elif change.created:
            down = tuple(("ifdown", "--force", port) for port in change.ports)
            up = (*(("ifup", "--force", port) for port in change.ports), ("ifup", "--force", change.name))
        else:
            living = _activation_of_a_living_bridge(self._with_clients(change))
            # else the client of a port would give it an address again with the next lease
            stop = tuple(_stop_client(port, version) for port in change.joined for version in self._clients(port))
            again = _given_back(change.released)
            return replace(
                living,
                before=(*stop, *living.before),
                after=(*living.after, *again),
                may_fail=(*stop, *living.may_fail, *again),
            )
        # a port need not be one that interfaces(5) knows
        return Activation(before=down, after=up, may_fail=(*down, *(up[:-1] if change.present else up)))

    def restore_commands(self, change: Change, ports: Iterable[str]) -> list[Command]:
        """Ports first; the bridge comes up again where the old files have one.

        Not one that was there and stays: ifupdown2 would take the guests' links out of it.
        """
        name = change.name
        if change.present and not change.created:
            then = self._with_clients(change)
            back = _activation_of_a_living_bridge(replace(then, was=then.now, now=then.was))
            fed = (_fed(command, back.inputs.get(command)) for command in back.after)
            return [*_stop_clients(*change.released), *back.before, *_anew(change.joined), *fed]
        return [*_stop_clients(name), *_anew(ports), ("ifup", "--force", name)]

    def _with_clients(self, change: Change) -> Change:
        """A change with what runs on a bridge that somebody else made, of which nothing was written."""
        was, running = change.was, self._clients(change.name)
        dhcp4 = 4 in running if was.dhcp4 is None else was.dhcp4
        dhcp6 = 6 in running if was.dhcp6 is None else was.dhcp6
        return replace(change, was=replace(was, dhcp4=dhcp4, dhcp6=dhcp6))

    def _clients(self, port: str) -> list[int]:
        """The IP versions for which a DHCP client runs on a link."""
        return [version for version in _VERSIONS if self.exists(_client_files(port, version)[0])]

    def _own(self, files: Files) -> list[str]:
        """The files that interfaces(5) reads, without ours."""
        others = [path for path in files if not os.path.basename(path).startswith(MARK)]
        return [path for path in others if path.startswith("/etc/network/")]

    def _sourced(self, text: str, also: tuple[str, ...] = ()) -> list[str]:
        """The files that a file reads; `also`: files that are not there yet."""
        found: list[str] = []
        for stanza in parse(text):
            words = stanza.words
            if words[:1] not in (["source"], ["source-directory"]) or len(words) < 2:
                continue
            pattern = os.path.join("/etc/network", words[1])
            pattern = os.path.join(pattern, "*") if words[0] == "source-directory" else pattern
            directory = os.path.dirname(pattern)
            names = os.listdir(self.path(directory)) if os.path.isdir(self.path(directory)) else []
            known = {*(os.path.join(directory, name) for name in names), *also}
            found += sorted(path for path in known if fnmatch.fnmatchcase(path, pattern))
        return found


def _activation_of_a_living_bridge(change: Change) -> Activation:
    """What the kernel's steps leave of an edit: `ifup` fails at the first address that is there already."""
    name, was, now = change.name, change.was, change.now
    stop: list[Command] = []
    start: list[Command] = []
    for version in _VERSIONS:
        before, after = getattr(was, f"dhcp{version}"), getattr(now, f"dhcp{version}")
        lost = version == 4 and change.lost_lease
        if (before and not after) or lost:
            stop.append(_stop_client(name, version))
        if after and (not before or lost):
            start.append(_start_client(name, version))
    if now.accept_ra is not None and now.accept_ra != was.accept_ra:
        start.insert(0, ("sysctl", "-q", "-w", f"net/ipv6/conf/{name}/accept_ra={_accept_ra(now)}"))
    tell = ("resolvconf", "-a", f"{name}.inet")
    known = (was.dns_servers, was.dns_search) == (now.dns_servers, now.dns_search)
    if not known and find(tell[0]):
        start.append(tell)
    return Activation(before=tuple(stop), after=tuple(start), may_fail=tuple(stop), inputs={tell: _resolvers(now)})


def _given_back(ports: Iterable[str]) -> tuple[Command, ...]:
    """What a port gets of its own stanza. bridge-utils took its link-local addresses, and never gives them back."""
    own = tuple(("ip", "link", "set", "dev", port, "addrgenmode", "eui64") for port in ports)
    return (*own, *(("ifup", "--force", port) for port in ports))


def _stop_clients(*links: str) -> list[Command]:
    return [_stop_client(link, version) for link in links for version in _VERSIONS]


def _anew(ports: Iterable[str]) -> list[Command]:
    return [(program, "--force", port) for port in ports for program in ("ifdown", "ifup")]


def _fed(command: Command, text: str | None) -> Command:
    """A command with what it reads, as one."""
    return command if text is None else ("sh", "-c", 'printf %s "$1" | { shift; "$@"; }', "sh", text, *command)


def _stop_client(name: str, version: int) -> Command:
    pid, _leases = _client_files(name, version)
    return ("dhclient", f"-{version}", "-x", "-pf", pid, name)


def _start_client(name: str, version: int) -> Command:
    """As ifup would, so that the server knows the host again after a reboot."""
    pid, leases = _client_files(name, version)
    if find("ifreload"):
        return ("dhclient", f"-{version}", "-pf", pid, "-lf", leases, name)
    _pid, others = _client_files(name, 10 - version)
    identity = ("-i",) if version == 4 else ()
    return ("dhclient", f"-{version}", *identity, "-pf", pid, "-lf", leases, "-I", "-df", others, name)


def _client_files(name: str, version: int) -> tuple[str, str]:
    program = "dhclient6" if version == 6 else "dhclient"
    return f"/run/{program}.{name}.pid", f"/var/lib/dhcp/{program}.{name}.leases"


def _accept_ra(said: Layer3) -> int:
    """2: also where the host forwards."""
    return 2 if said.accept_ra else 0


def _resolvers(said: Layer3) -> str:
    """What resolvconf reads."""
    search = f"search {' '.join(said.dns_search)}\n" if said.dns_search else ""
    return search + "".join(f"nameserver {server}\n" for server in said.dns_servers or ())


def _words(options: list[tuple[str, str]], *names: str) -> tuple[str, ...] | None:
    return tuple(word for name, value in options if name in names for word in value.split()) or None


def _stanzas(wanted: Declaration) -> Iterator[str]:
    """The stanzas of the bridge; what makes the bridge is in the first."""
    said = wanted.layer3
    rest = list(said.routes or ())
    advertised = [] if said.accept_ra is None else [f"accept_ra {_accept_ra(said)}"]
    heads: list[tuple[str, list[str]]] = [("inet dhcp", [])] if said.dhcp4 else []
    for address in said.addresses or ():
        version = 6 if ":" in address else 4
        lines = [f"address {address}", *_gateway(rest, version)]
        lines += advertised if version == 6 else []
        heads.append(("inet6 static" if version == 6 else "inet static", lines))
    if not any(":" in address for address in said.addresses or ()) and not said.dhcp6 and said.accept_ra:
        heads.append(("inet6 auto", []))
    if said.dhcp6:
        heads.append(("inet6 dhcp", [*advertised]))
    heads.sort(key=lambda row: row[0].startswith("inet6"))
    if not heads or heads[0][0].startswith("inet6"):
        heads.insert(0, ("inet manual", []))
    heads[0][1][:0] = _device(wanted)
    heads[0][1].extend(_hooks(wanted))
    for head, lines in reversed(heads):  # with the last addresses of their version
        version = 6 if head.startswith("inet6") else 4
        lines += [_up(route, wanted.name) for route in rest if route.version == version]
        rest = [route for route in rest if route.version != version]
    heads[-1][1].extend(_up(route, wanted.name) for route in rest)
    yield f"auto {wanted.name}\n"
    for head, lines in heads:
        yield f"iface {wanted.name} {head}\n" + "".join(f"{_INDENT}{line}\n" for line in lines)


def _up(route: Route, name: str) -> str:
    return f"up {' '.join(route_command('replace', route, name))}"


def _gateway(rest: list[Route], version: int) -> list[str]:
    """The gateway goes with the first address of its version."""
    for route in rest:
        if route.default and route.version == version and route.via:
            rest.remove(route)
            return [f"gateway {route.via}", *([f"metric {route.metric}"] if route.metric else [])]
    return []


def _device(wanted: Declaration) -> list[str]:
    said = wanted.settings
    ports = " ".join(port.name for port in wanted.port_list()) or "none"
    rows = (
        ("bridge_ports", ports),
        ("bridge_stp", None if said.stp is None else "on" if said.stp else "off"),
        ("bridge_fd", said.forward_delay),
        ("bridge_maxwait", None if said.stp else 0),
        ("bridge_ageing", said.ageing),
        ("bridge_bridgeprio", said.priority),
        ("hwaddress", said.mac),
        ("mtu", said.mtu),
        ("dns-nameservers", " ".join(wanted.layer3.dns_servers or ())),
        ("dns-search", " ".join(wanted.layer3.dns_search or ())),
    )
    made = [f"pre-up {line}" for port in wanted.port_list() if port.kind != PLAIN for line in _make(port)]
    return [*made, *(f"{name} {value}" for name, value in rows if value not in (None, ""))]


def _make(port: Port) -> Iterator[str]:
    words = " ".join(words_of(port))
    yield f"ip link show dev {port.name} >/dev/null 2>&1 || ip link add name {port.name} {words}"
    for remote in port.vxlan.remotes if port.vxlan else ():
        yield f"bridge fdb append {NO_MAC} dev {port.name} dst {remote} || true"


def _hooks(wanted: Declaration) -> Iterator[str]:
    """What neither program has a word for, or each another one."""
    name = wanted.name
    said = wanted.settings
    for port in wanted.port_list():
        # ifupdown2 leaves out a port that it does not know of yet: its list of links runs after what `pre-up` has made
        master = f" master {name}" if port.kind != PLAIN else ""
        mtu = f" mtu {said.mtu}" if said.mtu else ""
        yield f"up ip link set dev {port.name}{master} up{mtu}"
    layer3 = wanted.layer3
    if layer3.accept_ra is False and not layer3.dhcp6 and not any(":" in address for address in layer3.addresses or ()):
        # no stanza of IPv6 says it
        yield f"up sysctl -q -w net/ipv6/conf/{name}/accept_ra=0 || true"
    if said.multicast_snooping is not None:
        yield f"up ip link set dev {name} type bridge mcast_snooping {int(said.multicast_snooping)}"
    if wanted.default_vlan is None:
        yield f"up ip link set dev {name} type bridge vlan_default_pvid 0"
    rows = [(port.name, port.vlans, ()) for port in wanted.port_list()]
    for link, vlans, words in [*rows, (name, wanted.vlans, ("self",))]:
        for vlan in wanted.vlans_to_write(vlans) or ():
            yield f"up {' '.join(vlan_command(link, vlan, words))}"
    if said.vlan_filtering is not None:
        yield f"up ip link set dev {name} type bridge vlan_filtering {int(said.vlan_filtering)}"
    for port in wanted.port_list():
        if port.kind != PLAIN:
            yield f"post-down ip link del dev {port.name} || true"
