# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leads from one state of the kernel back to an earlier one: pure. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .state import PORT_WORDS, State

Command = tuple[str, ...]

WRITE = "write"  # a command that is none of a program: a value to write into a file of the kernel
_FOR_EVER = 4294967295
_CENTISECONDS_OF_A_BRIDGE = ("forward_delay", "hello_time", "max_age", "ageing_time")
# settings of a bridge by the kernel's names, and the words of ip for them
_BRIDGE_WORDS = {
    **{name: name for name in (*_CENTISECONDS_OF_A_BRIDGE, "stp_state", "priority", "vlan_filtering")},
    **{name: name for name in ("vlan_default_pvid", "mcast_snooping", "group_fwd_mask")},
}
# how a link is made anew that is gone: word of ip by the kernel's name
_MAKE_WORDS = {
    "bridge": {},
    "macvlan": {"mode": "mode"},
    "vlan": {"id": "id", "protocol": "protocol"},
    "vxlan": {
        **{name: name for name in ("id", "remote", "group", "local", "ttl", "ageing")},
        "remote6": "remote",
        "group6": "group",
        "local6": "local",
        "port": "dstport",
        "link": "dev",
    },
}
# words of a route that tell what is with it now, and not what it is; the numbers say how many words follow
_PASSING = {"linkdown": 0, "dead": 0, "offload": 0, "trap": 0, "rt_offload": 0, "rt_trap": 0, "expires": 1, "nhid": 1}
_PASSING.update({"error": 1, "users": 1, "age": 1})


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was, in words, and the commands that mend it (none: nothing can)."""

    text: str
    commands: tuple[Command, ...] = ()


def mend(saved: State, now: State, *, passed_s: float = 0) -> list[Difference]:
    """The differences in the order in which they are mended; a first round may bring out further ones."""
    rows = (_made, _gone, _masters, _ports, _settings, _links, _vlans, _sysctls)
    found = [difference for row in rows for difference in row(saved, now)]
    found += _addresses(saved, now, passed_s)
    return [*found, *_routes(saved, now), *_rules(saved, now), *_remotes(saved, now)]


def _made(saved: State, now: State) -> Iterator[Difference]:
    for name in saved["scope"]:
        if name in now["links"] and name not in saved["links"]:
            yield Difference(f"link {name} was made", (("ip", "link", "del", "dev", name),))


def _gone(saved: State, now: State) -> Iterator[Difference]:
    for name in saved["scope"]:
        link = saved["links"].get(name)
        if link is not None and name not in now["links"]:
            yield Difference(f"link {name} is gone", _make(name, link))


def _make(name: str, link: dict[str, Any]) -> tuple[Command, ...]:
    words = _MAKE_WORDS.get(link["kind"] or "")
    if words is None:
        return ()
    lower = ("link", link["lower"]) if link["lower"] and link["kind"] != "vxlan" else ()
    given = [(word, link["info"][key]) for key, word in words.items() if key in link["info"]]
    # what ip says of a tunnel without a lifetime
    given = [(word, value) for word, value in given if not (word == "ttl" and value in (0, "auto"))]
    more = tuple(str(part) for pair in given for part in pair)
    return (("ip", "link", "add", "name", name, *lower, "type", link["kind"], *more),)


def _masters(saved: State, now: State) -> Iterator[Difference]:
    for name, link, other in _concerned(saved, now):
        before, after = link["master"], other["master"]
        if before != after:
            words = ("master", before) if before else ("nomaster",)
            yield Difference(f"link {name} is under {after}, not {before}", (("ip", "link", "set", name, *words),))


def _concerned(saved: State, now: State) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Links of the scope, and guests' links under it; those under another bridge were moved there by somebody else."""
    for name, before in saved["links"].items():
        after = now["links"].get(name)
        guest = before["master"] in saved["scope"] and after is not None and after["master"] in (None, before["master"])
        if after is not None and (name in saved["scope"] or guest):
            yield name, before, after


def _ports(saved: State, now: State) -> Iterator[Difference]:
    """What links have as ports of the bridge; and guests' links that a manager took down with it."""
    for name, before, after in _concerned(saved, now):
        has = after.get("port") or PORT_WORDS
        for word, value in before.get("port", {}).items():
            if has.get(word, value) != value:
                words = ("type", "bridge_slave", word, "on" if value else "off")
                yield Difference(f"{word} of {name} is not {words[-1]}", (("ip", "link", "set", name, *words),))
        if name not in saved["scope"] and before["up"] and not after["up"]:
            yield Difference(f"link {name} is not up", (("ip", "link", "set", name, "up"),))


def _both(saved: State, now: State) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for name in saved["scope"]:
        if name in saved["links"] and name in now["links"]:
            yield name, saved["links"][name], now["links"][name]


def _settings(saved: State, now: State) -> Iterator[Difference]:
    for name, before, after in _both(saved, now):
        if before["kind"] != "bridge" or after["kind"] != "bridge":
            continue
        for key, word in _BRIDGE_WORDS.items():
            value, other = before["info"].get(key), after["info"].get(key)
            if value is not None and value != other:
                text = f"{key} of {name} is {other}, not {value}"
                yield Difference(text, (("ip", "link", "set", name, "type", "bridge", word, str(int(value))),))


def _links(saved: State, now: State) -> Iterator[Difference]:
    for name, before, after in _both(saved, now):
        for key, word in (("mac", "address"), ("mtu", "mtu")):
            if before[key] is not None and before[key] != after[key]:
                text = f"{key} of {name} is {after[key]}, not {before[key]}"
                yield Difference(text, (("ip", "link", "set", name, word, str(before[key])),))
        if before["up"] != after["up"]:
            word = "up" if before["up"] else "down"
            yield Difference(f"link {name} is not {word}", (("ip", "link", "set", name, word),))


def _vlans(saved: State, now: State) -> Iterator[Difference]:
    for name, link, _after in _concerned(saved, now):
        own = ("self",) if link["kind"] == "bridge" else ()
        if not own and not link["master"]:
            continue  # its VLANs went with the bridge
        before, after = (_numbers(state["vlans"].get(name, [])) for state in (saved, now))
        commands: list[Command] = [
            ("bridge", "vlan", "del", "vid", str(number), "dev", name, *own)
            for number in sorted(set(after) - set(before))
        ]
        for number, flags in before.items():
            if after.get(number) != flags:
                commands.append(("bridge", "vlan", "add", "vid", str(number), "dev", name, *sorted(flags), *own))
        if commands:
            yield Difference(f"the VLANs of {name} are others", tuple(commands))


def _numbers(rows: list[dict[str, Any]]) -> dict[int, frozenset[str]]:
    words = {"PVID": "pvid", "Egress Untagged": "untagged"}
    found = {}
    for row in rows:
        flags = frozenset(words[flag] for flag in row.get("flags", []) if flag in words)
        found.update(dict.fromkeys(range(row["vlan"], row.get("vlanEnd", row["vlan"]) + 1), flags))
    return found


def _sysctls(saved: State, now: State) -> Iterator[Difference]:
    for path, value in saved["sysctls"].items():
        other = now["sysctls"].get(path)
        if other is not None and other != value:
            yield Difference(f"{path} is {other}, not {value}", ((WRITE, path, value),))


def _addresses(saved: State, now: State, passed_s: float) -> Iterator[Difference]:
    for name in saved["scope"]:
        if name not in saved["links"]:
            continue
        for family in ("inet", "inet6"):
            before = [row for row in saved["addresses"].get(name, []) if _counts(row, family)]
            after = [row for row in now["addresses"].get(name, []) if _counts(row, family)]
            yield from _of_one_link(name, before, after, passed_s)


def _counts(row: dict[str, Any], family: str) -> bool:
    """Temporary addresses of IPv6 come and go by themselves."""
    return row.get("family") == family and "local" in row and not row.get("temporary")


def _of_one_link(
    name: str, before: list[dict[str, Any]], after: list[dict[str, Any]], passed_s: float
) -> Iterator[Difference]:
    wanted, found = [_identity(row) for row in before], [_identity(row) for row in after]
    extra = [row for row in after if _identity(row) not in wanted and not _announced(row)]
    missing = [row for row in before if _identity(row) not in found]
    kept = [identity for identity in found if identity in wanted]
    if before and before[0]["family"] == "inet" and kept != wanted[: len(kept)]:
        # the first address of a network is the one that speaks for it, so the order is put right as well
        extra, missing = after, before
    commands: list[Command] = [("ip", "addr", "del", _words(row)[0], "dev", name) for row in extra]
    commands += [("ip", "addr", "add", *_words(row, passed_s), "dev", name) for row in missing]
    if commands:
        texts = [f"{_words(row)[0]} was added" for row in extra] + [f"{_words(row)[0]} is missing" for row in missing]
        yield Difference(f"addresses of {name}: {', '.join(texts)}", tuple(commands))


def _announced(row: dict[str, Any]) -> bool:
    """An address that a router announced meanwhile."""
    return row["family"] == "inet6" and bool(row.get("dynamic"))


def _identity(row: dict[str, Any]) -> tuple[Any, ...]:
    keys = ("local", "prefixlen", "address", "scope", "label", "broadcast", "noprefixroute")
    return tuple(row.get(key) for key in keys)


def _words(row: dict[str, Any], passed_s: float = 0) -> tuple[str, ...]:
    """The words of ip that make an address again; the first one is enough to remove it."""
    words = [f"{row['local']}/{row['prefixlen']}"]
    if "address" in row:
        words = [row["local"], "peer", f"{row['address']}/{row['prefixlen']}"]
    for key in ("broadcast", "scope", "label"):
        if key in row and not (key == "label" and row["family"] == "inet6"):
            words += [key, str(row[key])]
    if row.get("valid_life_time", _FOR_EVER) != _FOR_EVER:
        for key, word in (("valid_life_time", "valid_lft"), ("preferred_life_time", "preferred_lft")):
            words += [word, str(max(int(row[key] - passed_s), 1))]
    words += [key for key in ("noprefixroute", "mngtmpaddr") if row.get(key)]
    # nobody else has taken it within seconds, and the search for one would take a second
    return (*words, *(["nodad"] if row["family"] == "inet6" else []))


def _routes(saved: State, now: State) -> Iterator[Difference]:
    gone = {name for name in saved["scope"] if name not in saved["links"]}
    for family in "46":
        before = _unique(saved["routes"][family])
        after = _unique(now["routes"][family])
        for route in after:
            device = route_device(route)
            # with a link that is removed, its routes go
            if route not in before and device in saved["scope"] and device not in gone and not _by_itself(route):
                yield Difference(f"route {route} was added", (("ip", f"-{family}", "route", "del", *route.split()),))
        # a router has to be within reach before a route over it is accepted
        for route in sorted(before, key=lambda text: " via " in text):
            if route not in after and not _vanished(route, saved, now):
                # for IPv6, replace would take the place of another link's route to the same network
                verb = "replace" if family == "4" else "add"
                yield Difference(f"route {route} is missing", (("ip", f"-{family}", "route", verb, *route.split()),))


def _vanished(route: str, saved: State, now: State) -> bool:
    """Whether a route went with a link that is none of ours."""
    device = route_device(route)
    return device is not None and device not in saved["scope"] and not now["links"].get(device, {}).get("up")


def _unique(lines: list[str]) -> list[str]:
    routes = [plain_route(line) for line in lines]
    return list(dict.fromkeys(route for route in routes if route))


def plain_route(line: str) -> str:
    """A route of ip's output as ip takes it; empty for what the kernel makes by itself for an address."""
    words = line.replace("\\", " ").split()
    if re.search(r"\btable local\b", line) or words[0] in ("local", "broadcast", "anycast", "multicast"):
        return ""
    plain: list[str] = []
    while words:
        word = words.pop(0)
        if word in _PASSING:
            del words[: _PASSING[word]]
        else:
            plain.append(word)
    return " ".join(plain)


def route_device(route: str) -> str | None:
    """The first link of a route."""
    found = re.search(r"\bdev (\S+)", route)
    return found[1] if found else None


def _by_itself(route: str) -> bool:
    """What a router announced meanwhile, and what every link has that is up."""
    return bool(re.search(r"\bproto ra\b|^(fe80::/64|ff00::/8) ", route))


def _rules(saved: State, now: State) -> Iterator[Difference]:
    for family in "46":
        before, after = ([_rule(line) for line in state["rules"][family]] for state in (saved, now))
        for rule in after:
            named = re.findall(r"\b[io]if (\S+)", rule)
            if rule not in before and any(name in saved["scope"] for name in named):
                yield Difference(f"rule {rule} was added", (("ip", f"-{family}", "rule", "del", *rule.split()),))
        for rule in before:
            if rule not in after:
                yield Difference(f"rule {rule} is missing", (("ip", f"-{family}", "rule", "add", *rule.split()),))


def _rule(line: str) -> str:
    number, _colon, rest = line.partition(":")
    return f"pref {number} {rest.replace('[detached]', '').strip()}"


def _remotes(saved: State, now: State) -> Iterator[Difference]:
    for verb, rows, others, word in (("append", saved, now, "missing"), ("del", now, saved, "new")):
        for line in rows["fdb"]:
            words = line.split()
            if line not in others["fdb"] and words[2] in saved["links"]:
                command = ("bridge", "fdb", verb, *(part for part in words if part != "permanent"))
                yield Difference(f"the peer {line} is {word}", (command,))
