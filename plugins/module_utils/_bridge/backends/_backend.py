# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every network manager can be asked. Rendering and activation are separate, and rendering is pure.

Private to this collection.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..commands import Command
from ..kernel import Kernel
from ..model import Declaration, Layer3
from ..target import PortConfiguration, Target

Files = Mapping[str, bytes]  # path: content
Changes = dict[str, "bytes | None"]  # path: content, or None for a file that is to go

MARK = "nestbox"  # in the name of every file that is ours alone
_WITH_SECRETS = ("/etc/NetworkManager", "/etc/netplan", "/run/NetworkManager")
_SECRET = re.compile(
    r"^(\s*[\w.-]*(?:password|psk|secret|pin|wep-key|private-key)[\w.-]*)\s*[=:].*$", re.MULTILINE | re.IGNORECASE
)
HEADER = "# Written by nestbox.virt.bridge for {name}. Change the task, not this file.\n"


@dataclass(frozen=True)
class Change:
    """What was changed, for the commands that make a manager take it."""

    name: str  # of the bridge
    present: bool
    ports: tuple[str, ...]  # plain ports that are under the bridge now
    released: tuple[str, ...]  # plain ports that no longer are
    files: Mapping[str, bytes | None]
    joined: tuple[str, ...] = ()  # those of the ports that were elsewhere before
    created: bool = False  # the bridge was not there before
    lost_lease: bool = False  # it is to have an address by DHCP, and has none
    was: Layer3 = field(default_factory=Layer3)  # what was written last of its addresses
    now: Layer3 = field(default_factory=Layer3)
    written: Declaration | None = None  # the whole of what is written now
    kernel: Kernel = field(default_factory=Kernel)  # as it was before


@dataclass(frozen=True)
class Activation:
    """Commands to run before the files are written, and after."""

    before: tuple[Command, ...] = ()
    after: tuple[Command, ...] = ()
    may_fail: tuple[Command, ...] = ()  # the kernel is looked at afterwards in any case
    inputs: Mapping[Command, str] = field(default_factory=dict)  # what a command reads


@dataclass(frozen=True)
class Backend:
    """A network manager. `root` is / but for tests."""

    root: str = "/"
    name: str = field(default="", init=False)
    waits: bool = field(default=False, init=False)  # whether its commands end only when their work is done
    remakes: bool = field(default=True, init=False)  # whether it makes a link again that it made once and that went

    def available(self) -> bool:
        """Whether this host runs it, or would at its next boot."""
        raise NotImplementedError

    def claims(self, port: str, kernel: Kernel, files: Files) -> str | None:
        """Where it says that it configures a link by itself, or None."""
        raise NotImplementedError

    def read(self) -> Files:
        """Its configuration files."""
        raise NotImplementedError

    def port_configuration(self, port: str, kernel: Kernel, files: Files) -> PortConfiguration:
        """What its files say of a link and the kernel can't."""
        raise NotImplementedError

    def defines(self, bridge: str, files: Files) -> str | None:
        """Where the files of somebody else make a bridge, or None."""
        raise NotImplementedError

    def gives(self, port: str, kernel: Kernel, files: Files) -> bool:
        """Whether the files of somebody else give a link an address, or ask for one."""
        raise NotImplementedError

    def sets_up(self, port: str, kernel: Kernel, files: Files) -> bool:
        """Whether a link gets what it has by these files, also where they are not in use for it right now."""
        return bool(self.claims(port, kernel, files)) or self.gives(port, kernel, files)

    def check(self, declaration: Declaration) -> None:
        """Raises UnsupportedError for what it can't do on this host."""

    def render(self, target: Target, kernel: Kernel, files: Files) -> Changes:
        """The files that differ from `files`, which have nothing of this bridge by us; raises UnsupportedError."""
        raise NotImplementedError

    def activate(self, change: Change) -> Activation:
        """What makes it take the files."""
        raise NotImplementedError

    def restore_commands(self, change: Change, ports: Iterable[str]) -> list[Command]:
        """What to run after the old files were put back, on a host that may be cut off; any of them may fail."""
        raise NotImplementedError

    def mode(self, path: str) -> int:
        """The rights of a new file."""
        return 0o644 if path else 0

    def path(self, *parts: str) -> str:
        """An absolute path below root."""
        return os.path.join(self.root, *(part.lstrip("/") for part in parts))

    def read_directory(self, *directories: str, suffixes: tuple[str, ...]) -> dict[str, bytes]:
        """The files of directories by the paths that the host knows them by."""
        found = {}
        for directory in directories:
            try:
                names = sorted(os.listdir(self.path(directory)))
            except OSError:
                continue
            for name in names:
                path = os.path.join(directory, name)
                if name.endswith(suffixes) and os.path.isfile(self.path(path)):
                    with open(self.path(path), "rb") as file:
                        found[path] = file.read()
        return found

    def exists(self, *paths: str) -> bool:
        """Whether one of the paths is there."""
        return any(os.path.lexists(self.path(path)) for path in paths)


def is_made(path: str) -> bool:
    """Whether a file is ours, or what netplan made of its own."""
    return any(word in os.path.basename(path) for word in (MARK, "netplan-"))


def text_of(content: bytes) -> str:
    """A file as text; what is not UTF-8 survives the way there and back."""
    return content.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """The way back of text_of."""
    return text.encode("utf-8", "surrogateescape")


def shown(path: str, content: bytes | None) -> str | None:
    """A file for the diff, without the secrets that a keyfile of NetworkManager may hold."""
    if content is None:
        return None
    text = content.decode("utf-8", "replace")
    return _SECRET.sub(r"\1=(not shown)", text) if path.startswith(_WITH_SECRETS) else text
