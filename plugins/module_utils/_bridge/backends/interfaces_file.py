# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of interfaces(5), as stanzas that give the same text again; pure. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_STARTS = re.compile(
    r"^\s*(iface|auto|allow-\S+|mapping|source|source-directory|no-auto-down|no-scripts|template|rename|vlan)\b"
)
_LISTS = re.compile(r"^(\s*)(auto|allow-\S+|no-auto-down|no-scripts)\s+(.*?)\s*$")
# what belongs to addresses; the rest (MTU, bonding, offloads …) is the link's own
_LAYER3 = re.compile(
    r"^(address|netmask|broadcast|network|gateway|metric|pointopoint|scope|hostname|leasehours|leasetime|vendor|client"
    r"|dns-\S+|dns_\S+|dad-\S+|accept_ra|autoconf|privext|request_prefix|ll-\S+|preferred-lifetime|ipv6-\S+|vrf)$"
)
_HOOKS = ("pre-up", "up", "post-up", "pre-down", "down", "post-down")
_LAYER3_COMMAND = re.compile(r"(^|/|\s)(ip\s+(-\S+\s+)*(route|r|ro|addr|address|a|rule|ru)|route|ifconfig)\s")


@dataclass
class Stanza:
    """A line that starts something, with all that belongs to it; comments and empty lines too."""

    lines: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """The words of the first line; none for what stands before the first stanza."""
        return _joined(self.lines)[0].split() if self.lines and _STARTS.match(self.lines[0]) else []

    @property
    def options(self) -> Iterator[tuple[str, str]]:
        """The options of an iface stanza."""
        for line in _joined(self.lines)[1:]:
            text = line.strip()
            if text and not text.startswith("#"):
                name, _space, value = text.partition(" ")
                yield name, value.strip()

    def is_iface(self, name: str) -> bool:
        """Whether it is `iface NAME …`."""
        return self.words[:2] == ["iface", name]


def parse(text: str) -> list[Stanza]:
    """The stanzas of a file; what stands before the first one is a stanza without words."""
    stanzas = [Stanza()]
    continued = False
    for line in text.splitlines(keepends=True):
        if _STARTS.match(line) and not continued:
            stanzas.append(Stanza())
        stanzas[-1].lines.append(line)
        continued = line.rstrip("\n").endswith("\\") and not line.lstrip().startswith("#")
    return [stanza for stanza in stanzas if stanza.lines]


def text_of(stanzas: list[Stanza]) -> str:
    """The file."""
    return "".join(line for stanza in stanzas for line in stanza.lines)


def ifaces(text: str, name: str) -> list[Stanza]:
    """The iface stanzas of a link."""
    return [stanza for stanza in parse(text) if stanza.is_iface(name)]


def without(text: str, name: str) -> str:
    """The file without a link at all."""
    stanzas = []
    for stanza in parse(text):
        if stanza.is_iface(name):
            stanzas.append(Stanza(_trailing(stanza.lines)))
        else:
            stanzas.append(_unlisted(stanza, name))
    return text_of(stanzas)


def without_addresses(text: str, name: str) -> str:
    """The file with a link that has no addresses: its first stanza is `manual`, and the others are gone."""
    stanzas = []
    first = True
    for stanza in parse(text):
        if not stanza.is_iface(name):
            stanzas.append(stanza)
        elif first:
            stanzas.append(_manual(stanza))
            first = False
        else:
            stanzas.append(Stanza(_trailing(stanza.lines)))
    return text_of(stanzas)


def _manual(stanza: Stanza) -> Stanza:
    lines = [re.sub(r"^(\s*iface\s+\S+).*?(\n?)$", r"\1 inet manual\2", stanza.lines[0], flags=re.DOTALL)]
    dropping = False
    continued = stanza.lines[0].rstrip("\n").endswith("\\")
    for line in stanza.lines[1:]:
        if not continued:
            dropping = _of_layer3(line)
        continued = line.rstrip("\n").endswith("\\")
        if not dropping:
            lines.append(line)
    return Stanza(lines)


def _of_layer3(line: str) -> bool:
    name, _space, value = line.strip().partition(" ")
    return bool(_LAYER3.match(name)) or (name in _HOOKS and bool(_LAYER3_COMMAND.search(" " + value + " ")))


def _unlisted(stanza: Stanza, name: str) -> Stanza:
    """The stanza without a name in `auto` or `allow-…`; an empty list is no line at all."""
    match = _LISTS.match(stanza.lines[0].rstrip("\n"))
    if match is None or name not in match[3].split():
        return stanza
    left = [word for word in match[3].split() if word != name]
    first = [f"{match[1]}{match[2]} {' '.join(left)}\n"] if left else []
    return Stanza(first + stanza.lines[1:])


def _trailing(lines: list[str]) -> list[str]:
    """The comments and empty lines at the end, which belong to what follows."""
    start = len(lines)
    while start > 1 and (not lines[start - 1].strip() or lines[start - 1].startswith("#")):
        start -= 1
    return lines[start:]


def _joined(lines: list[str]) -> list[str]:
    """The lines with continuations put together."""
    found: list[str] = []
    continued = False
    for line in lines:
        bare = line.rstrip("\n")
        if continued:
            found[-1] += " " + bare.rstrip("\\")
        else:
            found.append(bare.rstrip("\\"))
        continued = bare.endswith("\\")
    return found
