# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run inside the bench's Debian guest: a nested guest of type kvm, and what the CPU in it can do.

usage: nested_guest.py start|look       look: its state, what tells one boot from another, and the flags of its CPU
"""

from __future__ import annotations

import base64
import json
import sys
import time

import libvirt
import libvirt_qemu

NAME = "nested"
TIMEOUT_S = 300
DOMAIN = f"""
<domain type='kvm'><name>{NAME}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>/var/lib/libvirt/images/vmlinux</kernel>
<initrd>/var/lib/libvirt/images/initrd.img</initrd><cmdline>console=ttyS0 quiet mitigations=off</cmdline></os>
<features><acpi/><apic/></features><cpu mode='host-passthrough'/>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/><memballoon model='none'/>
<serial type='pty'><log file='/var/log/libvirt/qemu/nested-console.log'/></serial>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>
"""


def ask(domain: libvirt.virDomain, command: str, **arguments: object) -> object:
    """The agent's answer; asked again until it runs."""
    deadline = time.monotonic() + TIMEOUT_S
    request = json.dumps({"execute": command, "arguments": arguments})
    while True:
        try:
            return json.loads(libvirt_qemu.qemuAgentCommand(domain, request, 10, 0))["return"]
        except libvirt.libvirtError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"no agent within {TIMEOUT_S} s: {error}") from error
            time.sleep(0.5)


def read(domain: libvirt.virDomain, path: str) -> str:
    """A file of the nested guest."""
    handle = ask(domain, "guest-file-open", path=path)
    answer = ask(domain, "guest-file-read", handle=handle, count=8192)
    ask(domain, "guest-file-close", handle=handle)
    return base64.b64decode(answer["buf-b64"]).decode()


def main() -> None:
    """The command line."""
    connection = libvirt.open("qemu:///system")
    if sys.argv[1] == "start":
        connection.defineXML(DOMAIN).create()
        return
    domain = connection.lookupByName(NAME)
    flags = next(line for line in read(domain, "/proc/cpuinfo").splitlines() if line.startswith("flags"))
    found = {
        "running": bool(domain.isActive()),
        "boot": read(domain, "/proc/sys/kernel/random/boot_id").strip(),
        "svm": "svm" in flags.split(),
    }
    print(json.dumps(found))


main()
