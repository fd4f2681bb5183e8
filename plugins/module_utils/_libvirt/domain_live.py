# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which differences reach a running domain now, and which wait for its restart. Private to this collection."""

from __future__ import annotations

import fnmatch
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, cast

from .._deps import etree, libvirt
from .._errors import WaitTimeout
from .._plan import Step
from .._units import parse_size_kib
from .._xml.compare import ADD, CHANGE, REMOVE, Difference, differences
from .._xml.document import remove, to_text
from .._xml.domain_run import is_cpu_of_a_run, without_details_of_a_run
from .._xml.domain_tables import DOMAIN
from .._xml.merge import normalise
from .connection import Connection
from .domain_state import put_password
from .errors import translate
from .events import Watch

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

# a guest that answers lets a device go within a second or two; one without an operating system never does
_DETACH_TIMEOUT_S = 30

# buses on which QEMU plugs disks in and out while the guest runs
_HOTPLUG_BUSES = ("virtio", "scsi", "usb")


@dataclass(frozen=True)
class _Row:
    """A place in the XML, what may happen to it, when that works on a running domain, and the call that does it."""

    path: str
    verbs: tuple[str, ...]
    works: Callable[[Difference], bool]
    call: Callable[[LiveChanges, Difference], None]
    first: bool = False  # made before the definition, which alone tells later that it was made


@dataclass
class LivePlan:
    """What becomes of the differences; `first` are the steps that come before the definition."""

    first: list[Step] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class LiveChanges:
    """Steps and restart reasons for one running domain."""

    def __init__(self, connection: Connection, domain: Any, name: str) -> None:
        self._connection = connection
        self.domain = domain
        self._name = name

    def plan(self, live: Element, wanted: Element, *, allowed: bool, asks_for_memory: Callable[[], bool]) -> LivePlan:
        """From `live` to `wanted`: steps for what works now (if `allowed`), reasons for what waits for a restart.

        A guest gives memory back when it can, or never: whether it was asked to is told by `asks_for_memory`.
        """
        result = LivePlan()
        found = differences(*_comparable(live, wanted), DOMAIN)
        # a guest can't be given more than the maximum that it was started with
        blocked = ("currentMemory",) if any(row.path == "memory" for row in found) else ()
        for difference in found:
            row = _row_of(difference) if allowed and difference.path not in blocked else None
            if row is None:
                result.reasons.append(_reason(difference))
            elif row.first and not asks_for_memory():
                result.warnings.append(_lagging(difference))
            else:
                (result.first if row.first else result.steps).append(self._step(row, difference))
        result.reasons = list(dict.fromkeys(result.reasons))
        return result

    def password(self, live: Element, kind: str, password: str) -> Step:
        """Gives a running display another password."""

        def apply() -> None:
            graphics = deepcopy(live.find(f"devices/graphics[@type='{kind}']"))
            put_password(cast("Element", graphics), password)
            self.update(Difference("devices/graphics", CHANGE, None, graphics))

        return Step(f"running domain {self._name} {kind} password", "set", apply, "another password\n", "as declared\n")

    def _step(self, row: _Row, difference: Difference) -> Step:
        item = difference.before if difference.after is None else difference.after
        return Step(
            target=f"running domain {self._name} {_label(difference.path, item)}".rstrip(),
            verb=_VERBS[difference.verb],
            apply=lambda: self._apply(row, difference),
            before=_shown(difference.before),
            after=_shown(difference.after),
        )

    def _apply(self, row: _Row, difference: Difference) -> None:
        try:
            row.call(self, difference)
        except libvirt.libvirtError as error:
            failure = translate(_label(difference.path, _either(difference)), error)
            failure.message += " The definition has it already: set live: false to leave it to the next start."
            raise failure from error

    def attach(self, difference: Difference) -> None:
        """Plugs a device in."""
        self.domain.attachDeviceFlags(_text(difference.after), libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def update(self, difference: Difference) -> None:
        """Changes a device in place."""
        self.domain.updateDeviceFlags(_text(difference.after), libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def detach(self, difference: Difference) -> None:
        """Unplugs a device, and waits until the guest has let it go."""
        gone = difference.before
        with Watch(self._connection, self.domain) as watch:
            self.domain.detachDeviceFlags(_text(gone), libvirt.VIR_DOMAIN_AFFECT_LIVE)
            if watch.until(lambda: None if self._has(difference) else True, _DETACH_TIMEOUT_S) is None:
                raise WaitTimeout(
                    f"The guest was asked to let {_label(difference.path, gone)} go, but still held it after "
                    f"{_DETACH_TIMEOUT_S} s. The definition no longer has it; restart the domain, or set live: false "
                    "to leave it to the next start."
                )

    def _has(self, difference: Difference) -> bool:
        present = normalise(etree.fromstring(self.domain.XMLDesc()), DOMAIN)
        label = _label(difference.path, difference.before)
        return any(_label(difference.path, item) == label for item in present.findall(difference.path))

    def balloon(self, difference: Difference) -> None:
        """Gives the guest another amount of memory, within its maximum."""
        after = _after(difference)
        size = f"{after.text} {after.get('unit', 'KiB')}"
        self.domain.setMemoryFlags(parse_size_kib(size, option="currentMemory"), libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def vcpus(self, difference: Difference) -> None:
        """Plugs vCPUs in."""
        after = _after(difference)
        count = int(after.get("current") or after.text or "1")
        self.domain.setVcpusFlags(count, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def title(self, difference: Difference) -> None:
        """Sets the title."""
        self._metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, difference)

    def description(self, difference: Difference) -> None:
        """Sets the description."""
        self._metadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, difference)

    def _metadata(self, kind: int, difference: Difference) -> None:
        text = None if difference.after is None else difference.after.text
        self.domain.setMetadata(kind, text, None, None, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _always(_difference: Difference) -> bool:
    return True


def _is_hotplug_disk(difference: Difference) -> bool:
    disk = _either(difference)
    target = disk.find("target")
    return disk.get("device", "disk") in ("disk", "lun") and target is not None and target.get("bus") in _HOTPLUG_BUSES


def _is_medium(difference: Difference) -> bool:
    """Only the medium of a CD-ROM or floppy drive differs."""
    drive = _after(difference)
    return drive.get("device") in ("cdrom", "floppy") and _only(
        difference, "@type", "source", "source/*", "driver", "backingStore"
    )


def _is_soft_interface(difference: Difference) -> bool:
    return _only(
        difference,
        "link",
        "source",
        "bandwidth",
        "bandwidth/*",
        "filterref",
        "filterref/*",
        "vlan",
        "vlan/*",
        "virtualport/*",
    )


def _only(difference: Difference, *patterns: str) -> bool:
    """Whether a changed device differs only in these places below itself."""
    before, after = difference.before, difference.after
    if before is None or after is None:
        return False
    if before.get("type") != after.get("type") and "@type" not in patterns:
        return False
    rows = differences(_without_type(before), _without_type(after), DOMAIN, difference.path)
    below = [row.path[len(difference.path) + 1 :] for row in rows]
    return all(any(fnmatch.fnmatch(path, pattern) for pattern in patterns) for path in below)


def _without_type(item: Element) -> Element:
    copy = etree.fromstring(etree.tostring(item))
    copy.attrib.pop("type", "")
    return copy


def _is_more_vcpus(difference: Difference) -> bool:
    """The maximum stays, and there are more than before: QEMU can't take vCPUs out that were there at the start."""
    before, after = difference.before, difference.after
    if before is None or after is None or before.text != after.text:
        return False
    if not (after.get("current") or after.text or "1").isdigit():
        return False
    return int(before.get("current") or before.text or 1) < int(after.get("current") or after.text or 1)


_ANY = (ADD, REMOVE, CHANGE)

# virDomainAttachDeviceFlags and virDomainUpdateDeviceFlags (https://libvirt.org/html/libvirt-libvirt-domain.html);
# what the QEMU driver refuses there is left out here, and waits for a restart
_ROWS: tuple[_Row, ...] = (
    _Row("devices/disk", (ADD,), _is_hotplug_disk, LiveChanges.attach),
    _Row("devices/disk", (REMOVE,), _is_hotplug_disk, LiveChanges.detach),
    _Row("devices/disk", (CHANGE,), _is_medium, LiveChanges.update),
    _Row("devices/interface", (ADD,), _always, LiveChanges.attach),
    _Row("devices/interface", (REMOVE,), _always, LiveChanges.detach),
    _Row("devices/interface", (CHANGE,), _is_soft_interface, LiveChanges.update),
    _Row("devices/hostdev", (ADD,), _always, LiveChanges.attach),
    _Row("devices/hostdev", (REMOVE,), _always, LiveChanges.detach),
    _Row("devices/rng", (ADD,), _always, LiveChanges.attach),
    _Row("devices/channel", (ADD,), _always, LiveChanges.attach),
    _Row("devices/redirdev", (ADD,), _always, LiveChanges.attach),
    _Row("devices/memory", (ADD,), _always, LiveChanges.attach),
    _Row("currentMemory", (CHANGE,), _always, LiveChanges.balloon, first=True),
    _Row("vcpu", (CHANGE,), _is_more_vcpus, LiveChanges.vcpus),
    _Row("title", _ANY, _always, LiveChanges.title),
    _Row("description", _ANY, _always, LiveChanges.description),
)

_VERBS = {ADD: "attach", REMOVE: "detach", CHANGE: "update"}

# what has no meaning for a run, or looks different in it by its nature
_NOT_COMPARED = ("metadata", "uuid", "name", "seclabel", "os/loader", "os/nvram", "resource")


def _comparable(live: Element, wanted: Element) -> tuple[Element, Element]:
    """Copies without what differs by itself: a CPU is written out while it runs, and an empty drive has no format."""
    pair = normalise(live, DOMAIN), normalise(wanted, DOMAIN)
    expanded = is_cpu_of_a_run(pair[0].find("cpu"), pair[1].find("cpu"))
    for copy in pair:
        for path in _NOT_COMPARED:
            for item in copy.findall(path):
                remove(item)
        cpu = copy.find("cpu")
        if expanded and cpu is not None:
            cpu.attrib.pop("mode", "")
            without_details_of_a_run(cpu)
        for drive in copy.iterfind("devices/disk/driver"):
            disk = drive.getparent()
            if disk is not None and disk.find("source") is None:
                drive.attrib.pop("type", "")
    return pair


def _lagging(difference: Difference) -> str:
    before, after = cast("Element", difference.before), _after(difference)
    return (
        f"The guest uses {before.text} KiB of memory, though {after.text} {after.get('unit', 'KiB')} are declared: "
        "its balloon driver has not followed yet."
    )


def _row_of(difference: Difference) -> _Row | None:
    rows = (row for row in _ROWS if row.path == difference.path and difference.verb in row.verbs)
    return next((row for row in rows if row.works(difference)), None)


def _either(difference: Difference) -> Element:
    """What is added or as it will be; for what is removed, as it was."""
    return cast("Element", difference.before if difference.after is None else difference.after)


def _after(difference: Difference) -> Element:
    """Of what is added or changed, which the row's verbs say."""
    return cast("Element", difference.after)


def _reason(difference: Difference) -> str:
    label = _label(difference.path, _either(difference))
    word = {ADD: "is declared", REMOVE: "is no longer declared", CHANGE: "is declared differently"}[difference.verb]
    return f"{label or 'the domain'} {word}: it takes effect at the next start"


def _label(path: str, item: Element | None) -> str:
    """A device in a few words: disk vda, interface 52:54:00:…, or the path."""
    short = path.replace("devices/", "")
    if item is None:
        return short
    for place, attribute in (
        ("target", "dev"),
        ("mac", "address"),
        ("target", "dir"),
        ("target", "name"),
        ("alias", "name"),
    ):
        holder = item.find(place)
        if holder is not None and holder.get(attribute):
            return f"{short} {holder.get(attribute)}"
    return short


def _shown(item: Element | None) -> str | None:
    return None if item is None else to_text(item)


def _text(item: Element | None) -> str:
    """Of the side that the row's verbs say is there."""
    return to_text(cast("Element", item))
