# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specs of a domain's options, in the pieces of the documentation. Private to this collection."""

from __future__ import annotations

from ..._argspec import ArgumentSpec, Options

_POLICIES = ["force", "require", "optional", "disable", "forbid"]
_PROTOCOLS = [
    "rbd",
    "iscsi",
    "nbd",
    "gluster",
    "http",
    "https",
    "ftp",
    "ftps",
    "tftp",
    "nfs",
    "ssh",
    "vxhs",
    "sheepdog",
]

# documented by the fragment nestbox.virt.domain_identity
IDENTITY = ArgumentSpec(
    options={
        "title": {"type": "str"},
        "description": {"type": "str"},
        "tags": {"type": "list", "elements": "str"},
    }
)

# documented by the fragment nestbox.virt.domain_machine
MACHINE = ArgumentSpec(
    options={
        "type": {"type": "str", "choices": ["kvm", "qemu", "hvf", "xen", "lxc", "test", "vmware", "bhyve", "vz"]},
        "os_type": {"type": "str", "choices": ["hvm", "xen", "xenpvh", "linux", "exe"]},
        "arch": {"type": "str"},
        "machine": {"type": "str"},
        "firmware": {"type": "str", "choices": ["bios", "efi"]},
        "secure_boot": {"type": "bool"},
        "loader": {"type": "path"},
        "nvram": {"type": "dict", "options": {"path": {"type": "path"}, "template": {"type": "path"}}},
        "tpm": {
            "type": "dict",
            "options": {
                "backend": {"type": "str", "choices": ["emulator", "passthrough", "none"], "default": "emulator"},
                "version": {"type": "str", "choices": ["1.2", "2.0"]},
                "model": {"type": "str", "choices": ["tpm-tis", "tpm-crb", "tpm-spapr"]},
                "path": {"type": "path"},
            },
        },
        "boot_order": {"type": "list", "elements": "str", "choices": ["hd", "cdrom", "network", "fd"]},
        "direct_kernel": {
            "type": "dict",
            "options": {
                "kernel": {"type": "path"},
                "initrd": {"type": "path"},
                "command_line": {"type": "str"},
                "dtb": {"type": "path"},
            },
        },
    },
    mutually_exclusive=(("firmware", "loader"),),
)

_CPU: Options = {
    "mode": {"type": "str", "choices": ["custom", "host-model", "host-passthrough", "maximum"]},
    "model": {"type": "str"},
    "check": {"type": "str", "choices": ["none", "partial", "full"]},
    "migratable": {"type": "bool"},
    "features": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "policy": {"type": "str", "choices": _POLICIES, "default": "require"},
        },
    },
    "topology": {
        "type": "dict",
        "options": {name: {"type": "int"} for name in ("sockets", "dies", "cores", "threads")},
    },
}

# documented by the fragment nestbox.virt.domain_compute
COMPUTE = ArgumentSpec(
    options={
        "memory": {"type": "str"},
        "maximum_memory": {"type": "str"},
        "vcpus": {"type": "int"},
        "maximum_vcpus": {"type": "int"},
        "cpu": {"type": "dict", "options": _CPU},
        "nested": {"type": "bool"},
    }
)

_DISK: Options = {
    "pool": {"type": "str"},
    "volume": {"type": "str"},
    "file": {"type": "path"},
    "block": {"type": "path"},
    "network": {
        "type": "dict",
        "options": {
            "protocol": {"type": "str", "required": True, "choices": _PROTOCOLS},
            "name": {"type": "str"},
            "hosts": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name": {"type": "str"},
                    "port": {"type": "int"},
                    "transport": {"type": "str", "choices": ["tcp", "unix", "rdma"]},
                    "socket": {"type": "path"},
                },
            },
        },
    },
    "device": {"type": "str", "choices": ["disk", "cdrom", "floppy", "lun"], "default": "disk"},
    "target": {"type": "str"},
    "bus": {"type": "str", "choices": ["virtio", "sata", "scsi", "ide", "usb", "fdc", "sd", "xen"]},
    "format": {"type": "str"},
    "cache": {"type": "str", "choices": ["default", "none", "writethrough", "writeback", "directsync", "unsafe"]},
    "io": {"type": "str", "choices": ["threads", "native", "io_uring"]},
    "discard": {"type": "str", "choices": ["unmap", "ignore"]},
    "detect_zeroes": {"type": "str", "choices": ["off", "on", "unmap"]},
    "serial": {"type": "str"},
    "readonly": {"type": "bool"},
    "shareable": {"type": "bool"},
    "boot_order": {"type": "int"},
    "alias": {"type": "str"},
}

# documented by the fragment nestbox.virt.domain_disks
DISKS = ArgumentSpec(options={"disks": {"type": "list", "elements": "dict", "options": _DISK}})

_INTERFACE: Options = {
    "network": {"type": "str"},
    "bridge": {"type": "str"},
    "direct": {"type": "str"},
    "user": {"type": "bool"},
    "direct_mode": {"type": "str", "choices": ["vepa", "bridge", "private", "passthrough"]},
    "portgroup": {"type": "str"},
    "virtualport": {"type": "str", "choices": ["openvswitch"]},
    "mac": {"type": "str"},
    "model": {"type": "str"},
    "queues": {"type": "int"},
    "vlan": {"type": "list", "elements": "int"},
    "mtu": {"type": "int"},
    "link": {"type": "str", "choices": ["up", "down"]},
    "target": {"type": "str"},
    "boot_order": {"type": "int"},
    "alias": {"type": "str"},
}

# documented by the fragment nestbox.virt.domain_interfaces
INTERFACES = ArgumentSpec(options={"interfaces": {"type": "list", "elements": "dict", "options": _INTERFACE}})

_CONSOLE: Options = {
    "type": {"type": "str", "choices": ["pty", "unix", "file", "tcp", "none"], "default": "pty"},
    "path": {"type": "path"},
    "host": {"type": "str"},
    "port": {"type": "int"},
    "log": {"type": "path"},
    "log_append": {"type": "bool"},
}
_FILESYSTEM: Options = {
    "driver": {"type": "str", "choices": ["virtiofs", "9p"]},
    "source": {"type": "path", "required": True},
    "target": {"type": "str", "required": True},
    "access_mode": {"type": "str", "choices": ["passthrough", "mapped", "squash"]},
    "readonly": {"type": "bool"},
}
_HOST_DEVICE: Options = {
    "pci": {"type": "str"},
    "usb": {"type": "str"},
    "mdev": {"type": "str"},
    "managed": {"type": "bool"},
    "model": {"type": "str", "choices": ["vfio-pci", "vfio-ccw", "vfio-ap"]},
    "boot_order": {"type": "int"},
    "alias": {"type": "str"},
}
_GRAPHICS: Options = {
    "type": {"type": "str", "choices": ["vnc", "spice", "egl-headless"], "default": "vnc"},
    "listen": {"type": "str"},
    "port": {"type": "int"},
    "websocket": {"type": "int"},
    "keymap": {"type": "str", "no_log": False},
}
_VIDEO: Options = {
    "model": {
        "type": "str",
        "required": True,
        "choices": ["virtio", "vga", "qxl", "cirrus", "bochs", "ramfb", "vmvga", "xen", "none"],
    },
    "heads": {"type": "int"},
    "vram_kib": {"type": "int"},
    "accel3d": {"type": "bool"},
}
_RNG: Options = {
    "backend": {"type": "str", "choices": ["random", "builtin", "none"], "default": "random"},
    "device": {"type": "path"},
    "bytes": {"type": "int"},
    "period": {"type": "int"},
}
_WATCHDOG: Options = {
    "model": {"type": "str", "required": True, "choices": ["i6300esb", "ib700", "diag288", "itco", "none"]},
    "action": {"type": "str", "choices": ["reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"]},
}

# documented by the fragment nestbox.virt.domain_devices
DEVICES = ArgumentSpec(
    options={
        "graphics": {"type": "list", "elements": "dict", "options": _GRAPHICS},
        "video": {"type": "dict", "options": _VIDEO},
        "console": {"type": "dict", "options": _CONSOLE},
        "agent": {"type": "bool"},
        "rng": {"type": "dict", "options": _RNG},
        "watchdog": {"type": "dict", "options": _WATCHDOG},
        "filesystems": {"type": "list", "elements": "dict", "options": _FILESYSTEM},
        "host_devices": {"type": "list", "elements": "dict", "options": _HOST_DEVICE},
    }
)

DOMAIN_OPTIONS = IDENTITY + MACHINE + COMPUTE + DISKS + INTERFACES + DEVICES

# options whose entries can have a place of their own in the boot order
BOOTABLE = ("disks", "interfaces", "host_devices")
