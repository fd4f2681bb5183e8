# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which network manager holds a host's links. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping

from .._errors import ConflictError, UnsupportedError
from .backends import BACKENDS, Backend, Files
from .kernel import Kernel
from .model import PLAIN, Declaration

Managers = Mapping[str, "tuple[Backend, Files]"]  # the ones that this host runs, with their files


def available_managers(root: str = "/") -> dict[str, tuple[Backend, Files]]:
    """The managers that this host runs, with their files."""
    candidates = {name: kind(root=root) for name, kind in BACKENDS.items()}
    return {name: (backend, backend.read()) for name, backend in candidates.items() if backend.available()}


def choose(declaration: Declaration, kernel: Kernel, recorded: str | None, managers: Managers) -> Backend | None:
    """The back end for a declaration; None for persist: none. Raises where two managers claim a port."""
    if declaration.persist == "none" or (declaration.persist == "auto" and recorded == "none"):
        return None
    claims = claims_of(declaration, kernel, managers)
    if declaration.persist != "auto":
        return _asked(declaration.persist, managers, claims, declaration.name)
    if recorded is not None and recorded in managers:
        return managers[recorded][0]
    names = list(claims) or list(managers)
    if not names:
        raise UnsupportedError(
            f"The bridge {declaration.name} was to be kept over a reboot (persist: auto), and this host runs none of "
            f"{', '.join(BACKENDS)}. Install one of them, or say persist: none."
        )
    return managers[names[0]][0]


def claims_of(declaration: Declaration, kernel: Kernel, managers: Managers) -> dict[str, list[str]]:
    """For each manager what it holds; raises ConflictError where two hold the same port."""
    found: dict[str, list[str]] = {}
    for port in declaration.port_list():
        if port.kind != PLAIN:
            continue
        where = {name: backend.claims(port.name, kernel, files) for name, (backend, files) in managers.items()}
        holding = {name: place for name, place in where.items() if place}
        if len(holding) > 1:
            told = " and ".join(f"{name} ({place})" for name, place in holding.items())
            raise ConflictError(
                f"The port {port.name} is claimed by {told}: each would undo what the other does. Take it out of one "
                "of them first.",
                details={"port": port.name, "claims": holding},
            )
        for name in holding:
            found.setdefault(name, []).append(port.name)
    if len(found) > 1:
        told = "; ".join(f"{name}: {', '.join(ports)}" for name, ports in found.items())
        raise ConflictError(
            f"The ports of the bridge {declaration.name} are held by different managers ({told}), and a bridge has "
            "one. Give them to the same."
        )
    return found


def _asked(name: str, available: Managers, claims: dict[str, list[str]], bridge: str) -> Backend:
    if name not in available:
        raise UnsupportedError(
            f"The bridge {bridge} was to be kept by {name} (persist), which this host does not run. It runs "
            f"{', '.join(available) or 'none of the managers that this module knows'}."
        )
    other = next((manager for manager in claims if manager != name), None)
    if other is not None:
        raise ConflictError(
            f"The bridge {bridge} was to be kept by {name} (persist), and {other} holds its port {claims[other][0]}: "
            f"each would undo what the other does. Take the port out of {other} first, or say persist: {other}.",
            details={"port": claims[other][0], "claims": claims},
        )
    return available[name][0]
