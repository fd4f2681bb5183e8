# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module network on a real libvirtd: every option and state, live changes, restarts, and what must never happen."""

from __future__ import annotations

import ipaddress
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.connection import Connection
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.network import NetworkResource
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.network_options import options_spec
from tests.integration.network_help import NAME, NAT, make_transient, prepare

if TYPE_CHECKING:
    from tests.conftest import BoundModule

_HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = yaml.safe_load((_HERE / "network_cases.yml").read_text())
FILES = sorted((_HERE / "networks").glob("*.xml"))
# no disk, no system: QEMU runs its firmware, and its interfaces are plugged in
GUEST = """
<domain type='qemu'><name>nbt-guest</name><memory unit='MiB'>32</memory>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <interface type='network'><mac address='52:54:00:00:00:01'/><source network='{name}'/></interface>
    <interface type='network'><mac address='52:54:00:00:00:02'/><source network='{name}' portgroup='one'/></interface>
  </devices>
</domain>
"""


def _dnsmasq(module: BoundModule, suffix: str) -> str:
    return module.daemon.exec("cat", f"/var/lib/libvirt/dnsmasq/{NAME}.{suffix}", check=False).stdout


def _xml(module: BoundModule, *options: str) -> str:
    return module.daemon.virsh("net-dumpxml", NAME, *options)


def _start_guest(module: BoundModule, name: str = NAME) -> None:
    with module.daemon.connect() as connection:
        connection.createXML(GUEST.format(name=name))


def _bridges_of_taps(module: BoundModule) -> list[str]:
    return re.findall(r"^\d+: vnet\d+: .* master (\S+)", module.daemon.exec("bridge", "link").stdout, re.MULTILINE)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_four_steps(module: BoundModule, case: dict[str, Any]) -> None:
    """Check: changed, nothing written; run: changed; run and check: unchanged; what was declared is what there is."""
    prepare(module, case.get("before", []))
    foreseen, done, *_again = module.four_steps("network", {"name": NAME, **case["args"]})
    assert foreseen["steps"] == done["steps"]
    assert foreseen["diff"] == done["diff"] or case["args"].get("state") == "active"  # libvirt chooses a bridge's name
    assert done["restart_required"] is case.get("waits", False), done["restart_reasons"]
    if case.get("live"):
        assert not done["restart_required"]
        assert all(step["verb"] in ("add", "delete", "remember") for step in done["steps"]), done["steps"]
        assert _sections(_xml(module)) == _sections(_xml(module, "--inactive"))
    if case["args"].get("state") == "absent":
        assert done["network"] is None
        return
    told = module("network_info", {"name": [NAME]})["networks"][0]
    assert told == done["network"]
    declared = {
        name: value for name, value in case["args"].items() if name in options_spec() and name != "macvtap_mode"
    }
    _assert_told(declared, told, "network")


def _sections(text: str) -> list[str]:
    """The parts of a dump that can change live."""
    tree = ET.fromstring(text)
    found = [item for path in ("ip", "dns", "portgroup", "forward/interface") for item in tree.findall(path)]
    for item in found:
        item.attrib.pop("connections", None)
        ET.indent(item)
    return [ET.tostring(item, encoding="unicode").strip() for item in found]


def _assert_told(declared: Any, told: Any, where: str) -> None:
    """Everything that was declared is in the result, in the same form."""
    if told is None and isinstance(declared, dict):
        assert not any(declared.values()), where
    elif isinstance(declared, dict):
        for key, value in declared.items():
            _assert_told(value, told[key], f"{where}.{key}")
    elif isinstance(declared, list):
        assert len(declared) == len(told), f"{where}: {told}"
        for number, value in enumerate(declared):
            _assert_told(value, told[number], f"{where}[{number}]")
    elif isinstance(declared, str):
        assert declared.lower() == str(told).lower(), where
    else:
        # libvirt leaves out what is the default anyway
        assert declared == told or (told is None and declared in (False, True)), where


def test_every_option_is_in_a_case() -> None:
    """A new option needs a case."""
    used: set[str] = set()

    def collect(value: Any, path: str) -> None:
        for item in value if isinstance(value, list) else [value]:
            for name in item if isinstance(item, dict) else ():
                used.add(f"{path}{name}")
                # one table serves a network and its port groups
                collect(item[name], f"{name}." if path == "port_groups." else f"{path}{name}.")

    def known(spec: dict[str, Any], path: str) -> set[str]:
        found = set()
        for name, option in spec.items():
            inner = {} if path == "port_groups." else option.get("options", {})
            found |= {f"{path}{name}"} | known(inner, f"{path}{name}.")
        return found

    for case in CASES:
        collect(case["args"], "")
    missing = known(options_spec(), "") - used
    assert not missing


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_network_defined_with_virsh_is_unchanged(module: BoundModule, file: Path) -> None:
    """The same file is unchanged, in check mode and for real, also when the network runs."""
    module.daemon.virsh("net-define", str(file))
    text = file.read_text()
    name = ET.fromstring(text).findtext("name")
    state = module.daemon.state()
    for check in (True, False):
        result = module("network", {"xml": text}, check=check)
        assert not result["failed"], result["msg"]
        assert result["changed"] is False, result["diff"]
    module.daemon.assert_unchanged(state, "network")
    assert module("network", {"name": name, "state": "absent"})["changed"] is True


def test_there_are_enough_files() -> None:
    assert len(FILES) >= 15


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.stem in ("nat_full", "dns", "dual_stack", "two_subnets", "dnsmasq_options")]
)
def test_a_running_network_is_what_is_defined(module: BoundModule, file: Path) -> None:
    """What libvirt adds to a running network is no reason for a restart."""
    text = file.read_text()
    result = module("network", {"xml": text, "state": "active"})
    assert not result["failed"], result["msg"]
    again = module("network", {"xml": text, "state": "active", "restart": "if_required"})
    assert (again["changed"], again["restart_required"]) == (False, False), again["restart_reasons"]


# -- live changes, seen in what dnsmasq reads ---------------------------------------------------------------------


def test_hosts_reach_dnsmasq_without_a_restart(module: BoundModule) -> None:
    prepare(module, [NAT])
    link = module.daemon.exec("cat", "/sys/class/net/virbr0/ifindex").stdout
    hosts = [{"mac": "52:54:00:12:34:56", "ip": "198.51.100.10", "name": "web1"}]
    prepare(
        module,
        [
            {"addresses": [{"address": "198.51.100.1/24", "dhcp": {"hosts": hosts}}]},
            {"dns": {"hosts": [{"ip": "198.51.100.7", "hostnames": ["seven", "siete"]}]}},
        ],
    )
    assert _dnsmasq(module, "hostsfile").split() == ["52:54:00:12:34:56,198.51.100.10,web1"]
    assert _dnsmasq(module, "addnhosts").split() == ["198.51.100.7", "seven", "siete"]
    assert module.daemon.exec("cat", "/sys/class/net/virbr0/ifindex").stdout == link, "the bridge was made anew"


def test_what_virsh_added_to_an_undeclared_part_stays(module: BoundModule) -> None:
    prepare(module, [NAT])
    entry = "<host ip='198.51.100.7'><hostname>seven</hostname></host>"
    module.daemon.virsh("net-update", NAME, "add", "dns-host", entry, "--live", "--config")
    before = _xml(module)
    assert module("network", {**NAT, "mtu": 1400})["changed"] is True
    assert "<hostname>seven</hostname>" in _xml(module)
    assert "<hostname>seven</hostname>" in _xml(module, "--inactive")
    assert _xml(module) == before, "an MTU waits for the restart"


def test_a_change_keeps_identity(module: BoundModule) -> None:
    """UUID, MAC address and bridge were not declared, and stay."""
    prepare(module, [NAT])
    first = module("network_info", {"name": [NAME]})["networks"][0]
    changed = module("network", {**NAT, "mtu": 1400})["network"]
    assert {key: first[key] for key in ("uuid", "mac", "bridge")} == {
        key: changed[key] for key in ("uuid", "mac", "bridge")
    }


def test_a_file_that_virsh_edited_is_merged_three_ways(module: BoundModule) -> None:
    """Removed from the XML: gone. Added by hand: kept."""
    full = "<network><name>nbt-net</name><mtu size='1400'/><domain name='lab.example'/></network>"
    less = "<network><name>nbt-net</name><domain name='lab.example'/></network>"
    prepare(module, [{"xml": full}])
    edited = _xml(module, "--inactive").replace("</network>", "<ip address='203.0.113.1' prefix='24'/></network>")
    (Path(module.daemon.directory) / "run" / "edited.xml").write_text(edited)
    module.daemon.virsh("net-define", str(Path(module.daemon.directory) / "run" / "edited.xml"))
    assert module("network", {"xml": less})["changed"] is True
    text = _xml(module)
    assert "<mtu" not in text
    assert "203.0.113.1" in text


def test_the_record_is_not_written_by_itself(module: BoundModule) -> None:
    text = "<network><name>nbt-net</name><metadata><a:b xmlns:a='urn:a'/></metadata></network>"
    (Path(module.daemon.directory) / "run" / "plain.xml").write_text(text)
    module.daemon.virsh("net-define", str(Path(module.daemon.directory) / "run" / "plain.xml"))
    assert module("network", {"xml": text})["changed"] is False
    assert "nestbox" not in _xml(module)
    assert module("network", {"xml": text, "mtu": 1400})["changed"] is True
    assert "nestbox" in _xml(module)
    assert "urn:a" in _xml(module), "other people's metadata stays"


STEPS = 7


@pytest.mark.parametrize("done", range(STEPS + 1))
def test_a_daemon_that_dies_after_a_step_costs_one_more_run(module: BoundModule, done: int) -> None:
    """Killed after each step of a plan: the next run reaches the declared state."""
    first = "<network><forward/><dns><txt name='a' value='b'/></dns><ip address='198.51.100.1' prefix='24'/></network>"
    prepare(module, [{"xml": first, "state": "active"}])
    hosts = "<host ip='198.51.100.7'><hostname>seven</hostname></host>"
    dhcp = "<host mac='52:54:00:00:00:01' ip='198.51.100.10'/><range start='198.51.100.20' end='198.51.100.30'/>"
    second = f"""<network><forward/><mtu size='1400'/><dns>{hosts}</dns>
                 <ip address='198.51.100.1' prefix='24'><dhcp>{dhcp}</dhcp></ip></network>"""
    args = {"name": NAME, "xml": second, "state": "active", "autostart": True}
    params = {**dict.fromkeys([*options_spec(), "uuid"]), "restart": "never", "force": False, **args}
    with Connection(module.daemon.uri, read_only=False) as connection:
        resource = NetworkResource(connection, params)
        steps = resource.plan(resource.read()).steps
        assert len(steps) + 1 == STEPS
        for step in steps[:done]:
            step.apply()
    module.daemon.kill()
    module.daemon.start()
    result = module("network", args)
    assert not result["failed"], result["msg"]
    assert result["changed"] is (done < len(steps))
    assert module("network", args, check=True)["changed"] is False
    assert _sections(_xml(module)) == _sections(_xml(module, "--inactive"))
    assert _dnsmasq(module, "addnhosts").split() == ["198.51.100.7", "seven"]
    assert "txt" not in _xml(module).partition("</metadata>")[2]


# -- restart with guests -------------------------------------------------------------------------------------------


def test_a_restart_plugs_running_guests_in_again(module: BoundModule) -> None:
    prepare(module, [{**NAT, "port_groups": [{"name": "one"}]}])
    _start_guest(module)
    before = module("network_info", {"name": [NAME]})["networks"][0]
    waits = module("network", {**NAT, "mtu": 1400})
    assert waits["restart_required"] is True
    assert "mtu" in waits["restart_reasons"][0]
    results = module.four_steps("network", {**NAT, "mtu": 1400, "restart": "if_required"})
    assert results[1]["restart_required"] is False
    assert "<mtu size='1400'/>" in _xml(module)
    assert _bridges_of_taps(module) == [before["bridge"]] * 2
    after = module("network_info")["networks"]
    assert [network["name"] for network in after] == [NAME], "the place where guests waited is gone"
    assert after[0]["guests"] == before["guests"]
    assert len(before["guests"]) == 2
    assert "portgroup='one'" in module.daemon.virsh("dumpxml", "nbt-guest")


@pytest.mark.parametrize("after", ["hold guests", "stop", "start"])
def test_a_restart_that_was_cut_off_is_finished(module: BoundModule, after: str) -> None:
    """Guests that an interrupted run left waiting come back with the next run."""
    prepare(module, [{**NAT, "port_groups": [{"name": "one"}]}, {"mtu": 1400}])
    _start_guest(module)
    bridge = module("network_info", {"name": [NAME]})["networks"][0]["bridge"]
    empty = dict.fromkeys([*options_spec(), "name", "uuid", "xml", "autostart"])
    params = {**empty, "name": NAME, "state": "active", "restart": "if_required", "force": False}
    with Connection(module.daemon.uri, read_only=False) as connection:
        resource = NetworkResource(connection, params)
        for step in resource.plan(resource.read()).steps:
            step.apply()
            if step.verb == after:
                break
    assert _bridges_of_taps(module) != [bridge] * 2
    module.four_steps("network", {"name": NAME, "state": "active", "restart": "if_required"})
    assert _bridges_of_taps(module) == [bridge] * 2
    assert len(module("network_info")["networks"]) == 1


@pytest.mark.parametrize("state", ["inactive", "absent"])
def test_guests_are_not_cut_off(module: BoundModule, state: str) -> None:
    prepare(module, [{**NAT, "port_groups": [{"name": "one"}]}])
    _start_guest(module)
    before = module.daemon.state()
    for check in (True, False):
        result = module("network", {"name": NAME, "state": state}, check=check)
        assert result["failed"]
        assert result["error"]["code"] == "refused"
        assert "nbt-guest" in result["msg"]
    module.daemon.assert_unchanged(before, "a refused task")
    module.four_steps("network", {"name": NAME, "state": state, "force": True})


# -- transient networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args", [{"state": "present"}, {"autostart": True, "state": "active"}, {"state": "active", "mtu": 1300}]
)
def test_a_transient_network_is_defined(module: BoundModule, args: dict[str, Any]) -> None:
    make_transient(module)
    done = module.four_steps("network", {"name": NAME, **args})[1]["network"]
    assert (done["persistent"], done["active"]) == (True, True)
    assert done["mtu"] == args.get("mtu", 1400)


def test_an_active_transient_network_satisfies_active(module: BoundModule) -> None:
    make_transient(module)
    assert module("network", {"name": NAME, "state": "active"})["changed"] is False


@pytest.mark.parametrize("state", ["inactive", "absent"])
def test_a_transient_network_that_ends_is_gone(module: BoundModule, state: str) -> None:
    make_transient(module)
    assert module.four_steps("network", {"name": NAME, "state": state})[1]["network"] is None


# -- the faults of others (style.md) -----------------------------------------------------------------------------------


@pytest.mark.parametrize("active", [False, True])
def test_fault_1_absent_in_check_mode_removes_nothing(module: BoundModule, active: bool) -> None:
    prepare(module, [{"mode": "isolated", "state": "active" if active else "present"}])
    before = module.daemon.state()
    assert module("network", {"name": NAME, "state": "absent"}, check=True)["changed"] is True
    module.daemon.assert_unchanged(before, "absent in check mode")
    assert NAME in module.daemon.virsh("net-list", "--all", "--name")


@pytest.mark.parametrize("how", ["options", "xml"])
def test_fault_3_present_with_a_difference_applies_it(module: BoundModule, how: str) -> None:
    prepare(module, [{"mode": "isolated"}])
    args = {"mtu": 1400} if how == "options" else {"xml": "<network><mtu size='1400'/></network>"}
    module.four_steps("network", {"name": NAME, "state": "present", **args})
    assert "<mtu size='1400'/>" in _xml(module)


@pytest.mark.parametrize("state", ["absent", "inactive"])
def test_fault_5_what_is_gone_is_unchanged(module: BoundModule, state: str) -> None:
    for check in (True, False):
        result = module("network", {"name": NAME, "state": state}, check=check)
        assert (result["failed"], result["changed"]) == (False, False)


@pytest.mark.parametrize("state", ["present", "active", "inactive"])
@pytest.mark.parametrize("there", [False, True])
def test_fault_6_autostart_in_every_state(module: BoundModule, state: str, there: bool) -> None:
    if there:
        prepare(module, [{"mode": "isolated", "state": "active"}])
    args = {"name": NAME, "state": state, "autostart": True, "mode": "isolated"}
    assert module.four_steps("network", args)[1]["network"]["autostart"] is True
    assert module.four_steps("network", {**args, "autostart": False})[1]["network"]["autostart"] is False


# -- bad input ---------------------------------------------------------------------------------------------------------

BAD = yaml.safe_load((_HERE / "network_bad_input.yml").read_text())


@pytest.mark.parametrize("case", BAD, ids=[case["case"] for case in BAD])
def test_bad_input(module: BoundModule, case: dict[str, Any]) -> None:
    """The same message in both modes, with what was asked, and nothing is written."""
    prepare(module, case.get("before", []))
    before = module.daemon.state()
    texts = []
    for check in (True, False):
        result = module("network", {"name": NAME, "state": "active", **case["args"]}, check=check)
        assert result["failed"]
        texts.append(result["msg"])
        assert "Traceback" not in result["msg"]
        assert result.get("error", {}).get("code") == case.get("code", "bad_declaration")
    assert texts[0] == texts[1]
    for part in case["says"]:
        assert part in texts[0]
    module.daemon.assert_unchanged(before, "a task that failed")


def test_the_tests_stay_in_documentation_networks() -> None:
    """Only addresses that are nobody's: 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32."""
    allowed = [ipaddress.ip_network(text) for text in ("198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
    texts = [file.read_text() for file in (*FILES, _HERE / "network_cases.yml")]
    found = {
        match for text in texts for match in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text) if not match.startswith("255.")
    }
    assert found
    assert all(any(ipaddress.ip_address(text) in network for network in allowed) for text in found)


def test_a_uuid_may_be_chosen(module: BoundModule) -> None:
    chosen = str(uuid.uuid4())
    done = module.four_steps("network", {"name": NAME, "mode": "isolated", "uuid": chosen.upper().replace("-", "")})
    assert done[1]["network"]["uuid"] == chosen
