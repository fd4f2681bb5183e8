# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of domain_options.spec.DISKS."""

from __future__ import annotations


class ModuleDocFragment:
    """Disks and drives."""

    DOCUMENTATION = r"""
options:
  disks:
    description:
      - The domain's disks and drives. The list is the whole list; an empty list means no disks. Files and volumes
        are never deleted.
      - A disk is recognised by its O(disks[].target). To make or grow the volumes, use M(nestbox.virt.volume).
    type: list
    elements: dict
    suboptions:
      pool:
        description: The pool of O(disks[].volume).
        type: str
      volume:
        description: The name of a volume in O(disks[].pool). A disk has one source, this or one of the others.
        type: str
      file:
        description: The absolute path of an image on the hypervisor.
        type: path
      block:
        description: The absolute path of a block device on the hypervisor.
        type: path
      network:
        description: A source that QEMU itself reads over the network.
        type: dict
        suboptions:
          protocol:
            description: The protocol.
            type: str
            required: true
            choices: [rbd, iscsi, nbd, gluster, http, https, ftp, ftps, tftp, nfs, ssh, vxhs, sheepdog]
          name:
            description: The name of the image or export, such as V(pool/image) with V(rbd).
            type: str
          hosts:
            description: The servers.
            type: list
            elements: dict
            suboptions:
              name:
                description: The host name or address.
                type: str
              port:
                description: The port. The default is the protocol's.
                type: int
              transport:
                description: The transport.
                type: str
                choices: [tcp, unix, rdma]
              socket:
                description: The path of the socket, with V(unix).
                type: path
      device:
        description: What the guest sees. A V(cdrom) or V(floppy) without a source is empty.
        type: str
        choices: [disk, cdrom, floppy, lun]
        default: disk
      target:
        description:
          - The name that tells disks apart, such as V(vda).
          - The default is the next free name of the bus, in the order of the list, so that entries keep their names
            when others are added behind them.
        type: str
      bus:
        description:
          - The bus. The default for a disk without a target is V(virtio), for a CD-ROM V(sata), or what the machine
            has instead.
        type: str
        choices: [virtio, sata, scsi, ide, usb, fdc, sd, xen]
      format:
        description:
          - The format of the image, such as V(qcow2) or V(raw).
          - The default for a new disk is the volume's own format, or what the file's name says.
        type: str
      cache:
        description: How the host caches.
        type: str
        choices: [default, none, writethrough, writeback, directsync, unsafe]
      io:
        description: How QEMU reads and writes.
        type: str
        choices: [threads, native, io_uring]
      discard:
        description: Whether what the guest trims is freed on the host. The default for a new disk is V(unmap).
        type: str
        choices: [unmap, ignore]
      detect_zeroes:
        description: Whether written zeros are left out.
        type: str
        choices: ["off", "on", unmap]
      serial:
        description: The serial number that the guest sees, at most 20 characters on V(virtio), V(sata) and V(ide),
          36 on V(scsi).
        type: str
      readonly:
        description: Whether the guest can only read.
        type: bool
      shareable:
        description: Whether other domains may use the disk at the same time.
        type: bool
      boot_order:
        description: The place of this disk in the boot order, from 1. It excludes O(boot_order) of the domain.
        type: int
      alias:
        description: A name of your own for the device. It begins with V(ua-).
        type: str
"""
