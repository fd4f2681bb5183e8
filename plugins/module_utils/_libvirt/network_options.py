# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task declares of a network: raw XML and typed options, as one tree. Private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._deps import etree
from .._errors import DeclarationError
from .._xml.document import ensure, parse
from .._xml.fields import Emptied, argument_options, take_out, write
from .._xml.merge import normalise, overlay
from .._xml.network_fields import NETWORK_FIELDS
from .._xml.network_tables import NETWORK, without_empty_elements
from .._xml.values import same_uuid

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


@dataclass(frozen=True)
class Mode:
    """A word of the option `mode` in libvirt's XML."""

    forward: str | None  # forward/@mode; None: no <forward> at all
    virtual_port: str | None = None
    without: tuple[str, ...] = ()  # what a network of this mode can't have
    needs: str = ""  # the option without which a new network of this mode makes no sense


MODES: dict[str, Mode] = {
    "nat": Mode("nat"),
    "route": Mode("route"),
    "open": Mode("open"),
    "isolated": Mode(None, without=("forward",)),
    "bridge": Mode("bridge", without=("forward/interface", "virtualport"), needs="bridge"),
    "macvtap": Mode("bridge", without=("bridge",), needs="interfaces"),
    "ovs": Mode("bridge", virtual_port="openvswitch", without=("forward/interface",), needs="bridge"),
}
MACVTAP_MODES = ("bridge", "private", "vepa", "passthrough")


@dataclass(frozen=True)
class Declaration:
    """The user's words: raw XML with the typed options laid over it."""

    name: str
    uuid: str | None
    tree: Element
    xml: Element | None  # the raw part alone, which is remembered in the network's metadata
    emptied: tuple[Emptied, ...]
    mode: str | None

    @property
    def says_something(self) -> bool:
        """Whether anything but the name and the UUID is declared."""
        return (
            bool(self.emptied)
            or self.mode is not None
            or any(item.tag not in ("name", "uuid") for item in self.tree)
            or bool(self.tree.attrib)
        )


def options_spec() -> dict[str, dict[str, Any]]:
    """The typed options of nestbox.virt.network."""
    return {
        "mode": {"type": "str", "choices": list(MODES)},
        "macvtap_mode": {"type": "str", "choices": list(MACVTAP_MODES)},
        **argument_options(NETWORK_FIELDS),
    }


def declaration(params: dict[str, Any]) -> Declaration:
    """What the task declares; raises DeclarationError where its parts contradict each other."""
    xml = None if params["xml"] is None else normalise(parse(params["xml"], root="network"), NETWORK)
    typed = etree.Element("network")
    emptied = _write_mode(typed, params) + write(typed, params, NETWORK_FIELDS)
    tree = overlay(xml, typed, NETWORK)
    take_out(tree, emptied, NETWORK)
    without_empty_elements(tree)
    return Declaration(
        name=_agreed("name", params["name"], tree, str.__eq__),
        uuid=_valid_uuid(_agreed("uuid", params["uuid"], tree, same_uuid)),
        tree=tree,
        xml=xml,
        emptied=tuple(emptied),
        mode=params["mode"],
    )


def _valid_uuid(text: str) -> str | None:
    if text and not re.fullmatch(r"[0-9a-fA-F]{32}", text.replace("-", "")):
        raise DeclarationError(
            f"uuid is {text!r}, which is not a UUID. Write 32 hexadecimal digits, or leave it out and libvirt chooses "
            f"one."
        )
    return text or None


def _write_mode(typed: Element, params: dict[str, Any]) -> list[Emptied]:
    """Writes <forward mode=…> and its company; returns what a network of this mode can't have."""
    word = params["mode"]
    if params["macvtap_mode"] is not None and word != "macvtap":
        raise DeclarationError("macvtap_mode was given without mode: macvtap. Give both, or leave macvtap_mode out.")
    if word is None:
        return []
    mode = MODES[word]
    if params["nat"] is not None and word != "nat":
        raise DeclarationError(
            f"nat was given with mode: {word}, which does not translate addresses. Use mode: nat, or leave nat out."
        )
    for path, option in (("bridge", "bridge"), ("forward/interface", "interfaces"), ("forward", "interfaces")):
        if path in mode.without and params[option]:
            raise DeclarationError(
                f"{option} was given with mode: {word}, which has none. Leave it out, or use another mode."
            )
    if mode.forward:
        ensure(typed, "forward").set("mode", params["macvtap_mode"] or mode.forward)
    if mode.virtual_port:
        ensure(typed, "virtualport").set("type", mode.virtual_port)
    declared = {"virtualport"} if params["virtual_port"] else set()
    return [Emptied(path) for path in mode.without if path not in declared]


def _agreed(tag: str, option: str | None, tree: Element, same: Any) -> str:
    """The name or UUID of option and XML, which must agree; written into the tree."""
    holder = tree.find(tag)
    written = (holder.text or "") if holder is not None else ""
    if option and written and not same(option, written):
        raise DeclarationError(
            f"{tag} is {option!r}, but the XML has <{tag}>{written}</{tag}>. Make them agree, or leave one of them "
            f"out.",
            details={"option": option, "xml": written},
        )
    value = option or written
    if tag == "name" and (not value or "/" in value or value != value.strip() or "\n" in value):
        raise DeclarationError(
            f"The network's name is {value!r}. Give a name without slashes, line breaks and spaces at its ends."
        )
    if value:
        if holder is None:
            holder = etree.Element(tag)
            tree.insert(0, holder)
        holder.text = value
    return value
