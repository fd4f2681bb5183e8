# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declaration and what it leaves alone can't be together; pure. Private to this collection."""

from __future__ import annotations

from .._errors import DeclarationError
from .model import Declaration, check_gateway

_LEAST_FORWARD_DELAY_OF_STP = 2  # seconds; IEEE 802.1D, and the kernel
_LEAST_MTU_OF_IPV6 = 1280  # bytes; RFC 8200


def check_whole(said: Declaration, written: Declaration) -> None:
    """Raises for a declaration that makes no working bridge with what is left alone (both are in `written`)."""
    for check in (_check_routes, _check_spanning_tree, _check_vlans, _check_mtu):
        check(said, written)


def _check_routes(said: Declaration, written: Declaration) -> None:
    """Each route has a way to its gateway through the bridge, unless DHCP or an advertisement may bring it."""
    layer3 = written.layer3
    dynamic = {4: bool(layer3.dhcp4), 6: bool(layer3.dhcp6 or layer3.accept_ra)}
    near = tuple(route.to for route in layer3.routes or () if route.via is None and route.table is None)
    for route in said.layer3.routes or ():
        if route.via is not None and not dynamic[route.version]:
            option = f"gateway{route.version}" if route.default else f"via of the route to {route.to}"
            check_gateway(route.via, option, layer3.addresses or (), near)


def _check_spanning_tree(said: Declaration, written: Declaration) -> None:
    if not said.settings.stp and said.settings.forward_delay is None:
        return
    delay = written.settings.forward_delay
    if written.settings.stp and delay is not None and delay < _LEAST_FORWARD_DELAY_OF_STP:
        raise DeclarationError(
            f"The bridge {said.name} was to have stp with a forward_delay of {delay} seconds. With stp the kernel "
            f"takes {_LEAST_FORWARD_DELAY_OF_STP} to 30. Give another forward_delay."
        )


def _check_vlans(said: Declaration, written: Declaration) -> None:
    lists = [said.vlans, *(port.vlans for port in said.port_list())]
    if any(lists) and not written.settings.vlan_filtering:
        raise DeclarationError(
            f"VLANs were given for the bridge {said.name}, which does not tell them apart. Say vlan_filtering: true."
        )


def _check_mtu(said: Declaration, written: Declaration) -> None:
    mtu, layer3 = written.settings.mtu, written.layer3
    if said.settings.mtu is None and said.layer3.silent:
        return
    ipv6 = layer3.dhcp6 or layer3.accept_ra or any(":" in address for address in layer3.addresses or ())
    if mtu is not None and mtu < _LEAST_MTU_OF_IPV6 and ipv6:
        raise DeclarationError(
            f"The bridge {said.name} was to have IPv6 with an mtu of {mtu} bytes. The kernel has no IPv6 below "
            f"{_LEAST_MTU_OF_IPV6}. Give a larger mtu, or no IPv6."
        )
