# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on a host, from real trees of files."""

from __future__ import annotations

import os
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._hypervisor.report import kvm_guests, local_facts
from ansible_collections.nestbox.virt.plugins.module_utils._hypervisor.validate import parse_validation
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.files import Host

HERE = Path(__file__).parent
HOSTS = yaml.safe_load((HERE / "hosts.yml").read_text(encoding="utf-8"))
LINES = yaml.safe_load((HERE / "validation.yml").read_text(encoding="utf-8"))


def at(report: dict[str, Any], path: str) -> Any:
    return reduce(lambda part, name: part[name], path.split("."), report)


@pytest.mark.parametrize("case", HOSTS, ids=lambda case: case["id"])
def test_host(case: dict[str, Any], tmp_path: Path) -> None:
    for name, content in case["files"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    if "device" in case:
        device = tmp_path / "dev" / "kvm"
        device.parent.mkdir()
        device.touch()
        try:
            os.chown(device, case["device"]["uid"], case["device"]["gid"])
        except PermissionError:
            pytest.skip("only root can give a file away")
        device.chmod(int(case["device"]["mode"], 8))
    host = Host(tmp_path, case.get("release", "6.1.0"))
    report = local_facts(host, case.get("by_libvirt"))
    assert {path: at(report, path) for path in case["expect"]} == case["expect"]


def test_a_file_in_the_place_of_the_device_is_no_kvm(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "kvm").touch()
    kvm = local_facts(Host(tmp_path, "6.1.0"))["kvm"]
    assert not kvm["usable"]
    assert kvm["reason"].startswith("/dev/kvm does not answer as KVM")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, None),
        ({"driver": "lxc", "guests": [{"domain_types": ["lxc"]}]}, None),
        ({"driver": "qemu", "guests": []}, False),
        ({"driver": "qemu", "guests": [{"domain_types": ["qemu"]}]}, False),
        ({"driver": "qemu", "guests": [{"domain_types": ["qemu"]}, {"domain_types": ["qemu", "kvm"]}]}, True),
    ],
)
def test_what_libvirt_says_of_kvm(answer: dict[str, Any] | None, expected: bool | None) -> None:
    assert kvm_guests(answer) is expected


@pytest.mark.parametrize("case", LINES, ids=lambda case: case["line"].strip()[:50])
def test_validation(case: dict[str, Any]) -> None:
    assert parse_validation(case["line"]) == ([case["entry"]] if case["entry"] else [])
