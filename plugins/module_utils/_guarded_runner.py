# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module whose change may cut off who asked for it. Private to this collection."""

from __future__ import annotations

from typing import Any, Callable, NoReturn

from . import _guard
from ._argspec import ArgumentSpec
from ._resource import GuardedResource
from ._runner import Params, execute, run_local


def run_guarded(spec: ArgumentSpec, build: Callable[[Params], GuardedResource[Any]], key: str) -> NoReturn:
    """A module on the host itself; its change is applied after its answer, and undone unless it is confirmed."""
    run_local(spec, build, key, by=_execute_guarded)


def _execute_guarded(resource: GuardedResource[Any], check_mode: bool, key: str) -> Params:
    """The way of the data, with a guard over its changes; what an earlier guard undid is said first."""
    _guard.check_nothing_pending()
    at_once = check_mode or not resource.confirm_timeout_s
    result = execute(resource, check_mode, key) if at_once else _execute_later(resource, key)
    result["warnings"] = _guard.unseen_reports(keep=check_mode) + result["warnings"]
    return result


def _execute_later(resource: GuardedResource[Any], key: str) -> Params:
    """Plans now, and leaves the rest to a worker and a watchdog when there is something to do."""
    current = resource.read()
    plan = resource.plan(current)
    result = {**plan.as_result(), key: resource.describe(current), "warnings": plan.warnings}
    if plan.changed:
        scope = _guard.Scope(**resource.scope(current))
        result["confirmation"] = _guard.start(
            scope, plan, resource.confirm_timeout_s, lambda: execute(resource, False, key)
        )
    return result
