# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the other devices. Private to this collection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable

from ..._errors import DeclarationError
from ..._xml.document import element, ensure
from ..host_facts import HostFacts
from ._rows import Params, Row, fill, on_off

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

AGENT = "org.qemu.guest_agent.0"

_VIDEO_ROWS = (
    Row("model", "model/@type"),
    Row("heads", "model/@heads"),
    Row("vram_kib", "model/@vram"),
    Row("accel3d", "model/acceleration/@accel3d"),
)
_GRAPHICS_ROWS = (Row("type", "@type"), Row("websocket", "@websocket"), Row("keymap", "@keymap"))
_CONSOLE_ROWS = (
    Row("type", "@type"),
    Row("path", "source/@path"),
    Row("host", "source/@host"),
    Row("port", "source/@service"),
    Row("log", "log/@file"),
    Row("log_append", "log/@append", on_off),
)
_RNG_ROWS = (
    Row("bytes", "rate/@bytes"),
    Row("period", "rate/@period"),
    Row("backend", "backend/@model"),
    Row("device", "backend"),
)
_WATCHDOG_ROWS = (Row("model", "@model"), Row("action", "@action"))
_FILESYSTEM_ROWS = (
    Row("access_mode", "@accessmode"),
    Row("driver", "driver/@type", lambda name: "path" if name == "9p" else str(name)),
    Row("source", "source/@dir"),
    Row("target", "target/@dir"),
    Row("readonly", "readonly/"),
)
_HOSTDEV_ROWS = (
    Row("managed", "@managed"),
    Row("model", "@model"),
    Row("boot_order", "boot/@order"),
    Row("alias", "alias/@name"),
)
_PCI = re.compile(r"^(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$")
_USB_PRODUCT = re.compile(r"^([0-9a-f]{4}):([0-9a-f]{4})$")
_USB_ADDRESS = re.compile(r"^(\d{1,3})\.(\d{1,3})$")
_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def add(domain: Element, params: Params, _host: HostFacts) -> set[str]:
    """Lays the options over `domain`; the paths of lists that were declared as empty."""
    emptied: set[str] = set()
    for option, tag, build in _LISTS:
        entries = params.get(option)
        if entries is None:
            continue
        ensure(domain, "devices").extend(build(f"{option}[{number}]", entry) for number, entry in enumerate(entries))
        emptied |= set() if entries else {f"devices/{tag}"}
    for option, tag, rows, none in _SINGLES:
        entry = params.get(option)
        if entry is None:
            continue
        devices = ensure(domain, "devices")
        if none is not None and entry.get(none) == "none":
            emptied.add(f"devices/{tag}")
            continue
        made = element(tag)
        fill(made, entry, rows)
        devices.append(made)
    _finish_rng(domain, params)
    _finish_console(domain, params.get("console"))
    if params.get("agent"):
        ensure(domain, "devices").append(agent_channel())
    if any(entry.get("driver") == "virtiofs" for entry in params.get("filesystems") or []):
        _share_memory(domain)
    return emptied


def agent_channel() -> Element:
    """The channel of the guest agent."""
    return element("channel", {"type": "unix"}, element("target", {"type": "virtio", "name": AGENT}))


def _graphics(where: str, entry: Params) -> Element:
    made = element("graphics")
    fill(made, entry, _GRAPHICS_ROWS)
    port = entry.get("port")
    if entry["type"] not in ("vnc", "spice"):
        if port is not None or entry.get("listen"):
            raise DeclarationError(f"{where}: {entry['type']} has no network port. Leave port and listen out.")
        return made
    if port is not None and not 1 <= port <= 65535:
        raise DeclarationError(f"{where}: port is {port}, but it goes from 1 to 65535. Leave it out for a free one.")
    made.attrib.update({"port": str(port), "autoport": "no"} if port is not None else {"autoport": "yes"})
    if entry.get("listen"):
        made.append(element("listen", {"type": "address", "address": entry["listen"]}))
    return made


def _filesystem(where: str, entry: Params) -> Element:
    if entry.get("driver") == "virtiofs" and entry.get("access_mode") not in (None, "passthrough"):
        raise DeclarationError(
            f"{where}: virtiofs only has access_mode passthrough, but {entry['access_mode']} was given. Use "
            "driver: 9p for the others."
        )
    made = element("filesystem", {"type": "mount"})
    fill(made, entry, _FILESYSTEM_ROWS)
    return made


def _hostdev(where: str, entry: Params) -> Element:
    kinds = [kind for kind in _HOSTDEV_SOURCES if entry.get(kind)]
    if len(kinds) != 1:
        found = f"{' and '.join(kinds)} are given" if kinds else "there is no device"
        raise DeclarationError(f"{where}: {found}. Give exactly one of pci, usb and mdev.")
    kind = kinds[0]
    source = _HOSTDEV_SOURCES[kind](str(entry[kind]).lower())
    if source is None:
        raise DeclarationError(f"{where}: {kind} is {entry[kind]!r}. {_HOSTDEV_FORMS[kind]}")
    made = element("hostdev", {"mode": "subsystem", "type": kind}, source)
    fill(made, {"model": "vfio-pci" if kind == "mdev" else None, **_given(entry)}, _HOSTDEV_ROWS)
    return made


def _given(entry: Params) -> dict[str, object]:
    return {name: value for name, value in entry.items() if value is not None}


def _pci_source(text: str) -> Element | None:
    match = _PCI.match(text)
    if match is None:
        return None
    domain, bus, slot, function = match.groups(default="0000")
    address = {"domain": f"0x{domain}", "bus": f"0x{bus}", "slot": f"0x{slot}", "function": f"0x{function}"}
    return element("source", None, element("address", address))


def _usb_source(text: str) -> Element | None:
    product, address = _USB_PRODUCT.match(text), _USB_ADDRESS.match(text)
    if product is not None:
        ids = [element(tag, {"id": f"0x{value}"}) for tag, value in zip(("vendor", "product"), product.groups())]
        return element("source", None, *ids)
    if address is not None:
        return element("source", None, element("address", {"bus": address[1], "device": address[2]}))
    return None


def _mdev_source(text: str) -> Element | None:
    return element("source", None, element("address", {"uuid": text})) if _UUID.match(text) else None


def _finish_rng(domain: Element, params: Params) -> None:
    """libvirt's own default for the model, which it wants to have said; a rate needs its number of bytes."""
    made, options = domain.find("devices/rng"), params.get("rng") or {}
    if made is None:
        return
    if options.get("period") is not None and options.get("bytes") is None:
        raise DeclarationError(
            "rng.period was given without rng.bytes. Say how many bytes the guest may read in each period."
        )
    if options.get("device") and options.get("backend") == "builtin":
        raise DeclarationError(
            "rng.device was given, but rng.backend is builtin, which reads no device. Leave one of them out."
        )
    made.set("model", "virtio")


def _finish_console(domain: Element, console: Params | None) -> None:
    """The first serial port; a socket is libvirt's to listen on."""
    if console is None or console["type"] == "none":
        return
    kind = console["type"]
    _check_console(console, kind)
    serial = ensure(domain, "devices/serial")
    ensure(serial, "target").set("port", "0")
    if kind in ("unix", "tcp"):
        ensure(serial, "source").set("mode", "bind")


def _check_console(console: Params, kind: str) -> None:
    needed = {"file": ("path",), "tcp": ("host", "port")}.get(kind, ())
    missing = [name for name in needed if console.get(name) is None]
    if missing:
        raise DeclarationError(f"console.type is {kind}, which needs {' and '.join(missing)}. Add it.")
    allowed = {"pty": (), "unix": ("path",), "file": ("path",), "tcp": ("host", "port")}[kind]
    wrong = [name for name in ("path", "host", "port") if console.get(name) is not None and name not in allowed]
    if wrong:
        raise DeclarationError(
            f"console.{wrong[0]} was given, but console.type {kind} has none. Leave it out, or change the type."
        )
    if console.get("log_append") is not None and not console.get("log"):
        raise DeclarationError("console.log_append was given without console.log. Name the log file.")


def _share_memory(domain: Element) -> None:
    """virtiofsd is another process: it must be able to map the guest's memory."""
    backing = ensure(domain, "memoryBacking")
    backing.extend((element("source", {"type": "memfd"}), element("access", {"mode": "shared"})))


_HOSTDEV_SOURCES: dict[str, Callable[[str], Element | None]] = {
    "pci": _pci_source,
    "usb": _usb_source,
    "mdev": _mdev_source,
}
_HOSTDEV_FORMS = {
    "pci": "Write the address as lspci -D prints it, such as 0000:03:00.0.",
    "usb": "Write vendor and product as lsusb prints them, such as 046d:c52b, or bus and device, such as 1.4.",
    "mdev": "Write the UUID of the mediated device.",
}

# option, element, and how an entry is built
_LISTS: tuple[tuple[str, str, Callable[[str, Params], Element]], ...] = (
    ("graphics", "graphics", _graphics),
    ("filesystems", "filesystem", _filesystem),
    ("host_devices", "hostdev", _hostdev),
)

# option, element, rows, and the suboption whose value none means that there is no such device
_SINGLES: tuple[tuple[str, str, tuple[Row, ...], str | None], ...] = (
    ("video", "video", _VIDEO_ROWS, None),
    ("console", "serial", _CONSOLE_ROWS, "type"),
    ("rng", "rng", _RNG_ROWS, "backend"),
    ("watchdog", "watchdog", _WATCHDOG_ROWS, "model"),
)
