# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel knows of the network, as data that JSON can hold. Private to this collection."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Collection, Iterable, Sequence
from typing import Any

State = dict[str, Any]

_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin"])
_ENVIRONMENT = {**os.environ, "LC_ALL": "C", "PATH": _PATH}
_READ_S = 20
# what a link has as a port of a bridge, and loses when it leaves it: the kernel's names, which are ip's words too, and
# what a new port starts with
PORT_WORDS = {
    **dict.fromkeys(("hairpin", "guard", "root_block", "fastleave", "neigh_suppress", "vlan_tunnel"), False),
    **dict.fromkeys(("mcast_to_unicast", "isolated", "locked"), False),
    **dict.fromkeys(("learning", "flood", "mcast_flood", "bcast_flood"), True),
}
# what managers set for each link, and what decides which addresses it may have
_SYSCTLS = ("disable_ipv6", "accept_ra", "autoconf", "addr_gen_mode")


def call(command: Sequence[str], *, text: str | None = None, timeout_s: float = _READ_S) -> str:
    """The standard output of a program; raises OSError or subprocess.SubprocessError."""
    path = shutil.which(command[0], path=_PATH) or command[0]
    done = subprocess.run(
        [path, *command[1:]],
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        env=_ENVIRONMENT,
        check=True,
    )
    return done.stdout


def read_state(scope: Collection[str]) -> State:
    """Links, addresses, routes of all tables, rules and VLANs; `scope` names the links that are looked at closely.

    The VLANs of guests' taps are in it as well: they change when the bridge has another default VLAN.
    """
    links = {entry["ifname"]: entry for entry in _json("ip", "-json", "-details", "link", "show")}
    return {
        "scope": sorted(scope),
        "links": {name: _link(entry) for name, entry in links.items()},
        "addresses": {
            entry["ifname"]: entry["addr_info"]
            for entry in _json("ip", "-json", "-details", "addr", "show")
            if entry["ifname"] in scope
        },
        "routes": {family: _lines("ip", "-o", f"-{family}", "route", "show", "table", "all") for family in "46"},
        "rules": {family: _lines("ip", f"-{family}", "rule", "show") for family in "46"},
        "vlans": {
            entry["ifname"]: entry.get("vlans", [])
            for entry in _json("bridge", "-json", "vlan", "show")
            if entry.get("ifname") in scope or links.get(entry.get("ifname"), {}).get("master") in scope
        },
        "fdb": [line for line in _lines("bridge", "fdb", "show") if _is_remote(line, scope)],
        "sysctls": {path: value for name in scope for path, value in _sysctls(name)},
    }


def _json(*command: str) -> list[dict[str, Any]]:
    text = call(command).strip()
    return [entry for entry in json.loads(text) if entry] if text else []


def _lines(*command: str) -> list[str]:
    return [line.strip() for line in call(command).splitlines() if line.strip()]


def _link(entry: dict[str, Any]) -> dict[str, Any]:
    information = entry.get("linkinfo", {})
    data = information.get("info_slave_data", {}) if information.get("info_slave_kind") == "bridge" else {}
    return {
        "mac": entry.get("address"),
        "mtu": entry.get("mtu"),
        "up": "UP" in entry.get("flags", []),
        "master": entry.get("master"),
        "lower": entry.get("link"),
        "kind": information.get("info_kind"),
        "info": information.get("info_data", {}),
        "port": {word: data[word] for word in PORT_WORDS if word in data},
    }


def _is_remote(line: str, scope: Collection[str]) -> bool:
    """Whether a line of the forwarding table is a peer of a tunnel that somebody wrote."""
    words = line.split()
    return "dst" in words and "permanent" in words and words[1:2] == ["dev"] and words[2] in scope


def _sysctls(name: str) -> Iterable[tuple[str, str]]:
    for key in _SYSCTLS:
        path = f"/proc/sys/net/ipv6/conf/{name}/{key}"
        try:
            with open(path, encoding="ascii") as file:
                yield path, file.read().strip()
        except OSError:
            continue
