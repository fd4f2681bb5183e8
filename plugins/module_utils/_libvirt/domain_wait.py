# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what a started domain gets: an address, an agent, its end. Private to this collection."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Callable

from .._deps import etree, libvirt
from .._errors import WaitTimeout
from .connection import Connection
from .domain_facts import addresses_of
from .domain_lookup import find_domain
from .domain_state import ACTIVE, power_of
from .events import Watch

# libvirt has no event for a lease or an ARP entry: between the events that there are, it is looked at this often
_RECHECK_S = 0.5

_AGENT = "devices/channel/target[@name='org.qemu.guest_agent.0']"


def wait_for(connection: Connection, name: str, params: Mapping[str, Any]) -> bool:
    """Waits for what `wait_for` names; raises WaitTimeout with what was seen last. Whether it waited."""
    wanted = params["wait_for"]
    probe, waits_for = _PROBES[wanted]
    timeout_s = int(params["timeout"])
    domain = find_domain(connection, name)
    if domain is None:
        return False
    with Watch(connection, domain) as watch:
        if watch.until(lambda: probe(connection, domain), timeout_s, _RECHECK_S) is None:
            raise WaitTimeout(
                f"Domain {name} was waited for until {waits_for}, but {timeout_s} s were not enough. {_seen(domain)} "
                "Raise timeout, or look at the domain's console.",
                details={"wait_for": wanted, "timeout_s": timeout_s, "power": power_of(domain)},
            )
    return True


def _has_address(connection: Connection, domain: Any) -> bool | None:
    if power_of(domain) not in ACTIVE:
        return None
    return True if any(is_reachable(address) for address in addresses_of(connection, domain)) else None


def is_reachable(address: str) -> bool:
    """Not the link-local address that an interface has as soon as it is up: nothing beyond its own link can use it."""
    return not ipaddress.ip_address(address.partition("%")[0]).is_link_local


def _has_agent(_connection: Connection, domain: Any) -> bool | None:
    return True if _agent_state(domain) == "connected" else None


def _is_stopped(_connection: Connection, domain: Any) -> bool | None:
    return None if power_of(domain) in ACTIVE else True


def _agent_state(domain: Any) -> str | None:
    if power_of(domain) not in ACTIVE:
        return None
    target = etree.fromstring(domain.XMLDesc()).find(_AGENT)
    return None if target is None else str(target.get("state", "unknown"))


def _seen(domain: Any) -> str:
    """What a person wants to know of a guest that does not answer."""
    power = power_of(domain)
    try:
        agent = _agent_state(domain)
    except libvirt.libvirtError:
        agent = None
    return f"It is {power}; {'it has no agent channel' if agent is None else f'its agent is {agent}'}."


_PROBES: dict[str, tuple[Callable[[Connection, Any], bool | None], str]] = {
    "address": (_has_address, "it has an address that is not link-local"),
    "agent": (_has_agent, "its guest agent answers"),
    "stopped": (_is_stopped, "it is stopped"),
}
