# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lean guest with a kernel of its own, whose modules a test may load and unload, and our modules run in it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from .daemon import Daemon
from .guest import Guest, ensure_lan, reserve_address
from .guest_image import guest_image, make_key, ssh_command
from .module import Result, parse_answer
from .remote_modules import RemoteModules, copy_modules, server_code

_PR_CAPBSET_DROP = 24  # linux/prctl.h
_ADDRESS = "198.51.100.150"
_MAC = "52:54:00:00:65:01"

_DOMAIN = """
<domain type='qemu'><name>kernel</name><memory unit='MiB'>512</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type>
<kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{cmdline}</cmdline></os>
<features><acpi/></features><cpu mode='custom' match='exact'><model fallback='allow'>EPYC</model></cpu>
<devices><interface type='network'><source network='lan'/><model type='virtio'/><mac address='{mac}'/></interface>
<serial type='pty'><log file='{log}'/></serial></devices></domain>
"""


class KernelGuest:
    """A guest of the daemon with AMD's virtualisation and an empty modprobe.d; booted when it is made."""

    def __init__(self, daemon: Daemon, directory: Path, more_cmdline: str = "") -> None:
        self._daemon, self._key, self._directory = daemon, make_key(directory), directory
        image, log = guest_image(), directory / "console.log"
        public = base64.b64encode(self._key.with_suffix(".pub").read_bytes().strip()).decode()
        cmdline = f"{image.cmdline} nestbox.ssh_key={public} {more_cmdline}"
        xml = _DOMAIN.format(kernel=image.kernel, initrd=image.initrd, cmdline=cmdline, mac=_MAC, log=log)
        ensure_lan(daemon)
        reserve_address(daemon, _MAC, _ADDRESS)
        guest = Guest(daemon, xml, name="kernel", mac=_MAC, key=self._key, log=log, address=_ADDRESS)
        guest.wait("ssh", lambda: daemon.exec(*self._ssh("true"), check=False).returncode == 0)
        copy_modules(self._argv)
        self._modules = RemoteModules(self._argv, "kernel_module")

    def close(self) -> None:
        """Ends the module server; the guest ends with the daemon."""
        self._modules.close()
        self._daemon.exec(*self._ssh("-O", "exit"), check=False)

    def run_module(self, name: str, args: dict[str, Any], *, check: bool = False, user: str | None = None) -> Result:
        """As tests.bench.module.run_module, inside the guest."""
        return self._modules.run(name, args, check=check, user=user)

    def run_module_once(self, name: str, args: dict[str, Any], *, without_capability: int) -> Result:
        """The module in a process of its own that lacks a capability, as in a container."""
        drop = f"import ctypes, os; ctypes.CDLL(None).prctl({_PR_CAPBSET_DROP}, {without_capability}, 0, 0, 0);"
        code = server_code("kernel_module")
        script = f"python3 -c \"{drop} os.execv('/usr/bin/python3', ['python3', '-c', \\\"{code}\\\"])\""
        request = {"name": name, "args": {**args, "_ansible_remote_tmp": "/tmp"}, "env": {}, "user": None}
        return parse_answer(name, self.shell(script, data=json.dumps(request).encode() + b"\n").encode())

    def shell(self, script: str, *, check: bool = True, data: bytes | None = None, encoding: str = "utf-8") -> str:
        """What a shell script prints, errors too. `modprobe` alone would be busybox's: write /usr/sbin/modprobe."""
        done = subprocess.run(self._argv(script), input=data, capture_output=True, check=False)
        output = (done.stdout + done.stderr).decode(encoding, errors="replace")
        assert not check or done.returncode == 0, f"{script}: {done.returncode}: {output}"
        return output

    def write(self, path: str, text: str) -> None:
        """Writes a file in the guest."""
        self.shell(f"mkdir -p {os.path.dirname(path)}; cat > {path}", data=text.encode())

    def _argv(self, *command: str) -> list[str]:
        return [*self._daemon.enter_command, *self._ssh(*command)]

    def _ssh(self, *command: str) -> list[str]:
        """Over one connection that is kept: each new one would cost the guest half a second."""
        program, *rest = ssh_command(self._key, _ADDRESS, command)
        keep = [f"ControlPath={self._directory}/ssh", "ControlMaster=auto", "ControlPersist=yes"]
        return [program, *(word for setting in keep for word in ("-o", setting)), *rest]
