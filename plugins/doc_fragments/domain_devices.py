# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of domain_options.spec.DEVICES."""

from __future__ import annotations


class ModuleDocFragment:
    """Graphics, console, agent and the other devices."""

    DOCUMENTATION = r"""
options:
  graphics:
    description:
      - The screens. The list is the whole list; an empty list means none.
      - The default for a new domain on x86 is one V(vnc) that only the hypervisor itself can reach.
    type: list
    elements: dict
    suboptions:
      type:
        description: The protocol.
        type: str
        choices: [vnc, spice, egl-headless]
        default: vnc
      listen:
        description: The address that it listens on. The default is libvirt's, usually V(127.0.0.1).
        type: str
      port:
        description: The port. Without it libvirt takes a free one at each start.
        type: int
      websocket:
        description: The port for web sockets, with V(vnc). V(-1) takes a free one.
        type: int
      keymap:
        description: The layout of the keyboard, such as V(en-us).
        type: str
  video:
    description: The video card. When it is named, it is the only one.
    type: dict
    suboptions:
      model:
        description: The model. V(none) means that there is no card.
        type: str
        required: true
        choices: [virtio, vga, qxl, cirrus, bochs, ramfb, vmvga, xen, none]
      heads:
        description: The number of screens.
        type: int
      vram_kib:
        description: The video memory in KiB.
        type: int
      accel3d:
        description: Whether 3D is accelerated.
        type: bool
  console:
    description:
      - The serial console. When it is named, it is the only serial port. A new domain has one.
    type: dict
    suboptions:
      type:
        description: Where the host finds it. V(pty) goes with C(virsh console). V(none) means that there is no
          serial port.
        type: str
        choices: [pty, unix, file, tcp, none]
        default: pty
      path:
        description: The path of the socket with O(console.type=unix), of the file with O(console.type=file).
        type: path
      host:
        description: The address to listen on with O(console.type=tcp).
        type: str
      port:
        description: The port to listen on with O(console.type=tcp).
        type: int
      log:
        description: A file on the hypervisor into which all output is written too.
        type: path
      log_append:
        description: Whether the log goes on at the next start, instead of beginning anew.
        type: bool
  agent:
    description: Whether there is a channel for the QEMU guest agent. A new domain has one.
    type: bool
  rng:
    description: A source of random numbers for the guest. A new domain has one.
    type: dict
    suboptions:
      backend:
        description: V(random) reads O(rng.device). V(builtin) uses QEMU's own. V(none) means that there is no such
          device.
        type: str
        choices: [random, builtin, none]
        default: random
      device:
        description: The device of the host. The default is libvirt's, V(/dev/urandom).
        type: path
      bytes:
        description: How many bytes the guest may read in each O(rng.period).
        type: int
      period:
        description: The period in milliseconds. The default is libvirt's, one second.
        type: int
  watchdog:
    description: A watchdog device.
    type: dict
    suboptions:
      model:
        description: The model. V(none) means that there is no watchdog.
        type: str
        required: true
        choices: [i6300esb, ib700, diag288, itco, none]
      action:
        description: What is done when the guest no longer feeds it. The default is libvirt's, V(reset).
        type: str
        choices: [reset, shutdown, poweroff, pause, none, dump, inject-nmi]
  filesystems:
    description:
      - Directories of the hypervisor that the guest can mount. The list is the whole list; an empty list means none.
      - V(virtiofs) lets the guest's memory be shared with the server process, which needs a restart.
    type: list
    elements: dict
    suboptions:
      driver:
        description: How it is shared. The default is libvirt's, V(9p).
        type: str
        choices: [virtiofs, 9p]
      source:
        description: The directory on the hypervisor.
        type: path
        required: true
      target:
        description: The tag that the guest mounts, or, in a container, the directory.
        type: str
        required: true
      access_mode:
        description: How owners and modes are kept, with V(9p).
        type: str
        choices: [passthrough, mapped, squash]
      readonly:
        description: Whether the guest can only read.
        type: bool
  host_devices:
    description:
      - Devices of the hypervisor that are handed to the guest. The list is the whole list; an empty list means none.
      - Each has exactly one of O(host_devices[].pci), O(host_devices[].usb) and O(host_devices[].mdev).
    type: list
    elements: dict
    suboptions:
      pci:
        description: A PCI address as C(lspci -D) prints it, such as V(0000:03:00.0).
        type: str
      usb:
        description: Vendor and product as C(lsusb) prints them, such as V(046d:c52b), or bus and device, such as
          V(1.4).
        type: str
      mdev:
        description: The UUID of a mediated device.
        type: str
      managed:
        description: Whether libvirt takes a PCI device from its driver, and gives it back.
        type: bool
      model:
        description: The model of a mediated device. The default is V(vfio-pci).
        type: str
        choices: [vfio-pci, vfio-ccw, vfio-ap]
      boot_order:
        description: The place of this device in the boot order, from 1. It excludes O(boot_order) of the domain.
        type: int
      alias:
        description: A name of your own for the device. It begins with V(ua-).
        type: str
"""
