#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nestbox.virt.hypervisor_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hypervisor_info
short_description: Read what a machine is as a hypervisor
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Reports processors, memory, KVM and who may use it, nested virtualisation as declared, for the next load and live,
    IOMMU, memory encryption, cgroups, libvirt, QEMU, and what C(virt-host-validate) says.
  - It works on a bare machine too. What can't be read is null, and RV(hypervisor.reasons) says why.
  - It changes nothing, and loads no kernel module. Root sees everything; another user gets null for what is hidden.
options:
  uri:
    description: The libvirt connection that is asked.
    type: str
    default: qemu:///system
  validate:
    description:
      - Whether C(virt-host-validate) is run for the driver of O(uri). It has checks for C(qemu), C(lxc), C(bhyve) and
        C(ch).
    type: bool
    default: true
extends_documentation_fragment:
  - nestbox.virt.attributes.info
seealso:
  - module: nestbox.virt.kernel_module
"""

EXAMPLES = r"""
- name: Look at the host
  nestbox.virt.hypervisor_info:
  register: host

- name: Stop where guests would be emulated
  ansible.builtin.assert:
    that: host.hypervisor.kvm.usable_by_qemu
    fail_msg: "{{ host.hypervisor.kvm.reason or 'QEMU may not open /dev/kvm' }}"

- name: Name the hosts whose nested virtualisation changes with the next load
  ansible.builtin.debug:
    msg: "live {{ host.hypervisor.nested.live }}, then {{ host.hypervisor.nested.effective }}"
  when: host.hypervisor.nested.live != host.hypervisor.nested.effective

- name: Show what virt-host-validate holds against the host
  ansible.builtin.debug:
    msg: "{{ host.hypervisor.validation | rejectattr('result', 'equalto', 'pass') }}"
  when: host.hypervisor.validation is not none
"""

RETURN = r"""
hypervisor:
  description: The machine.
  returned: success
  type: dict
  contains:
    cpu:
      description:
        - The processors, with C(architecture), C(vendor), C(model), C(virtualization) (V(svm), V(vmx) or null),
          C(sockets), C(cores), C(threads) and C(numa_nodes), each with C(id), C(cpus) and C(memory_kib).
      type: dict
      sample:
        architecture: x86_64
        vendor: AMD
        model: AMD EPYC 7763 64-Core Processor
        virtualization: svm
        sockets: 1
        cores: 64
        threads: 128
        numa_nodes: [{id: 0, cpus: 0-127, memory_kib: 263814144}]
    memory:
      description:
        - C(total_kib), C(available_kib), C(hugepage_default_kib), and C(hugepages), one entry a size with C(size_kib)
          and the pages C(total), C(free), C(surplus) and C(reserved).
      type: dict
      sample:
        total_kib: 263814144
        available_kib: 250000000
        hugepage_default_kib: 2048
        hugepages: [{size_kib: 2048, total: 512, free: 500, surplus: 0, reserved: 0}]
    kvm:
      description: KVM.
      type: dict
      contains:
        module:
          description: The kernel module for this CPU, V(kvm_amd) or V(kvm_intel); null when the CPU has neither.
          type: str
          sample: kvm_amd
        loaded:
          description: Whether that module is loaded or built in.
          type: bool
        device:
          description: C(mode), C(owner) and C(group) of C(/dev/kvm); null when there is no such device.
          type: dict
          sample: {mode: "0660", owner: root, group: kvm}
        usable:
          description: Whether the user of the task can open the device and KVM answers there.
          type: bool
        reason:
          description: Why not; null when it is usable.
          type: str
          sample: "/dev/kvm: No such file or directory"
        qemu_user:
          description: The user that libvirt runs QEMU as; null when there is none yet.
          type: str
          sample: libvirt-qemu
        usable_by_qemu:
          description: Whether QEMU can use KVM as that user; null when it is not known.
          type: bool
        usable_by_qemu_known_from:
          description:
            - V(libvirt) when the daemon answered, which has run QEMU as that user. V(mode) when it follows from owner,
              group and mode of the device.
          type: str
          sample: libvirt
    nested:
      description: Nested virtualisation.
      type: dict
      contains:
        module:
          description: The kernel module that decides, or null.
          type: str
          sample: kvm_amd
        declared:
          description:
            - Every place that sets it, in the order in which C(modprobe) reads them, with C(value), C(file) and
              C(line). The line is null for the kernel's command line.
          type: list
          elements: dict
          sample: [{value: "1", file: /etc/modprobe.d/kvm_amd.conf, line: 1}]
        effective:
          description: What the next load of the module uses. Null without a module.
          type: bool
        effective_from:
          description: The place that decides, as V(FILE:LINE), or V(default) for the module's own default.
          type: str
          sample: /etc/modprobe.d/kvm_amd.conf:1
        live:
          description: What the running kernel has; null when the module is not loaded.
          type: bool
    iommu:
      description:
        - C(enabled), the C(units) and C(kernel_options) that have to do with it, and the C(groups), each with C(id)
          and the addresses of its C(devices).
      type: dict
      sample:
        enabled: true
        units: [ivhd0]
        kernel_options: [iommu=pt]
        groups: [{id: 0, devices: ["0000:00:01.0"]}]
    encryption:
      description:
        - For V(sev), V(sev_es), V(sev_snp) and V(tdx), whether the CPU shows it (C(supported)) and whether KVM has it
          on (C(enabled), null when the kernel does not say).
      type: dict
      sample: {sev: {supported: true, enabled: false}}
    cgroup_version:
      description: V(2) for the single hierarchy, V(1) for the older or a mixed one, null without cgroups.
      type: int
      sample: 2
    drivers:
      description: The drivers of libvirt's daemon that are installed.
      type: list
      elements: str
      sample: [network, nodedev, qemu, storage]
    libvirt:
      description:
        - What the daemon says, with C(uri), C(driver), C(version), C(hypervisor_version) (that of QEMU with the driver
          C(qemu)), and C(guests), one entry a kind with C(os_type), C(architecture), C(domain_types) and C(emulator).
        - Null when it can't be asked.
      type: dict
      sample:
        uri: qemu:///system
        driver: qemu
        version: 9.0.0
        hypervisor_version: 7.2.22
        guests:
          - {os_type: hvm, architecture: x86_64, domain_types: [qemu, kvm], emulator: /usr/bin/qemu-system-x86_64}
    validation:
      description:
        - What C(virt-host-validate) says, one entry a check with C(check), C(result) (V(pass), V(note), V(warning) or
          V(fail)) and C(advice).
        - Null when it was not run.
      type: list
      elements: dict
      sample:
        - check: for hardware virtualization
          result: pass
          advice: null
    reasons:
      description: Why V(libvirt) and V(validation) are null, as far as that was not asked for.
      type: dict
      sample: {validation: "The program virt-host-validate is not on this host."}
"""

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._hypervisor.report import read_hypervisor
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_local_info

SPEC: ArgumentSpec = CONNECTION + ArgumentSpec(options={"validate": {"type": "bool", "default": True}})


def main() -> None:
    """Runs the module."""
    run_local_info(SPEC, read_hypervisor)


if __name__ == "__main__":
    main()
