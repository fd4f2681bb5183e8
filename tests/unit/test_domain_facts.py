# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What domain_info makes of a domain's XML, of states, and of the host's neighbours."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_addresses import neighbours
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_summary import summary
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_words import STATE_WORDS, state_words
from ansible_collections.nestbox.virt.plugins.module_utils._xml.document import parse
from ansible_collections.nestbox.virt.plugins.modules import domain_info

LOCAL = "qemu:///system"
REMOTE = "qemu+ssh://root@hv1.example/system"

GRAPHICS = [
    ("<graphics type='vnc' port='5901' listen='127.0.0.1'/>", LOCAL, "127.0.0.1:1", "vnc://127.0.0.1:5901"),
    ("<graphics type='vnc' port='5900' listen='0.0.0.0'/>", LOCAL, ":0", "vnc://localhost:5900"),
    ("<graphics type='vnc' port='5900' listen='0.0.0.0'/>", REMOTE, ":0", "vnc://hv1.example:5900"),
    ("<graphics type='vnc' port='5902'/>", LOCAL, ":2", "vnc://localhost:5902"),
    ("<graphics type='vnc' port='5902' listen='::1'/>", LOCAL, "::1:2", "vnc://[::1]:5902"),
    (
        "<graphics type='vnc' port='5903'><listen type='address' address='198.51.100.1'/></graphics>",
        LOCAL,
        "198.51.100.1:3",
        "vnc://198.51.100.1:5903",
    ),
    ("<graphics type='vnc' port='-1' autoport='yes'/>", LOCAL, None, None),
    (
        "<graphics type='vnc'><listen type='socket' socket='/run/v.sock'/></graphics>",
        LOCAL,
        None,
        "vnc+unix:///run/v.sock",
    ),
    ("<graphics type='spice' port='5904' listen='127.0.0.1'/>", LOCAL, None, "spice://127.0.0.1:5904"),
    ("<graphics type='spice' tlsPort='5905' listen='127.0.0.1'/>", LOCAL, None, "spice://127.0.0.1:5905"),
    ("<graphics type='egl-headless'/>", LOCAL, None, None),
]


@pytest.mark.parametrize(("text", "uri", "display", "viewer"), GRAPHICS)
def test_a_screen_has_a_display_and_a_uri(text: str, uri: str, display: str | None, viewer: str | None) -> None:
    (screen,) = summary(parse(f"<domain><devices>{text}</devices></domain>"), uri)["graphics"]
    assert (screen["display"], screen["uri"]) == (display, viewer)


def test_sizes_have_units_and_vcpus_a_maximum() -> None:
    memory = "<memory unit='GiB'>2</memory><currentMemory unit='b'>1025</currentMemory>"
    text = f"<domain>{memory}<vcpu current='2'>8</vcpu></domain>"
    facts = summary(parse(text), LOCAL)
    assert (facts["memory_kib"], facts["maximum_memory_kib"]) == (2, 2 * 1024**2)
    assert (facts["vcpus"], facts["maximum_vcpus"]) == (2, 8)


def test_an_empty_domain_is_no_error() -> None:
    facts = summary(parse("<domain/>"), LOCAL)
    assert (facts["memory_kib"], facts["vcpus"], facts["disks"], facts["console"]) == (None, 1, [], None)


@pytest.mark.parametrize(
    ("disk", "source"),
    [
        ("<disk type='file'><source file='/a.img'/></disk>", "/a.img"),
        ("<disk type='block'><source dev='/dev/sdb'/></disk>", "/dev/sdb"),
        ("<disk type='volume'><source pool='p' volume='v'/></disk>", "v"),
        ("<disk type='network'><source protocol='rbd' name='pool/image'/></disk>", "pool/image"),
        ("<disk type='file' device='cdrom'/>", None),
    ],
)
def test_a_disk_is_made_of_something(disk: str, source: str | None) -> None:
    (facts,) = summary(parse(f"<domain><devices>{disk}</devices></domain>"), LOCAL)["disks"]
    assert facts["source"] == source


def test_neighbours_that_have_not_answered_are_left_out() -> None:
    table = (
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "198.51.100.25    0x1         0x2         52:54:00:00:65:AB     *        nbt-lan0\n"
        "198.51.100.26    0x1         0x0         00:00:00:00:00:00     *        nbt-lan0\n"
        "198.51.100.27    0x1         0x6         52:54:00:00:65:ab     *        nbt-lan0\n"
    )
    assert {mac: [entry["address"] for entry in found] for mac, found in neighbours(table).items()} == {
        "52:54:00:00:65:ab": ["198.51.100.25", "198.51.100.27"]
    }


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((1, 1), ("running", "booted")),
        ((5, 2), ("shut off", "destroyed")),
        ((3, 99), ("paused", "unknown")),
        ((99, 0), ("unknown", "unknown")),
        ((-1, -1), ("unknown", "unknown")),
    ],
)
def test_states_have_words_and_newer_ones_are_unknown(numbers: tuple[int, int], words: tuple[str, str]) -> None:
    assert state_words(*numbers) == words


def test_the_documentation_has_the_choices_of_the_spec() -> None:
    options = yaml.safe_load(domain_info.DOCUMENTATION)["options"]
    spec = domain_info.SPEC.options
    assert set(options) == set(spec) - {"uri"}
    for name, option in options.items():
        assert option.get("choices") == spec[name].get("choices"), name
        assert option["default"] == spec[name]["default"], name
    assert set(STATE_WORDS) - {"no state"} < set(options["state"]["choices"])


def test_every_returned_key_is_documented() -> None:
    returned = yaml.safe_load(domain_info.RETURN)["domains"]["contains"]
    text = "<domain><devices><disk type='file'/><interface type='user'/><graphics type='vnc'/></devices></domain>"
    facts = summary(parse(text), LOCAL)
    assert set(facts) <= set(returned)
    for part in ("disks", "interfaces", "graphics"):
        assert set(facts[part][0]) == set(returned[part]["contains"]), part
