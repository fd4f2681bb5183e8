# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of domain_options.spec.COMPUTE."""

from __future__ import annotations


class ModuleDocFragment:
    """Memory, vCPUs and the CPU."""

    DOCUMENTATION = r"""
options:
  memory:
    description:
      - The memory of the guest, such as V(2 GiB). A number without a unit counts in MiB.
      - The default for a new domain is 1 GiB.
    type: str
  maximum_memory:
    description:
      - Up to this size the memory can grow while the domain runs. Changing it needs a restart.
      - The default is O(memory), when that is given.
    type: str
  vcpus:
    description: The number of virtual CPUs. The default for a new domain is 1.
    type: int
  maximum_vcpus:
    description:
      - Up to this number CPUs can be added while the domain runs. Changing it needs a restart.
      - The default is O(vcpus), when that is given.
    type: int
  cpu:
    description:
      - The CPU that the guest sees. The default for a new domain is V(host-passthrough) with KVM, and V(maximum)
        with emulation.
    type: dict
    suboptions:
      mode:
        description: Where the model comes from.
        type: str
        choices: [custom, host-model, host-passthrough, maximum]
      model:
        description: The name of the model, such as V(EPYC), with O(cpu.mode=custom).
        type: str
      check:
        description: How strictly libvirt compares the CPU that the guest really got.
        type: str
        choices: [none, partial, full]
      migratable:
        description: Whether features that stand in the way of a migration are left out, with V(host-passthrough) or
          V(maximum).
        type: bool
      features:
        description: Single features. The list is the whole list.
        type: list
        elements: dict
        suboptions:
          name:
            description: The feature's name, such as V(svm).
            type: str
            required: true
          policy:
            description: What is done about it.
            type: str
            choices: [force, require, optional, disable, forbid]
            default: require
      topology:
        description: How the CPUs are spread. The product must be O(maximum_vcpus). What is left out is 1.
        type: dict
        suboptions:
          sockets:
            description: The number of sockets.
            type: int
          dies:
            description: The number of dies in each socket.
            type: int
          cores:
            description: The number of cores in each die.
            type: int
          threads:
            description: The number of threads in each core.
            type: int
  nested:
    description:
      - Whether the guest can be a hypervisor itself. This is the CPU feature C(vmx) or C(svm), by the model or the
        host.
      - The host's kernel module must allow it (its parameter C(nested)).
    type: bool
"""
