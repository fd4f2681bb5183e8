# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read, plan, apply, verify, answer: the only code that knows Ansible's module object. Private to this collection."""

from __future__ import annotations

import re
from typing import Any, Callable, NoReturn, TypeVar

from ansible.module_utils.basic import AnsibleModule

from ._argspec import ArgumentSpec
from ._errors import DeclarationError, NotConverged, StepFailed, VirtError
from ._libvirt.connection import Connection
from ._libvirt.errors import libvirt_errors
from ._plan import Plan, Step
from ._resource import Resource

Params = dict[str, Any]
Declared = TypeVar("Declared", bound=Resource[Any])

# https://www.w3.org/TR/xml/#charsets, turned around: the ranges that XML has take ten times as long to compile
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def run_libvirt(spec: ArgumentSpec, build: Callable[[Connection, Params], Resource[Any]], key: str) -> NoReturn:
    """A module that declares a libvirt resource; the connection is read-only in check mode."""

    def work(module: AnsibleModule) -> Params:
        _check_characters(module.params)
        _check_timeout(module.params.get("timeout"))
        with Connection(module.params["uri"], read_only=module.check_mode) as connection:
            return execute(build(connection, module.params), module.check_mode, key)

    _answer(spec, work)


def run_local(
    spec: ArgumentSpec,
    build: Callable[[Params], Declared],
    key: str,
    withheld: tuple[str, ...] = (),
    by: Callable[[Declared, bool, str], Params] | None = None,
) -> NoReturn:
    """A module that declares something on the host itself; `withheld` options never reach its result.

    `by` takes the place of `execute`: resource, whether in check mode, and the result's key.
    """

    def work(module: AnsibleModule) -> Params:
        params = dict(module.params)
        _withhold(module, withheld)  # before anything can fail: a secret as short as `x` would put stars into the error
        return (by or execute)(build(params), module.check_mode, key)

    _answer(spec, work)


def run_info(spec: ArgumentSpec, read: Callable[[Connection, Params], Params]) -> NoReturn:
    """An _info module: `read` gives the result; the connection is read-only."""

    def work(module: AnsibleModule) -> Params:
        with Connection(module.params["uri"], read_only=True, may_ask_guests=not module.check_mode) as connection:
            return {"changed": False, **read(connection, module.params)}

    _answer(spec, work)


def run_local_info(spec: ArgumentSpec, read: Callable[[Params], Params]) -> NoReturn:
    """An _info module of something on the host itself."""
    _answer(spec, lambda module: {"changed": False, **read(module.params)})


def _answer(spec: ArgumentSpec, work: Callable[[AnsibleModule], Params]) -> NoReturn:
    """Makes the module object, does the work, and turns its result or its error into JSON."""
    module = AnsibleModule(supports_check_mode=True, **spec.as_module_arguments())
    try:
        result = work(module)
    except VirtError as error:
        module.fail_json(**error.as_result())
    for warning in result.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**result)


def _check_characters(value: Any, option: str = "") -> None:
    """Raises DeclarationError where a text holds what XML can't."""
    if isinstance(value, dict):
        for key, part in value.items():
            _check_characters(part, f"{option}.{key}" if option else str(key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            _check_characters(part, f"{option}[{number}]")
    elif isinstance(value, str):
        found = _NOT_IN_XML.search(value)
        if found is not None:
            raise DeclarationError(
                f"{option} has the character U+{ord(found[0]):04X} in it, which libvirt's XML can't hold. Take it out."
            )


def _check_timeout(seconds: int | None) -> None:
    if seconds is not None and seconds < 0:
        raise DeclarationError(f"timeout was given as {seconds}. Give a number of seconds that is not negative.")


def _withhold(module: AnsibleModule, options: tuple[str, ...]) -> None:
    """Takes secret dictionaries out of what is returned. no_log alone would also put stars for their every number and
    word, a `version: 2` among them, wherever these occur in the result, paths and sizes included."""
    for option in options:
        if module.params[option] is not None:
            module.params[option] = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    if options:
        module.no_log_values.clear()


def execute(resource: Resource[Any], check_mode: bool, key: str) -> Params:
    """The way of the data: read, plan, apply unless in check mode, read again, verify."""
    current = resource.read()
    plan = resource.plan(current)
    result = plan.as_result()
    warnings = plan.warnings
    if not check_mode:
        _apply(plan)
        waited = resource.settle()
        if plan.changed or waited:
            current = resource.read()
        if plan.changed:
            left = resource.plan(current)
            _verify(plan, left)
            result.update(left.waiting())
            warnings = warnings + [text for text in left.warnings if text not in warnings]
    return {**result, key: resource.describe(current), "warnings": warnings}


def _apply(plan: Plan) -> None:
    """Applies the steps in order; the first that fails ends it, and the error says where it stood."""
    for number, step in enumerate(plan.steps):
        try:
            with libvirt_errors(step.target):
                step.apply()
        except VirtError as error:
            raise _step_failed(plan, number, step, error) from error


def _step_failed(plan: Plan, number: int, step: Step, error: VirtError) -> StepFailed:
    done = [other.summary() for other in plan.steps[:number]]
    left = [other.summary() for other in plan.steps[number + 1 :]]
    outcome = plan.put_back() if plan.put_back is not None else ""
    if not outcome and number:
        outcome = f" {number} of {len(plan.steps)} steps were done before it; a second run does the rest."
    reason = error.message.removeprefix(f"{step.target}: ")  # libvirt's errors begin with it too
    return StepFailed(
        f"{step.target}: {step.verb} failed: {reason}{outcome}",
        details={
            "cause": error.as_result()["error"],
            "failed_step": step.summary(),
            "steps_done": done,
            "steps_left": left,
        },
    )


def _verify(plan: Plan, left: Plan) -> None:
    """Raises when a second plan is not empty: the host did not take what it was given."""
    if not left.changed:
        return
    steps = "; ".join(f"{step.target}: {step.verb}" for step in left.steps)
    raise NotConverged(
        f"Every step was applied without an error, but the host still differs from the declaration ({steps}). "
        f"The difference is in error.differences: take what the host does not keep out of the declaration, or report a "
        f"fault of this collection.",
        details={
            "steps_done": [step.summary() for step in plan.steps],
            "differences": [step.diff() for step in left.steps],
        },
    )
