# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed options of a domain: golden XML, errors, defaults, and that every option is exercised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._errors import DeclarationError
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_options import DOMAIN_OPTIONS, declared
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_options.completion import completed
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.host_facts import HostFacts
from ansible_collections.nestbox.virt.plugins.module_utils._xml.document import parse, to_text

DATA = Path(__file__).with_name("domain_options")
GROUPS = ("identity", "machine", "compute", "disks", "interfaces", "devices")
NAMING = ArgumentSpec(options={"name": {"type": "str"}, "uuid": {"type": "str"}, "xml": {"type": "str"}})
SPEC = (NAMING + DOMAIN_OPTIONS).as_module_arguments()

Case = dict[str, Any]


def load(name: str) -> list[Case]:
    """The cases of a data file."""
    cases: list[Case] = yaml.safe_load((DATA / f"{name}.yml").read_text())
    return cases


def golden_cases() -> list[Any]:
    """Every golden case, named by file and case."""
    return [pytest.param(case, id=f"{group}: {case['name']}") for group in GROUPS for case in load(group)]


def params_of(options: dict[str, Any]) -> dict[str, Any]:
    """The parameters that a module gets for `options`, by Ansible's own validation."""
    names = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
    validator = ArgumentSpecValidator(SPEC["argument_spec"], **{name: SPEC[name] for name in names})
    result = validator.validate(options)
    assert not result.error_messages, result.error_messages
    parameters: dict[str, Any] = result.validated_parameters
    return parameters


def host_of(case: Case) -> HostFacts:
    """The host that the case asks for."""
    given = dict(case.get("host", {}))
    if "kvm_arches" in given:
        given["kvm_arches"] = frozenset(given["kvm_arches"])
    formats = given.pop("volume_formats", {})
    return replace(HostFacts(), **given, volume_format=lambda pool, volume: formats.get(f"{pool}/{volume}"))


@pytest.mark.parametrize("case", golden_cases())
def test_options_give_this_xml(case: Case) -> None:
    tree, emptied = declared(params_of(case["options"]), host_of(case))
    assert to_text(tree) == case["xml"]
    assert sorted(emptied) == case.get("emptied", [])


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in load("errors")])
def test_bad_options_are_refused(case: Case) -> None:
    with pytest.raises(DeclarationError) as caught:
        declared(params_of(case["options"]), host_of(case))
    assert caught.value.message == case["message"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in load("completed")])
def test_completion(case: Case) -> None:
    """`merged` is what the engine made of an existing domain and the options; without it the domain is new."""
    params, host = params_of(case["options"]), host_of(case)
    current = parse(case["current"]) if "current" in case else None
    merged = parse(case["merged"]) if "merged" in case else declared(params, host)[0]
    before = to_text(merged)
    assert to_text(completed(merged, params, host, current)) == case["xml"]
    assert to_text(merged) == before, "completion must not change its input"


def test_targets_stay_when_a_disk_is_added_behind() -> None:
    """A longer list gives the earlier disks the same targets."""
    disks = [
        {"file": f"/images/{number}.img", "bus": bus} for number, bus in enumerate(["virtio", "sata", "virtio", "scsi"])
    ]
    seen = []
    for length in range(1, len(disks) + 1):
        tree, _notes = declared(params_of({"disks": disks[:length]}), HostFacts())
        seen.append([target.get("dev") for target in tree.iterfind("devices/disk/target")])
    assert seen[-1] == ["vda", "sda", "vdb", "sdb"]
    assert all(seen[-1][: len(short)] == short for short in seen)


def test_every_option_is_exercised() -> None:
    """An option that no golden case names is an error here."""
    used = {path for group in GROUPS for case in load(group) for path in _paths(case["options"])}
    known = set(_spec_paths(DOMAIN_OPTIONS.options))
    assert known - used == set()


def test_every_choice_of_a_new_domain_has_a_reason() -> None:
    from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_options.defaults import DEFAULTS_FOR_NEW

    assert all(default.reason for default in DEFAULTS_FOR_NEW)


def _paths(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{prefix}{name}"
            yield from _paths(inner, f"{prefix}{name}.")
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, prefix)


def _spec_paths(options: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, option in options.items():
        yield f"{prefix}{name}"
        yield from _spec_paths(option.get("options", {}), f"{prefix}{name}.")
