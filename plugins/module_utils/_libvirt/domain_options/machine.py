# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the machine: type, firmware, TPM, boot. Private to this collection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..._errors import DeclarationError
from ..._xml.document import element, ensure
from ..host_facts import HostFacts
from ._rows import Params, Row, fill
from .spec import BOOTABLE

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

ROWS = (
    Row("type", "@type"),
    Row("os_type", "os/type"),
    Row("arch", "os/type/@arch"),
    Row("machine", "os/type/@machine"),
    Row("loader", "os/loader"),
)

_NVRAM_ROWS = (Row("path", "os/nvram"), Row("template", "os/nvram/@template"))

_KERNEL_ROWS = (
    Row("kernel", "os/kernel"),
    Row("initrd", "os/initrd"),
    Row("command_line", "os/cmdline"),
    Row("dtb", "os/dtb"),
)

_TPM_ROWS = (
    Row("model", "@model"),
    Row("backend", "backend/@type"),
    Row("version", "backend/@version"),
    Row("path", "backend/device/@path"),
)

# what makes a domain one with UEFI; `firmware: bios` takes them out
FIRMWARE_PARTS = ("firmware", "loader", "nvram")

# features of a firmware that make up Secure Boot: it is there, and Microsoft's keys are in its variables
_SECURE_FEATURES = ("enrolled-keys", "secure-boot")


def add(domain: Element, params: Params, host: HostFacts) -> set[str]:
    """Lays the options over `domain`; the paths of lists that were declared as empty."""
    _check_machine(params, host)
    _check_firmware(params, domain)
    fill(domain, params, ROWS)
    fill(domain, params.get("nvram") or {}, _NVRAM_ROWS)
    _add_firmware(domain, params)
    return _add_kernel(domain, params) | _add_boot(domain, params) | _add_tpm(domain, params)


def _check_machine(params: Params, host: HostFacts) -> None:
    """Where the emulator's machines are known; libvirt's own error for another one speaks of PCI buses."""
    machine, arch = params.get("machine"), params.get("arch") or host.arch
    known = host.known_machines.get(arch)
    if machine is None or known is None or machine in known or "<emulator" in (params.get("xml") or ""):
        return
    from difflib import get_close_matches  # the import takes longer than a task's whole use of this file

    close = get_close_matches(machine, sorted(known), n=3, cutoff=0.5)
    hint = f"such as {', '.join(close)}" if close else "which virsh capabilities lists"
    raise DeclarationError(
        f"machine was given as {machine}, which the host's emulator for {arch} does not have. Use one that it has, "
        f"{hint}, or leave it out."
    )


def _check_firmware(params: Params, _domain: Element) -> None:
    firmware, machine, arch = params.get("firmware"), params.get("machine"), params.get("arch")
    if params.get("secure_boot") and firmware == "bios":
        raise DeclarationError(
            "secure_boot was asked for together with firmware: bios, which has none. Use firmware: efi."
        )
    if params.get("secure_boot") and firmware is None and not params.get("loader"):
        raise DeclarationError("secure_boot was asked for without UEFI. Add firmware: efi.")
    if params.get("secure_boot") and machine and "q35" not in machine and arch in (None, "x86_64", "i686"):
        raise DeclarationError(
            f"secure_boot was asked for on machine {machine}, which can't protect the firmware's variables. Use "
            "machine: q35."
        )
    if firmware == "bios" and (params.get("loader") or params.get("nvram")):
        raise DeclarationError(
            "loader and nvram belong to UEFI, but firmware is bios. Use firmware: efi, or leave them out."
        )
    if (params.get("nvram") or {}).get("template") and firmware == "efi" and not params.get("loader"):
        raise DeclarationError(
            "nvram.template was given together with firmware: efi, where libvirt chooses a template that fits. Give "
            "loader instead of firmware, or leave the template out."
        )


def _add_firmware(domain: Element, params: Params) -> None:
    if params.get("loader"):
        # a UEFI image is a flash chip, and the image itself is shared between domains
        ensure(domain, "os/loader").attrib.update({"type": "pflash", "readonly": "yes"})
    elif params.get("firmware") == "efi":
        ensure(domain, "os").set("firmware", "efi")
    secure = params.get("secure_boot")
    if secure is None:
        return
    if params.get("loader"):
        ensure(domain, "os/loader").set("secure", "yes" if secure else "no")
    else:
        enabled = "yes" if secure else "no"
        features = [element("feature", {"enabled": enabled, "name": name}) for name in _SECURE_FEATURES]
        ensure(domain, "os/firmware").extend(features)
    if secure and params.get("arch") in (None, "x86_64", "i686"):
        # the variables are only safe from the guest's kernel in system management mode
        ensure(domain, "features/smm").set("state", "on")


def _add_kernel(domain: Element, params: Params) -> set[str]:
    direct = params.get("direct_kernel")
    if direct is None:
        return set()
    if not direct.get("kernel") and any(direct.values()):
        raise DeclarationError(
            "direct_kernel names an initrd, a command line or a device tree, but no kernel. Add direct_kernel.kernel."
        )
    fill(domain, direct, _KERNEL_ROWS)
    ensure(domain, "os")
    return {row.path for row in _KERNEL_ROWS if not direct.get(row.option)}


def _add_boot(domain: Element, params: Params) -> set[str]:
    order = params.get("boot_order")
    if order is None or (not order and orders_devices(params)):
        return set()
    twice = {device for device in order if order.count(device) > 1}
    if twice:
        raise DeclarationError(f"boot_order names {', '.join(sorted(twice))} more than once. Name each device once.")
    # an empty list is libvirt's own order, which it writes down
    ensure(domain, "os").extend(element("boot", {"dev": device}) for device in order or ("hd",))
    return set()


def orders_devices(params: Params) -> bool:
    """Whether single devices have a place in the boot order, which excludes an order of kinds."""
    return any(entry.get("boot_order") for option in BOOTABLE for entry in params.get(option) or [])


def _add_tpm(domain: Element, params: Params) -> set[str]:
    options = params.get("tpm")
    if options is None:
        return set()
    devices = ensure(domain, "devices")
    if options.get("backend") == "none":
        return {"devices/tpm"}
    if options.get("path") and options.get("backend") != "passthrough":
        raise DeclarationError(
            "tpm.path is the host's TPM device, but tpm.backend is not passthrough. Use backend: passthrough."
        )
    if options.get("version") and options.get("backend") == "passthrough":
        raise DeclarationError("tpm.version was given, but a passed-through TPM has the host's version. Leave it out.")
    tpm = element("tpm")
    fill(tpm, options, _TPM_ROWS)
    devices.append(tpm)
    return set()


# the short names of machines whose long ones begin otherwise
_LONG = {"q35": "pc-q35", "pc": "pc-i440fx"}


def kind_of(system: Element | None) -> str | None:
    """A machine without its version: pc-q35 for q35 and pc-q35-7.2; None where none is named."""
    name = None if system is None else system.get("machine")
    return None if name is None else _LONG.get(name) or re.sub(r"-[\d.]+$", "", name)
