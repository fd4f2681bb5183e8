# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""domain_info on a real libvirtd, compared with what virsh prints, and the number of its calls."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import libvirt
import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.modules import domain_info
from tests.bench.daemon import Daemon
from tests.bench.guest_image import guest_image
from tests.bench.module import run_module, succeed
from tests.conftest import BoundModule

_IMAGES = "/var/lib/libvirt/images"
_TAGS = (
    "<metadata><nestbox:domain xmlns:nestbox='https://nestbox.virt/xmlns/domain/1'><nestbox:tags>"
    "<nestbox:tag>lab</nestbox:tag><nestbox:tag>web</nestbox:tag></nestbox:tags></nestbox:domain></metadata>"
)
_PLAIN = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory><os><type machine='pc'>hvm</type></os></domain>
"""
_FULL = f"""
<domain type='qemu'><name>nbt-full</name><title>A title</title>{_TAGS}
<memory unit='MiB'>64</memory><currentMemory unit='MiB'>32</currentMemory><vcpu current='1'>2</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<devices>
<disk type='file'><driver name='qemu' type='qcow2'/><source file='{_IMAGES}/top.qcow2'/><target dev='vda' bus='virtio'/>
<serial>one</serial></disk>
<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
<interface type='network'><source network='nbt-lan'/><model type='virtio'/><mac address='52:54:00:00:65:01'/>
<alias name='ua-front'/></interface>
<interface type='user'><model type='e1000e'/><link state='down'/></interface>
<serial type='pty'><log file='/var/log/libvirt/nbt-full.log'/></serial>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<graphics type='vnc' autoport='yes' listen='127.0.0.1'/>
</devices></domain>
"""
_LAN = """
<network><name>nbt-lan</name><bridge name='nbt-lan0' stp='off' delay='0'/>
<ip address='198.51.100.1' netmask='255.255.255.0'><dhcp><range start='198.51.100.10' end='198.51.100.99'/></dhcp></ip>
</network>
"""
_POOL = f"<pool type='dir'><name>images</name><target><path>{_IMAGES}</path></target></pool>"
_GUEST_TIMEOUT_S = 120

Facts = dict[str, Any]


def chain_of_images(daemon: Daemon) -> None:
    """base.raw, below middle.qcow2, below top.qcow2, in a pool."""
    daemon.exec("truncate", "--size=1M", f"{_IMAGES}/base.raw")
    for name, below, kind in (("middle", "base.raw", "raw"), ("top", "middle.qcow2", "qcow2")):
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", f"{_IMAGES}/{below}"]
        daemon.exec(*command, f"{_IMAGES}/{name}.qcow2")
    with daemon.connect() as connection:
        connection.storagePoolCreateXML(_POOL)


@pytest.fixture
def full(clean_libvirtd: Daemon) -> Daemon:
    """A running domain with a bit of everything, and one that is only defined."""
    chain_of_images(clean_libvirtd)
    with clean_libvirtd.connect() as connection:
        connection.networkCreateXML(_LAN)
        connection.defineXML(_FULL).create()
        connection.defineXML(_PLAIN.format(name="nbt-stopped"))
    return clean_libvirtd


def info(daemon: Daemon, **args: Any) -> list[Facts]:
    """The domains that domain_info returns."""
    result = succeed("domain_info", {"uri": daemon.uri, **args})
    assert result["changed"] is False
    domains: list[Facts] = result["domains"]
    return domains


def one(daemon: Daemon, name: str, **args: Any) -> Facts:
    """The only domain that domain_info returns for this name."""
    domains = info(daemon, name=[name], **args)
    assert [domain["name"] for domain in domains] == [name]
    return domains[0]


def table(text: str) -> dict[str, str]:
    """virsh's `Key:   value` lines."""
    return {
        key.strip(): value.strip() for key, _colon, value in (line.partition(":") for line in text.splitlines()) if key
    }


def test_it_says_what_virsh_says_of_a_running_domain(full: Daemon) -> None:
    facts = one(full, "nbt-full")
    dominfo = table(full.virsh("dominfo", "nbt-full"))
    assert full.virsh("domstate", "--reason", "nbt-full").strip() == f"{facts['state']} ({facts['reason']})"
    assert dominfo["UUID"] == facts["uuid"]
    assert dominfo["Id"] == str(facts["id"])
    assert dominfo["State"] == facts["state"]
    assert dominfo["CPU(s)"] == str(facts["vcpus"])
    assert dominfo["Max memory"] == f"{facts['maximum_memory_kib']} KiB"
    assert dominfo["Used memory"] == f"{facts['memory_kib']} KiB"
    assert dominfo["Persistent"] == "yes"
    assert facts["persistent"] is True
    assert dominfo["Autostart"] == "disable"
    assert facts["autostart"] is False
    assert full.virsh("vncdisplay", "nbt-full").strip() == facts["graphics"][0]["display"]
    assert full.virsh("ttyconsole", "nbt-full").strip() == facts["console"]
    assert full.virsh("vcpucount", "nbt-full", "--maximum", "--config").strip() == str(facts["maximum_vcpus"])


def test_it_says_what_virsh_says_of_interfaces_and_disks(full: Daemon) -> None:
    facts = one(full, "nbt-full")
    interfaces = [line.split() for line in full.virsh("domiflist", "nbt-full").splitlines()]
    assert interfaces == [
        [item["target"] or "-", item["type"], item["source"] or "-", item["model"], item["mac"]]
        for item in facts["interfaces"]
    ]
    disks = [line.split() for line in full.virsh("domblklist", "nbt-full", "--details").splitlines()]
    assert disks == [[item["type"], item["device"], item["target"], item["source"] or "-"] for item in facts["disks"]]
    assert (
        facts["interfaces"][1]["link"]
        == full.virsh("domif-getlink", "nbt-full", facts["interfaces"][1]["mac"]).split()[-1]
    )


def test_the_rest_of_a_running_domain(full: Daemon) -> None:
    facts = one(full, "nbt-full")
    assert (facts["title"], facts["description"], facts["tags"]) == ("A title", None, ["lab", "web"])
    assert (facts["type"], facts["os_type"], facts["arch"]) == ("qemu", "hvm", "x86_64")
    assert re.fullmatch(r"pc-q35-[\d.]+", facts["machine"])
    assert facts["agent"] == "disconnected"
    assert facts["console_log"] == "/var/log/libvirt/nbt-full.log"
    port = facts["graphics"][0]["port"]
    assert facts["graphics"][0]["uri"] == f"vnc://127.0.0.1:{port}"
    assert facts["graphics"][0]["display"] == f"127.0.0.1:{port - 5900}"
    assert facts["interfaces"][0]["alias"] == "ua-front"
    assert [item["source"] for item in facts["disks"][0]["chain"]] == [f"{_IMAGES}/middle.qcow2", f"{_IMAGES}/base.raw"]
    assert "statistics" not in facts
    assert "xml" not in facts


def test_a_stopped_domain_and_its_words(full: Daemon) -> None:
    facts = one(full, "nbt-stopped")
    assert full.virsh("domstate", "--reason", "nbt-stopped").strip() == f"{facts['state']} ({facts['reason']})"
    assert (facts["state"], facts["active"], facts["id"], facts["console"]) == ("shut off", False, None, None)
    full.virsh("autostart", "nbt-stopped")
    assert one(full, "nbt-stopped")["autostart"] is True


@pytest.mark.parametrize(
    ("commands", "state", "reason"),
    [
        ([["suspend"]], "paused", "user"),
        ([["suspend"], ["resume"]], "running", "unpaused"),
        ([["destroy"]], "shut off", "destroyed"),
        ([["managedsave"]], "shut off", "saved"),
        ([["managedsave"], ["start"]], "running", "restored"),
        ([["destroy"], ["start", "--paused"]], "paused", "starting up"),
    ],
)
def test_states_and_reasons_are_virshs_words(
    clean_libvirtd: Daemon, commands: list[list[str]], state: str, reason: str
) -> None:
    with clean_libvirtd.connect() as connection:
        connection.defineXML(_PLAIN.format(name="nbt-state")).create()
    for command in commands:
        clean_libvirtd.virsh(command[0], "nbt-state", *command[1:])
    facts = one(clean_libvirtd, "nbt-state")
    printed = clean_libvirtd.virsh("domstate", "--reason", "nbt-state").strip()
    assert printed == f"{facts['state']} ({facts['reason']})"
    if (state, reason) != ("paused", "starting up"):  # libvirt 9 says user here
        assert (facts["state"], facts["reason"]) == (state, reason)
    assert facts["managed_save"] is (reason == "saved")


def test_a_transient_domain(clean_libvirtd: Daemon) -> None:
    with clean_libvirtd.connect() as connection:
        connection.createXML(_PLAIN.format(name="nbt-transient"))
    facts = one(clean_libvirtd, "nbt-transient", gather=["xml"])
    assert (facts["persistent"], facts["autostart"], facts["xml"]["inactive"]) == (False, False, None)
    assert facts["xml"]["live"] == clean_libvirtd.virsh("dumpxml", "nbt-transient")


def test_snapshots_are_counted(clean_libvirtd: Daemon) -> None:
    clean_libvirtd.exec("qemu-img", "create", "-q", "-f", "qcow2", f"{_IMAGES}/s.qcow2", "1M")
    source = f"<source file='{_IMAGES}/s.qcow2'/><target dev='vda'/>"
    disk = f"<devices><disk type='file'><driver name='qemu' type='qcow2'/>{source}</disk></devices>"
    text = _PLAIN.format(name="nbt-snapshots").replace("</domain>", f"{disk}</domain>")
    with clean_libvirtd.connect() as connection:
        domain = connection.defineXML(text)
        for _number in range(2):
            domain.snapshotCreateXML("<domainsnapshot/>")
            time.sleep(1.1)  # libvirt names a snapshot by the second
    assert one(clean_libvirtd, "nbt-snapshots")["snapshots"] == 2


def test_the_definitions_are_what_dumpxml_prints(full: Daemon) -> None:
    facts = one(full, "nbt-full", gather=["xml"])
    assert facts["xml"]["live"] == full.virsh("dumpxml", "nbt-full")
    assert facts["xml"]["inactive"] == full.virsh("dumpxml", "--inactive", "nbt-full")
    assert one(full, "nbt-stopped", gather=["xml"])["xml"]["live"] is None


def test_every_key_is_documented(full: Daemon) -> None:
    documented = yaml.safe_load(domain_info.RETURN)["domains"]["contains"]
    assert set(one(full, "nbt-full", gather=["statistics", "xml"])) == set(documented)


def test_statistics_are_named_as_domstats_names_them(full: Daemon) -> None:
    facts = one(full, "nbt-full", gather=["statistics"])
    printed = {line.strip().partition("=")[0] for line in full.virsh("domstats", "nbt-full").splitlines()[1:]}
    assert set(facts["statistics"]) == printed - {""}
    assert facts["statistics"]["balloon.current"] > 0


def test_the_chain_of_a_stopped_domain_comes_from_its_volumes(full: Daemon) -> None:
    full.virsh("destroy", "nbt-full")
    assert one(full, "nbt-full")["disks"][0]["chain"] == []
    expected = [
        {"source": f"{_IMAGES}/middle.qcow2", "format": "qcow2"},
        {"source": f"{_IMAGES}/base.raw", "format": "raw"},
    ]
    disk = one(full, "nbt-full", gather=["chains"])["disks"][0]
    assert disk["chain"] == expected
    by_volume = _FULL.replace("type='file'><driver", "type='volume'><driver", 1)
    by_volume = by_volume.replace(f"file='{_IMAGES}/top.qcow2'", "pool='images' volume='top.qcow2'")
    with full.connect() as connection:
        connection.lookupByName("nbt-full").undefine()
        connection.defineXML(by_volume)
    disk = one(full, "nbt-full", gather=["chains"])["disks"][0]
    assert (disk["pool"], disk["source"], disk["chain"]) == ("images", "top.qcow2", expected)


def test_filters(full: Daemon) -> None:
    def names(**args: Any) -> list[str]:
        return [domain["name"] for domain in info(full, gather=[], **args)]

    stopped = full.virsh("domuuid", "nbt-stopped").strip()
    assert names() == ["nbt-full", "nbt-stopped"]
    assert names(name=["nbt-stopped", "nbt-full"]) == ["nbt-stopped", "nbt-full"]
    assert names(name=["nbt-stopped", "nbt-stopped"]) == ["nbt-stopped"]
    assert names(uuid=[stopped.upper()]) == ["nbt-stopped"]
    assert names(uuid=["00000000-0000-0000-0000-000000000000"]) == []
    assert names(tags=["lab"]) == ["nbt-full"]
    assert names(tags=["lab", "db"]) == []
    assert names(state=["active"]) == ["nbt-full"]
    assert names(state=["inactive"]) == ["nbt-stopped"]
    assert names(state=["shut off", "running"]) == ["nbt-full", "nbt-stopped"]
    assert names(state=["paused"]) == []


def test_a_missing_domain_is_an_error_that_names_it_unless_ignored(full: Daemon) -> None:
    result = run_module("domain_info", {"uri": full.uri, "name": ["nbt-full", "nbt-none"]})
    assert result["failed"] is True
    assert result["error"]["code"] == "not_found"
    assert result["error"]["missing"] == ["nbt-none"]
    assert "nbt-none" in result["msg"]
    assert "nbt-full, nbt-stopped" in result["msg"]
    found = info(full, name=["nbt-full", "nbt-none"], ignore_missing=True)
    assert [domain["name"] for domain in found] == ["nbt-full"]


def test_a_daemon_without_domains(clean_libvirtd: Daemon) -> None:
    assert info(clean_libvirtd) == []


def test_the_test_driver_is_read_too() -> None:
    args = {"uri": "test:///default", "gather": ["addresses", "chains", "statistics", "xml"]}
    (domain,) = succeed("domain_info", args)["domains"]
    assert (domain["name"], domain["state"], domain["type"], domain["persistent"]) == ("test", "running", "test", True)
    assert domain["xml"]["inactive"].startswith("<domain type='test'")


def test_reading_writes_nothing(full: Daemon) -> None:
    before = full.state()
    info(full, gather=["addresses", "chains", "statistics", "xml"])
    full.assert_unchanged(before, "domain_info")


def calls(daemon: Daemon, log: Path, **args: Any) -> Counter[int]:
    """How often each of libvirt's remote procedures was called, by the client library's own log."""
    log.unlink(missing_ok=True)
    environment = {"LIBVIRT_LOG_FILTERS": "1:rpc", "LIBVIRT_LOG_OUTPUTS": f"1:file:{log}"}
    succeed("domain_info", {"uri": daemon.uri, **args}, env=environment)
    return Counter(
        int(found) for found in re.findall(r"RPC_CLIENT_MSG_TX_QUEUE:.* proc=(\d+) type=0 ", log.read_text())
    )


_XML_DESC = 14  # REMOTE_PROC_DOMAIN_GET_XML_DESC (https://gitlab.com/libvirt/libvirt, remote_protocol.x)


@pytest.mark.parametrize("gather", [[], ["addresses"], ["statistics"], ["chains"]])
def test_fault_7_a_hundred_domains_cost_as_many_bulk_calls_as_three(
    clean_libvirtd: Daemon, tmp_path: Path, gather: list[str]
) -> None:
    with clean_libvirtd.connect() as connection:
        for number in range(3):
            connection.defineXML(_PLAIN.format(name=f"nbt-{number:03}"))
        connection.lookupByName("nbt-000").create()
        few = calls(clean_libvirtd, tmp_path / "few.log", gather=gather)
        for number in range(3, 100):
            connection.defineXML(_PLAIN.format(name=f"nbt-{number:03}"))
    many = calls(clean_libvirtd, tmp_path / "many.log", gather=gather)
    assert few.pop(_XML_DESC) == 3
    assert many.pop(_XML_DESC) == 100
    assert many == few
    assert few.total() < 20


def test_one_of_a_hundred_domains_costs_one_xml(clean_libvirtd: Daemon, tmp_path: Path) -> None:
    with clean_libvirtd.connect() as connection:
        for number in range(100):
            connection.defineXML(_PLAIN.format(name=f"nbt-{number:03}"))
    assert calls(clean_libvirtd, tmp_path / "one.log", name=["nbt-050"])[_XML_DESC] == 1


def test_leases_are_read_once_for_a_network(clean_libvirtd: Daemon, tmp_path: Path) -> None:
    nic = "<devices><interface type='network'><source network='nbt-lan'/></interface></devices></domain>"
    leases: list[int] = []
    with clean_libvirtd.connect() as connection:
        connection.networkCreateXML(_LAN)
        for number in range(3):
            connection.createXML(_PLAIN.format(name=f"nbt-{number}").replace("</domain>", nic))
            seen = calls(clean_libvirtd, tmp_path / "leases.log", gather=["addresses"])
            leases.append(seen[341])  # REMOTE_PROC_NETWORK_GET_DHCP_LEASES
    assert leases == [1, 1, 1]


def test_domain_returns_the_same_dictionary(module: BoundModule) -> None:
    with module.daemon.connect() as connection:
        connection.defineXML(_PLAIN.format(name="nbt-same")).create()
    told = module("domain", {"name": "nbt-same"})
    assert told["failed"] is False
    assert told["domain"] == one(module.daemon, "nbt-same")


def test_addresses_and_where_they_come_from(clean_libvirtd: Daemon) -> None:
    """A guest boots: its lease, then its agent; and without both, what the host has seen of it (ARP)."""
    image = guest_image()
    boot = f"<kernel>{image.kernel}</kernel><initrd>{image.initrd}</initrd><cmdline>{image.cmdline}</cmdline>"
    text = f"""<domain type='qemu'><name>nbt-guest</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
    <os><type arch='x86_64' machine='q35'>hvm</type>{boot}</os><features><acpi/></features>
    <devices><interface type='network'><source network='nbt-lan'/><model type='virtio'/>
    <mac address='52:54:00:00:65:02'/></interface>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices></domain>"""
    with clean_libvirtd.connect() as connection:
        network = connection.networkCreateXML(_LAN)
        domain = connection.createXML(text)
        address = _wait_for_guest(network, domain)
        (interface,) = one(clean_libvirtd, "nbt-guest")["interfaces"]
        sources = {entry["address"]: entry["source"] for entry in interface["addresses"]}
        assert sources.pop(address) == "lease"
        assert set(sources.values()) == {"agent"}, "its link-local IPv6 address is only known inside"
        assert all(found.startswith("fe80:") for found in sources)
        in_check_mode = run_module("domain_info", {"uri": clean_libvirtd.uri}, check=True)["domains"][0]
        assert {entry["source"] for entry in in_check_mode["interfaces"][0]["addresses"]} == {"lease"}
        # the host asks the guest for something, and so learns where it is
        clean_libvirtd.exec("bash", "-c", f"exec 3<>/dev/tcp/{address}/22", check=False)
        domain.suspend()  # the agent no longer answers, and it does not hold up the others
        clean_libvirtd.path("/var/lib/libvirt/dnsmasq/nbt-lan0.status").write_text("[]")
        # on the hypervisor itself, where the module runs, for libvirt may leave the ARP table to it
        result = run_module("domain_info", {"uri": "qemu:///system"}, check=True, inside=clean_libvirtd)
        (paused,) = result["domains"]
        seen = paused["interfaces"][0]["addresses"]
        assert [(entry["address"], entry["source"]) for entry in seen] == [(address, "arp")]


def _wait_for_guest(network: Any, domain: Any) -> str:
    """The guest's lease, once its agent answers too."""
    deadline = time.monotonic() + _GUEST_TIMEOUT_S
    while time.monotonic() < deadline:
        leases = network.DHCPLeases()
        try:
            answer = domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        except libvirt.libvirtError:
            answer = {}
        found = [entry["addr"] for item in answer.values() for entry in item["addrs"] or []]
        if leases and leases[0]["ipaddr"] in found and any(text.startswith("fe80:") for text in found):
            return str(leases[0]["ipaddr"])
        time.sleep(0.2)
    raise TimeoutError(f"The guest had no lease and agent within {_GUEST_TIMEOUT_S} s")
