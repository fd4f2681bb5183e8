# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the typed options give is defined by a real libvirtd, and then it is unchanged under the same options."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import libvirt
import pytest

from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.connection import Connection
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_options import declared
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_options.completion import completed
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.host_facts import HostFacts, read_host_facts
from ansible_collections.nestbox.virt.plugins.module_utils._xml.compare import equal
from ansible_collections.nestbox.virt.plugins.module_utils._xml.document import parse, to_text
from ansible_collections.nestbox.virt.plugins.module_utils._xml.domain_tables import DOMAIN
from ansible_collections.nestbox.virt.plugins.module_utils._xml.merge import merge, normalise
from tests.bench.daemon import Daemon
from tests.conftest import BoundModule
from tests.unit.test_domain_options import Case, golden_cases, load, params_of

# completed: the new ones among them, with what makes a good domain out of few options
_NEW = [pytest.param(case, id=f"completed: {case['name']}") for case in load("completed") if "merged" not in case]
_FOR_QEMU = [param for param in (*golden_cases(), *_NEW) if "not_definable" not in param.values[0]]


def define(connection: Any, case: Case, host: HostFacts) -> tuple[str, dict[str, Any]]:
    """The XML of the domain that the case's options make, and the options."""
    params = {**params_of(case["options"]), "name": "nbt-options"}
    tree, _notes = declared(params, host)
    text = to_text(completed(tree, params, host))
    # the schema too: libvirt's parser alone overlooks what it does not know
    return connection.defineXMLFlags(text, libvirt.VIR_DOMAIN_DEFINE_VALIDATE).XMLDesc(), params


@pytest.mark.parametrize("case", _FOR_QEMU)
def test_options_can_be_defined_and_stay(clean_libvirtd: Daemon, case: Case) -> None:
    with Connection(clean_libvirtd.uri, read_only=False) as connection:
        host = read_host_facts(connection)
        if "cpu_vendor" in case.get("host", {}):
            host = replace(host, cpu_vendor=case["host"]["cpu_vendor"])
        if case["options"].get("type") == "kvm" and not host.kvm_usable:
            pytest.skip("this host has no usable KVM")
        text, params = define(connection.handle, case, host)
    current = normalise(parse(text), DOMAIN)
    tree, emptied = declared(params, host, current)
    again = completed(merge(current, tree, DOMAIN, emptied=emptied), params, host, current)
    assert to_text(again) == to_text(current)
    assert equal(again, current)


@pytest.mark.parametrize("case", _FOR_QEMU)
def test_an_existing_domain_takes_the_options_and_then_stays(module: BoundModule, case: Case) -> None:
    """From a domain with the defaults, which has some of what the cases take away, to what the case declares."""
    full = {"disks": [{"file": "/images/old.img"}, {"device": "cdrom", "file": "/images/old.iso"}], "tags": ["old"]}
    full |= {"tpm": {"version": "2.0"}, "watchdog": {"model": "i6300esb"}, "interfaces": [{"network": "default"}]}
    uuid = {"uuid": case["options"]["uuid"]} if "uuid" in case["options"] else {}
    args = {**case["options"], **uuid, "name": "nbt-options"}
    base = {"name": "nbt-options", "type": args.get("type", "qemu"), "machine": args.get("machine", "q35"), **uuid}
    assert module("domain", {**base, **full})["failed"] is False
    foreseen = module("domain", args, check=True)
    done = module("domain", args)
    assert not foreseen["failed"], foreseen["msg"]
    assert not done["failed"], done["msg"]
    assert foreseen["changed"] is done["changed"]
    again = module("domain", args)
    assert (again["failed"], again["changed"]) == (False, False), again


def test_the_host_is_what_libvirt_says(clean_libvirtd: Daemon) -> None:
    with Connection(clean_libvirtd.uri, read_only=True) as connection:
        facts = read_host_facts(connection)
    capabilities = parse(clean_libvirtd.virsh("capabilities"))
    assert facts.driver == "qemu"
    assert facts.arch == capabilities.findtext("host/cpu/arch")
    assert facts.cpu_vendor == capabilities.findtext("host/cpu/vendor")
    assert facts.machines["x86_64"] == "q35"
    kvm = "<domain type='kvm'" in clean_libvirtd.virsh("capabilities")
    assert facts.best_type() == ("kvm" if kvm else "qemu")


def test_the_format_of_a_volume_is_the_volumes_own(clean_libvirtd: Daemon) -> None:
    pool = "<pool type='dir'><name>default</name><target><path>/var/lib/libvirt/images</path></target></pool>"
    volume = "<volume><name>system</name><capacity>1048576</capacity><target><format type='qcow2'/></target></volume>"
    with Connection(clean_libvirtd.uri, read_only=False) as connection:
        connection.handle.storagePoolCreateXML(pool).createXML(volume)
        facts = read_host_facts(connection)
        assert facts.format_of("default", "system", None) == "qcow2"
        assert facts.format_of("default", "missing", None) is None
        assert facts.format_of("missing", "system.img", None) == "raw"


def test_other_drivers_give_facts_too() -> None:
    with Connection("test:///default", read_only=False) as connection:
        facts = read_host_facts(connection)
        assert facts.best_type() == "test"
        text, _notes = define(connection.handle, {"options": {"name": "nbt-options"}}, facts)
    assert parse(text).get("type") == "test"


def test_a_new_domain_of_few_options_starts_and_takes_another_disk_while_it_runs(clean_libvirtd: Daemon) -> None:
    """What the defaults promise: it starts, it has a console and a screen, and there is room to plug something in."""
    options = {"name": "nbt-options", "type": "qemu", "memory": "64 MiB"}
    image = "/var/lib/libvirt/images/more.img"
    with Connection(clean_libvirtd.uri, read_only=False) as connection:
        host = read_host_facts(connection)
        params = params_of(options)
        domain = connection.handle.defineXML(to_text(completed(declared(params, host)[0], params, host)))
        clean_libvirtd.exec("truncate", "--size=1M", image)
        domain.create()
        for target in ("vda", "vdb", "vdc", "vdd"):
            disk = f"<disk type='file'><source file='{image}'/><target dev='{target}' bus='virtio'/>"
            domain.attachDevice(f"{disk}<driver name='qemu' type='raw'/><shareable/></disk>")
        live = parse(domain.XMLDesc())
        assert live.find("devices/console[@tty]") is not None
        assert clean_libvirtd.virsh("vncdisplay", "nbt-options").startswith("127.0.0.1:")
        domain.destroy()
    assert len(live.findall("devices/disk")) == 4


def test_reading_the_host_is_safe_from_threads(clean_libvirtd: Daemon) -> None:
    """The lab reads once and plans in threads: the facts are plain data."""
    with Connection(clean_libvirtd.uri, read_only=True) as connection:
        facts = read_host_facts(connection)
    params = params_of({"name": "nbt-options", "disks": [{"file": "/images/a.qcow2"}]})
    seen: list[str] = []
    threads = [
        threading.Thread(target=lambda: seen.append(to_text(completed(declared(params, facts)[0], params, facts))))
        for _number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1
    assert len(seen) == 8
