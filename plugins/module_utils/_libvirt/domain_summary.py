# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's XML as plain data: pure functions. Private to this collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .._units import KIB, unit_factor
from .domain_options.devices import AGENT
from .domain_options.identity import tags_of

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_VNC_BASE = 5900
_ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104  compared with, not listened on

# the attribute of <source> that names it, by the type of the device
_DISK_SOURCES = {
    "file": "file",
    "block": "dev",
    "dir": "dir",
    "network": "name",
    "volume": "volume",
    "nvme": "namespace",
}
_INTERFACE_SOURCES = {"network": "network", "bridge": "bridge", "direct": "dev", "ethernet": "dev", "vdpa": "dev"}


def summary(domain: Element, uri: str) -> dict[str, Any]:
    """What the XML of a domain says; `uri` is the connection's, for the host in the URIs of its screens."""
    kind = domain.find("os/type")
    vcpus = int(domain.findtext("vcpu") or 1)
    current = domain.find("vcpu[@current]")
    memory_kib = _size_kib(domain, "memory")
    return {
        "type": domain.get("type"),
        "os_type": kind.text if kind is not None else None,
        "arch": kind.get("arch") if kind is not None else None,
        "machine": kind.get("machine") if kind is not None else None,
        "title": domain.findtext("title"),
        "description": domain.findtext("description"),
        "tags": tags_of(domain),
        "memory_kib": _size_kib(domain, "currentMemory") or memory_kib,
        "maximum_memory_kib": memory_kib,
        "vcpus": int(current.get("current", vcpus)) if current is not None else vcpus,
        "maximum_vcpus": vcpus,
        "disks": [_disk(item) for item in domain.iterfind("devices/disk")],
        "interfaces": [_interface(item) for item in domain.iterfind("devices/interface")],
        "graphics": [_graphics(item, uri) for item in domain.iterfind("devices/graphics")],
        "console": console_path(domain),
        "console_log": _attribute(domain, "devices/serial/log", "file")
        or _attribute(domain, "devices/console/log", "file"),
        "agent": _attribute(domain, f"devices/channel/target[@name='{AGENT}']", "state"),
    }


def console_path(domain: Element) -> str | None:
    """The terminal of the first console, as virsh ttyconsole prints it; None when the domain does not run."""
    return next((item.get("tty") for item in domain.iterfind("devices/console[@tty]")), None)


def networks_of(domain: Element) -> set[str]:
    """The libvirt networks that the domain's interfaces are on."""
    sources = domain.iterfind("devices/interface[@type='network']/source[@network]")
    return {str(source.get("network")) for source in sources}


def _size_kib(domain: Element, path: str) -> int | None:
    item = domain.find(path)
    if item is None or not item.text:
        return None
    return -(-int(item.text) * (unit_factor(item.get("unit", "KiB")) or KIB) // KIB)


def _attribute(parent: Element, path: str, name: str) -> str | None:
    item = parent.find(path)
    return item.get(name) if item is not None else None


def _disk(disk: Element) -> dict[str, Any]:
    source = _source(disk)
    return {
        "target": _attribute(disk, "target", "dev"),
        "bus": _attribute(disk, "target", "bus"),
        "device": disk.get("device", "disk"),
        "type": disk.get("type"),
        "source": source,
        "pool": _attribute(disk, "source", "pool"),
        "format": _attribute(disk, "driver", "type"),
        "serial": disk.findtext("serial"),
        "readonly": disk.find("readonly") is not None,
        "chain": _chain(disk),
    }


def _source(holder: Element) -> str | None:
    """What a disk or a backing store is made of: a path, a device, or the name of a volume or an image."""
    source = holder.find("source")
    if source is None:
        return None
    return source.get(_DISK_SOURCES.get(holder.get("type", ""), "file"))


def _chain(disk: Element) -> list[dict[str, Any]]:
    """The images below the disk's own, the nearest first; libvirt writes them for a running domain."""
    chain = []
    store = disk.find("backingStore")
    while store is not None and store.get("type"):
        chain.append({"source": _source(store), "format": _attribute(store, "format", "type")})
        store = store.find("backingStore")
    return chain


def _interface(interface: Element) -> dict[str, Any]:
    kind = interface.get("type", "")
    return {
        "mac": _attribute(interface, "mac", "address"),
        "type": kind,
        "source": _attribute(interface, "source", _INTERFACE_SOURCES.get(kind, "dev")),
        "portgroup": _attribute(interface, "source", "portgroup"),
        "model": _attribute(interface, "model", "type"),
        "target": _attribute(interface, "target", "dev"),
        "link": _attribute(interface, "link", "state") or "up",
        "alias": _attribute(interface, "alias", "name"),
        "addresses": [],
    }


def _graphics(graphics: Element, uri: str) -> dict[str, Any]:
    kind = graphics.get("type", "")
    port = int(graphics.get("port") or -1)
    tls_port = int(graphics.get("tlsPort") or -1)
    listen = graphics.get("listen") or _attribute(graphics, "listen", "address")
    socket = graphics.get("socket") or _attribute(graphics, "listen", "socket")
    return {
        "type": kind,
        "listen": listen,
        "port": port if port > 0 else None,
        "tls_port": tls_port if tls_port > 0 else None,
        "socket": socket,
        "display": _display(listen, port) if kind == "vnc" and port > 0 else None,
        "uri": _viewer_uri(kind, listen, port if port > 0 else tls_port, socket, uri),
    }


def _display(listen: str | None, port: int) -> str:
    """As virsh vncdisplay prints it."""
    host = "" if listen in (None, "0.0.0.0") else listen  # noqa: S104
    return f"{host}:{port - _VNC_BASE}"


def _viewer_uri(kind: str, listen: str | None, port: int, socket: str | None, uri: str) -> str | None:
    """What a viewer opens (RFC 7869 for VNC); None when there is nothing to connect to, as before a start."""
    if socket:
        return f"{kind}+unix://{socket}"
    if port <= 0:
        return None
    host = listen if listen and listen not in _ANY_ADDRESS else urlsplit(uri).hostname or "localhost"
    return f"{kind}://[{host}]:{port}" if ":" in host else f"{kind}://{host}:{port}"
