# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pool or volume task declares, as one XML tree. Private to this collection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .._errors import DeclarationError
from .._units import format_size, parse_size
from .._xml.document import element, parse
from .._xml.merge import overlay
from .._xml.storage_tables import POOL, VOLUME_DECLARATION
from .._xml.values import same_uuid

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

Params = dict[str, Any]

# options of a pool that are part of its definition; without one of them (or xml) a task only acts on an existing pool
_POOL_TYPED = ("type", "target", "source", "permissions")

# kinds of pools that are a directory
_DIRECTORIES = ("dir", "fs", "netfs")

LARGEST_SIZE = 2**63 - 1  # bytes; QEMU and the kernel count a file's size with a sign

# a source that is neither fetched nor a path
_OTHER_SCHEME = re.compile(r"(?!https?://|file:///)([a-z][a-z0-9+.-]*://)", re.IGNORECASE)


def declared_pool(params: Params) -> tuple[str, Element | None]:
    """The name, and the declaration or None when the task names nothing but a pool that exists."""
    xml = None if params["xml"] is None else parse(params["xml"], root="pool")
    name = agreed(params["name"], xml, "name", "pool")
    _agree_on_uuid(name, params["uuid"], xml)
    if xml is None and not any(params[option] is not None for option in _POOL_TYPED):
        return name, None
    kind = params["type"]
    if xml is not None and kind is not None and xml.get("type") not in (None, kind):
        raise DeclarationError(f"The pool {name} is declared with type {kind}, but as {xml.get('type')} in xml.")
    if kind is None and xml is None:
        raise DeclarationError(f"The pool {name} is declared without a type. Add type, such as dir, or xml.")
    typed = element(
        "pool",
        {"type": kind},
        element("name", text=name),
        _leaf("uuid", params["uuid"]),
        _pool_source(params["source"]),
        _target(params["target"], params["permissions"]),
    )
    tree = overlay(xml, typed, POOL)
    if tree.get("type") is None:
        raise DeclarationError(f"The XML of the pool {name} has no type. Write <pool type='dir'>, or give type.")
    path = (tree.findtext("target/path") or "/").strip()
    if not path.startswith("/"):
        raise DeclarationError(
            f"The pool {name} was declared with the target {path}, which is not an absolute path. Give one that begins "
            "with a slash."
        )
    return name, tree


def check_new_pool(name: str, tree: Element) -> None:
    """Raises DeclarationError where a pool that does not exist yet lacks what libvirt can't choose."""
    kind = tree.get("type")
    if kind in _DIRECTORIES and not (tree.findtext("target/path") or "").strip():
        raise DeclarationError(
            f"The pool {name} was declared with type {kind}, but without a target. Add target, the directory on the "
            "hypervisor in which its volumes are, such as /var/lib/libvirt/images."
        )


def declared_volume(params: Params) -> tuple[str, Element]:
    """The name and the declaration of a volume; raises DeclarationError where they can't be right."""
    xml = None if params["xml"] is None else parse(params["xml"], root="volume")
    name = agreed(params["name"], xml, "name", "volume")
    if "/" in name or name in ("", ".", ".."):
        raise DeclarationError(f"The volume name {name!r} can't be a file's name. Give a name without slashes.")
    _check_scheme(name, params["source"])
    sizes = {option: params[option] for option in ("capacity", "allocation")}
    in_bytes = {o: None if v is None else parse_size(v, option=o) for o, v in sizes.items()}
    typed = element(
        "volume",
        None,
        element("name", text=name),
        *(_leaf(o, size, unit="bytes") for o, size in in_bytes.items()),
        _target(None, params["permissions"], params["format"]),
    )
    tree = overlay(xml, typed, VOLUME_DECLARATION)
    for option in sizes:
        _in_bytes(tree.find(option), option)
    return name, tree


def _check_scheme(name: str, source: str | None) -> None:
    found = _OTHER_SCHEME.match(source or "")
    if found is not None:
        raise DeclarationError(
            f"The source of the volume {name} begins with {found[1]}, but only http:// and https:// URLs and files of "
            "the managed host are supported. Fetch it first, and give the path of the file."
        )


def agreed(option: str | None, xml: Element | None, tag: str, what: str) -> str:
    """The value that the option and the XML agree on; raises DeclarationError where they do not."""
    written = None if xml is None else (xml.findtext(tag) or "").strip() or None
    if option and written and option != written:
        raise DeclarationError(
            f"The {what} is called {option} in the option {tag}, but {written} in xml. Let them agree, or give one."
        )
    found = option or written
    if not found:
        raise DeclarationError(f"The {what} has no {tag}: give the option {tag}, or <{tag}> in xml.")
    return found


def _agree_on_uuid(name: str, option: str | None, xml: Element | None) -> None:
    written = None if xml is None else (xml.findtext("uuid") or "").strip() or None
    if option and written and not same_uuid(option, written):
        raise DeclarationError(f"The pool {name} has the UUID {option} in the option uuid, but {written} in xml.")


def _pool_source(source: Params | None) -> Element | None:
    if source is None:
        return None
    devices = [element("device", {"path": path}) for path in source["devices"] or []]
    return element(
        "source",
        None,
        None if source["host"] is None else element("host", {"name": source["host"]}),
        *devices,
        None if source["directory"] is None else element("dir", {"path": source["directory"]}),
        _leaf("name", source["name"]),
        None if source["format"] is None else element("format", {"type": source["format"]}),
    )


def _target(path: str | None, permissions: Params | None, kind: str | None = None) -> Element | None:
    children = [
        _leaf("path", path),
        None if kind is None else element("format", {"type": kind}),
        _permissions(permissions),
    ]
    return element("target", None, *children) if any(child is not None for child in children) else None


def _permissions(given: Params | None) -> Element | None:
    if given is None:
        return None
    mode = given["mode"]
    if mode is not None and not re.fullmatch(r"0?o?[0-7]{3,4}", mode):
        raise DeclarationError(
            f"permissions.mode is {mode!r}, which is not an octal mode. Write it in quotation marks, such as '0644'."
        )
    return element(
        "permissions",
        None,
        None if mode is None else _leaf("mode", f"{int(mode.replace('o', ''), 8):04o}"),
        *(_leaf(option, given[option]) for option in ("owner", "group", "label")),
    )


def _in_bytes(item: Element | None, tag: str) -> None:
    """Rewrites a size of the XML, so that nothing behind this needs to know units."""
    if item is None:
        return
    size = parse_size(f"{item.text or ''} {item.get('unit') or 'bytes'}", option=f"{tag} in xml")
    if size > LARGEST_SIZE:
        raise DeclarationError(
            f"{tag} was declared as {format_size(size)}, but a volume has less than {format_size(LARGEST_SIZE + 1)}. "
            "Give a smaller one."
        )
    item.text = str(size)
    item.set("unit", "bytes")


def _leaf(tag: str, value: object, **attributes: str) -> Element | None:
    return None if value is None else element(tag, attributes, text=value)
