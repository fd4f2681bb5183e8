# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian guest as a host whose kernel and files are compared, and in which modules run without a playbook."""

from __future__ import annotations

from typing import Any

from .debian_guest import DebianGuest
from .guest_image import ssh_command
from .module import Result
from .network_namespace import READ, settled, without_counters
from .remote_modules import RemoteModules, copy_modules

# what managers read and the module keeps; all of /etc is looked at in the containers (managed_host.py)
_TREES = "/etc/NetworkManager /etc/network /etc/resolv.conf /etc/systemd /etc/sysctl.d /var/lib/nestbox.virt"
_TREES += " /run/NetworkManager/system-connections /run/nestbox.virt /run/network /run/systemd/network"
# nothing writes to a file without another time of change (%C@), and its content takes emulation longer to read
_FILES = f"find {_TREES} -printf '%p %T@ %C@ %i %m %s\\n' 2>/dev/null; true"


class GuestHost:
    """The guest is booted; `modules` are those that will be run."""

    def __init__(self, guest: DebianGuest, *modules: str) -> None:
        self.guest = guest
        self._names = modules
        copy_modules(self._argv)
        self._modules = RemoteModules(self._argv, *modules)

    def close(self) -> None:
        """Ends the process that runs modules."""
        self._modules.close()

    def reboot(self) -> None:
        """Boots the guest again."""
        self.close()
        self.guest.reboot()
        self._modules = RemoteModules(self._argv, *self._names)

    def run_module(self, name: str, args: dict[str, Any], *, check: bool = False, user: str | None = None) -> Result:
        """The result of a module in it."""
        return self._modules.run(name, args, check=check, user=user)

    def state(self) -> str:
        """Kernel and files as one text."""
        return without_counters(self.guest.call("; ".join((*READ, _FILES))))

    def settled(self) -> str:
        """The state when nothing changes any more."""
        return settled(self.state)

    def _argv(self, *command: str) -> list[str]:
        ssh = ssh_command(self.guest.key, self.guest.address, command, more=self.guest.ssh_more)
        return [*self.guest.daemon.enter_command, *ssh]
