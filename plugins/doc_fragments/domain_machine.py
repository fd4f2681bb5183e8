# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of domain_options.spec.MACHINE."""

from __future__ import annotations


class ModuleDocFragment:
    """The machine: type, firmware, TPM, boot."""

    DOCUMENTATION = r"""
options:
  type:
    description:
      - How the domain is run.
      - The default for a new domain is V(kvm) when the host can use it, else V(qemu) (emulation); other drivers have
        a type of their own.
    type: str
    choices: [kvm, qemu, hvf, xen, lxc, test, vmware, bhyve, vz]
  os_type:
    description:
      - What the domain boots. The default for a new domain is V(hvm), for a container V(exe).
    type: str
    choices: [hvm, xen, xenpvh, linux, exe]
  arch:
    description: The architecture, such as V(x86_64) or V(aarch64). The default for a new domain is the host's.
    type: str
  machine:
    description:
      - The machine type, such as V(q35), V(pc) or V(virt). An alias and the concrete version that it stands for are
        equal.
      - The default for a new domain is V(q35) on x86, and V(virt) on Arm and RISC-V.
    type: str
  firmware:
    description:
      - V(efi) lets libvirt choose a UEFI image that fits. V(bios) takes UEFI out of a domain.
      - Mutually exclusive with O(loader).
    type: str
    choices: [bios, efi]
  secure_boot:
    description:
      - Whether the firmware has Secure Boot, with the usual keys enrolled.
      - It needs O(firmware=efi) or O(loader), and on x86 O(machine=q35).
    type: bool
  loader:
    description:
      - The absolute path of a UEFI image on the hypervisor, for when libvirt's own choice does not fit.
      - Mutually exclusive with O(firmware).
    type: path
  nvram:
    description: The file with the domain's UEFI variables.
    type: dict
    suboptions:
      path:
        description: The domain's own file. The default is one in libvirt's directory, called after the domain.
        type: path
      template:
        description: The file that it is first copied from. It goes with O(loader).
        type: path
  tpm:
    description: A Trusted Platform Module.
    type: dict
    suboptions:
      backend:
        description: V(emulator) needs swtpm on the hypervisor. V(passthrough) takes the host's. V(none) means that
          there is no TPM.
        type: str
        choices: [emulator, passthrough, none]
        default: emulator
      version:
        description: The version of an emulated TPM. The default is libvirt's.
        type: str
        choices: ["1.2", "2.0"]
      model:
        description: The model that the guest sees. The default is libvirt's.
        type: str
        choices: [tpm-tis, tpm-crb, tpm-spapr]
      path:
        description: The host's device, such as V(/dev/tpm0), with O(tpm.backend=passthrough).
        type: path
  boot_order:
    description:
      - The kinds of devices to boot from, in this order. To order single devices, use their own C(boot_order) instead.
      - An empty list leaves the order to libvirt.
      - A new domain boots from its disk, then its CD-ROM; when it has no disk, from the network.
    type: list
    elements: str
    choices: [hd, cdrom, network, fd]
  direct_kernel:
    description:
      - A kernel on the hypervisor to boot without a boot loader. An empty dictionary takes it out.
    type: dict
    suboptions:
      kernel:
        description: The kernel image. Needed when one of the others is given.
        type: path
      initrd:
        description: The initial RAM disk.
        type: path
      command_line:
        description: The kernel's command line.
        type: str
      dtb:
        description: A device tree.
        type: path
"""
