# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of domain_options.spec.INTERFACES."""

from __future__ import annotations


class ModuleDocFragment:
    """Network interfaces."""

    DOCUMENTATION = r"""
options:
  interfaces:
    description:
      - The domain's network interfaces. The list is the whole list; an empty list means no interfaces.
      - An interface is recognised by its O(interfaces[].mac), then its O(interfaces[].alias), then its source and
        position. Each has
        exactly one of O(interfaces[].network), O(interfaces[].bridge), O(interfaces[].direct) and O(interfaces[].user).
    type: list
    elements: dict
    suboptions:
      network:
        description: The name of a libvirt network.
        type: str
      bridge:
        description: The name of a bridge of the host.
        type: str
      direct:
        description: The name of a network device of the host to attach to directly (macvtap).
        type: str
      user:
        description: Whether the interface is one in user mode, which needs no rights and can't be reached from outside.
        type: bool
      direct_mode:
        description:
          - How guests on the same device of the host reach each other. The default for a new interface is V(bridge).
        type: str
        choices: [vepa, bridge, private, passthrough]
      portgroup:
        description: A port group of O(interfaces[].network).
        type: str
      virtualport:
        description: The kind of switch that the bridge is, when it is not the kernel's own.
        type: str
        choices: [openvswitch]
      mac:
        description: The MAC address. Without it libvirt chooses one, which then stays.
        type: str
      model:
        description: The model that the guest sees. The default for a new interface is V(virtio).
        type: str
      queues:
        description: The number of queues of a V(virtio) interface.
        type: int
      vlan:
        description: VLAN tags, on an Open vSwitch bridge. More than one make a trunk.
        type: list
        elements: int
      mtu:
        description: The MTU in bytes.
        type: int
      link:
        description: Whether the cable is plugged in.
        type: str
        choices: [up, down]
      target:
        description: The name of the device on the host. libvirt drops names that begin with V(vnet).
        type: str
      boot_order:
        description: The place of this interface in the boot order, from 1. It excludes O(boot_order) of the domain.
        type: int
      alias:
        description: A name of your own for the device. It begins with V(ua-).
        type: str
"""
