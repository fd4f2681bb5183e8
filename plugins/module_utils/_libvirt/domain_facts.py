# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains as the modules return them, read with as few calls as libvirt allows. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .._deps import libvirt, require
from .._errors import NotFoundError
from .._xml.document import parse
from .connection import Connection
from .domain_record import take_record
from .domain_state import ACTIVE
from .domain_summary import summary
from .domain_words import state_words
from .errors import is_code

if TYPE_CHECKING:
    from .domain_addresses import Addresses
    from .domain_chains import Chains

GATHER = ("addresses", "chains", "statistics", "xml")


@dataclass(frozen=True)
class _Bulk:
    """What libvirt tells of many domains in one call each; sets of UUIDs."""

    persistent: frozenset[str] = frozenset()
    autostart: frozenset[str] = frozenset()
    managed_save: frozenset[str] = frozenset()
    with_snapshots: frozenset[str] = frozenset()
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def describe_one(connection: Connection, domain: Any, gather: Iterable[str] = ("addresses",)) -> dict[str, Any]:
    """One domain, given as libvirt's object: six calls, one for its snapshots, and those of `Addresses`."""
    bulk = _Bulk(
        persistent=_self_if(domain, domain.isPersistent()),
        autostart=_self_if(domain, _or_none(domain.autostart)),
        managed_save=_self_if(domain, _or_none(domain.hasManagedSaveImage)),
        with_snapshots=_self_if(domain, True),
        statistics=_statistics(connection, [domain], detailed="statistics" in gather),
    )
    return _Describer(connection, bulk, frozenset(gather)).describe(domain)


def addresses_of(connection: Connection, domain: Any) -> list[str]:
    """The addresses of a running domain: leases, agent, ARP."""
    live = parse(domain.XMLDesc())
    described = summary(live, connection.uri)
    from .domain_addresses import Addresses

    Addresses(connection).add(domain, live, described)
    return [entry["address"] for interface in described["interfaces"] for entry in interface["addresses"]]


def read_domains(connection: Connection, params: Mapping[str, Any]) -> dict[str, Any]:
    """The domains that domain_info was asked for.

    Calls: six for all domains together (five lists and the statistics), one for the XML of each domain that is returned
    (two with `xml`), one for each that has snapshots, and those of `Addresses` and `Chains`.
    """
    require("lxml")
    gather = frozenset(params["gather"])
    handle = connection.handle
    listed = {domain.name(): domain for domain in handle.listAllDomains()}
    wanted = _wanted(connection, listed, params)
    statistics = _statistics(connection, wanted, detailed="statistics" in gather)
    wanted = [domain for domain in wanted if _has_state(statistics.get(domain.UUIDString(), {}), params["state"])]
    bulk = _Bulk(
        persistent=_uuids(handle, "VIR_CONNECT_LIST_DOMAINS_PERSISTENT"),
        autostart=_uuids(handle, "VIR_CONNECT_LIST_DOMAINS_AUTOSTART"),
        managed_save=_uuids(handle, "VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE"),
        with_snapshots=_uuids(handle, "VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT"),
        statistics=statistics,
    )
    describer = _Describer(connection, bulk, gather)
    domains = [described for described in map(describer.describe_if_there, wanted) if described is not None]
    tags = set(params["tags"])
    return {"domains": [described for described in domains if tags <= set(described["tags"])]}


class _Describer:
    """Describes domains of one connection; what several share (leases, base images) is read once."""

    def __init__(self, connection: Connection, bulk: _Bulk, gather: frozenset[str]) -> None:
        self._connection = connection
        self._bulk = bulk
        self._gather = gather

    @cached_property
    def _addresses(self) -> Addresses:
        from .domain_addresses import Addresses  # domains that do not run have none: no import for them

        return Addresses(self._connection)

    @cached_property
    def _chains(self) -> Chains:
        from .domain_chains import Chains  # the module domain never asks for them

        return Chains(self._connection)

    def describe_if_there(self, domain: Any) -> dict[str, Any] | None:
        """None for a domain that went away since it was listed."""
        try:
            return self.describe(domain)
        except libvirt.libvirtError as error:
            if is_code(error, "VIR_ERR_NO_DOMAIN"):
                return None
            raise

    def describe(self, domain: Any) -> dict[str, Any]:
        """The dictionary of one domain."""
        uuid = domain.UUIDString()
        bulk = self._bulk
        statistics = bulk.statistics.get(uuid, {})
        state, reason = state_words(statistics.get("state.state", -1), statistics.get("state.reason", -1))
        active = state in ACTIVE
        text = domain.XMLDesc()
        tree = parse(text)
        take_record(tree)
        described = {
            "name": domain.name(),
            "uuid": uuid,
            "id": domain.ID() if active and domain.ID() >= 0 else None,
            "state": state,
            "reason": reason,
            "active": active,
            "persistent": uuid in bulk.persistent,
            "autostart": uuid in bulk.autostart,
            "managed_save": uuid in bulk.managed_save,
            "snapshots": (_or_none(domain.snapshotNum) or 0) if uuid in bulk.with_snapshots else 0,
            **summary(tree, self._connection.uri),
        }
        if active and "addresses" in self._gather:
            self._addresses.add(domain, tree, described)
        if not active and "chains" in self._gather:
            self._chains.add(described)
        if "statistics" in self._gather:
            described["statistics"] = dict(statistics)
        if "xml" in self._gather:
            described["xml"] = self._both_texts(domain, text, active, described["persistent"])
        return described

    @staticmethod
    def _both_texts(domain: Any, text: str, active: bool, persistent: bool) -> dict[str, str | None]:
        """What virsh dumpxml prints, without and with --inactive."""
        if not active:
            return {"inactive": text, "live": None}
        inactive = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) if persistent else None
        return {"inactive": inactive, "live": text}


def _wanted(connection: Connection, listed: Mapping[str, Any], params: Mapping[str, Any]) -> list[Any]:
    """The domains of the given names, in their order, or all, by name."""
    names = list(dict.fromkeys(params["name"])) or sorted(listed)
    missing = [name for name in names if name not in listed]
    if missing and not params["ignore_missing"]:
        raise NotFoundError(
            f"{'Domains' if len(missing) > 1 else 'A domain'} named {', '.join(missing)} was asked for, but "
            f"{connection.uri} has {', '.join(sorted(listed)) or 'none'}. Correct the name, or set ignore_missing.",
            details={"missing": missing},
        )
    uuids = {uuid.lower() for uuid in params["uuid"]}
    found = [listed[name] for name in names if name in listed]
    return [domain for domain in found if not uuids or domain.UUIDString() in uuids]


def _has_state(statistics: Mapping[str, Any], states: list[str]) -> bool:
    """Whether a domain is in one of the states; `active` and `inactive` stand for several."""
    if not states:
        return True
    word, _reason = state_words(statistics.get("state.state", -1), -1)
    return word in states or ("active" if word in ACTIVE else "inactive") in states


def _uuids(handle: Any, flag: str) -> frozenset[str]:
    """The domains that libvirt lists under a flag; a driver that can't tell has none."""
    try:
        return frozenset(domain.UUIDString() for domain in handle.listAllDomains(getattr(libvirt, flag)))
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_SUPPORT") or is_code(error, "VIR_ERR_INVALID_ARG"):
            return frozenset()
        raise


def _statistics(connection: Connection, domains: list[Any], *, detailed: bool) -> dict[str, Mapping[str, Any]]:
    """One call for all; without `detailed` only the state."""
    if not domains:
        return {}
    kinds = 0 if detailed else libvirt.VIR_DOMAIN_STATS_STATE
    try:
        # a domain that is busy tells less, instead of letting all others wait
        found = connection.handle.domainListGetStats(domains, kinds, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)
    except libvirt.libvirtError as error:
        if not is_code(error, "VIR_ERR_NO_SUPPORT") and not is_code(error, "VIR_ERR_INVALID_ARG"):
            raise
        return {domain.UUIDString(): _state_of(domain) for domain in domains}
    return {domain.UUIDString(): statistics for domain, statistics in found}


def _state_of(domain: Any) -> Mapping[str, Any]:
    """A call for one domain, for drivers without bulk statistics, such as LXC."""
    state, reason = domain.state()
    return {"state.state": state, "state.reason": reason}


def _self_if(domain: Any, holds: Any) -> frozenset[str]:
    return frozenset({domain.UUIDString()}) if holds else frozenset()


def _or_none(call: Any) -> Any:
    """The call's answer; None where the driver has no such thing, or a transient domain can't have it."""
    try:
        return call()
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_SUPPORT") or is_code(error, "VIR_ERR_OPERATION_INVALID"):
            return None
        raise
