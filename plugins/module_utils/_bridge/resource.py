# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bridge as a resource: kernel and configuration files against the declaration. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from .._plan import Plan, Step
from .._resource import GuardedResource
from .apply import Application, file_changes
from .backends import Backend, Change, Files, shown
from .checks import check, check_removal, check_rights, check_unmanaged
from .consistency import check_whole
from .describe import describe
from .edits import take_back
from .files import check_writable, read_file
from .guests import guests_by_tap
from .kernel import Kernel, read_kernel
from .live import Difference, Known, differences
from .managers import Managers, available_managers, choose
from .model import PLAIN, Declaration, Layer3
from .options import parse
from .record import Edit, Record, read_record
from .removal import Return, cut_off, missing, plain_ports, removal, returns
from .scope import scope_of
from .target import PortConfiguration, Target, check_silence, giver_of, is_guest, layer3_of, resolve
from .waiting import wait_until

_NONE = "none"
_URI = "qemu:///system"  # whose guests a bridge of this host most likely has


@dataclass(frozen=True)
class Current:
    """All that a plan looks at."""

    kernel: Kernel
    record: Record | None
    managers: Managers
    files: Files  # of all managers, and those that the record names


class BridgeResource(GuardedResource[Current]):
    """One bridge of this host."""

    def __init__(self, params: dict[str, Any], root: str = "/") -> None:
        self.declaration = parse(params)
        self.timeout_s: float = params["timeout"]
        self.confirm_timeout_s: int = params["confirm_timeout"]
        self.root = root
        self._changed = False
        self._planned: Application | None = None
        self._late: list[str] = []  # what the manager of an applied plan left undone

    def read(self) -> Current:
        """The kernel, the record, and the files of the managers."""
        record = read_record(self.declaration.name, self.root)
        managers = available_managers(self.root)
        files = {path: content for _backend, found in managers.values() for path, content in found.items()}
        for path in record.edits if record else ():
            content = read_file(os.path.join(self.root, path.lstrip("/")))
            if content is not None:
                files.setdefault(path, content)
        return Current(read_kernel(), record, managers, files)

    def plan(self, current: Current) -> Plan:
        """Files, then the kernel; each difference is a step."""
        check(self.declaration, current.kernel)
        steps = self._present(current) if self.declaration.present else self._absent(current)
        if steps:
            check_rights(current.kernel)
            self._changed = True
        return Plan(steps=steps, warnings=self._warnings(current))

    def settle(self) -> bool:
        """Waits until nothing differs, for leases and managers take their time."""
        if not self._changed:
            return False
        wait_until(lambda: not self._pending(), self.timeout_s)
        return True

    def scope(self, current: Current) -> dict[str, Any]:
        """The links and files of the last plan, and the manager's way back."""
        return scope_of(self._planned, current.kernel, current.record, current.files) if self._planned else {}

    def describe(self, current: Current) -> dict[str, Any] | None:
        """What bridge_info says of it too."""
        return describe(self.declaration.name, current.kernel, current.record, self._guests(current))

    def _guests(self, current: Current) -> Mapping[str, dict[str, str]]:
        taps = any(is_guest(link) for link in current.kernel.ports_of(self.declaration.name))
        return guests_by_tap(_URI) if taps else {}

    def _warnings(self, current: Current) -> list[str]:
        name = self.declaration.name
        warnings = []
        if self._late:
            warnings.append(
                f"The network manager did not do what its files say of the bridge {name} within {self.timeout_s} "
                f"seconds ({', '.join(self._late)}), so the kernel was changed without it. Its log says why."
            )
        if not self.declaration.present:
            warnings += cut_off(name, current.kernel, current.record, self._guests(current))
        return warnings

    def _pending(self) -> list[Difference]:
        current = self.read()
        if not self.declaration.present:
            return removal(self.declaration.name, current.kernel, None, ())
        backend = self._backend(current)
        return self._differences(self._target(current, backend, base_files(current)), current, backend)

    def _backend(self, current: Current) -> Backend | None:
        recorded = current.record.manager if current.record else None
        return choose(self.declaration, current.kernel, recorded, current.managers)

    def _target(self, current: Current, backend: Backend | None, base: Files) -> Target:
        record, kernel = current.record, current.kernel
        giver = record.giver if record else None
        configured = PortConfiguration()
        if self.declaration.inherit and backend is not None:
            giving = giver_of(self.declaration, kernel) or giver
            mine = files_of(backend, current, base)
            configured = backend.port_configuration(giving, kernel, mine) if giving else configured
        return resolve(self.declaration, kernel, record.written if record else None, giver, configured)

    def _differences(self, target: Target, current: Current, backend: Backend | None) -> list[Difference]:
        record = current.record
        known = Known(managed=backend is not None)
        if record is not None:
            known = Known(record.ours, record.statics, backend is not None)
        found = differences(target, current.kernel, known)
        said = target.enforced.layer3
        if said.dhcp4 and backend is not None:
            name = self.declaration.name
            leased = [one for one in current.kernel.addresses_of(name) if one.version == 4]
            if all(one.address in known.statics and not one.dynamic for one in leased):
                found.append(Difference(f"bridge {name} lease", "obtain", None, "an IPv4 address by DHCP", ()))
        return found

    def _present(self, current: Current) -> list[Step]:
        backend = self._backend(current)
        if backend is None:
            check_unmanaged(self.declaration)
        else:
            backend.check(self.declaration)
        base = base_files(current)
        target = self._target(current, backend, base)
        check_silence(target, current.kernel)
        check_whole(self.declaration, target.written)
        rendered = backend.render(target, current.kernel, files_of(backend, current, base)) if backend else {}
        edits = {path: Edit(base.get(path), content) for path, content in rendered.items() if base.get(path) != content}
        wanted = {path: base.get(path) for path in (current.record.edits if current.record else ())}
        wanted.update({path: edit.after for path, edit in edits.items()})
        found = self._differences(target, current, backend)
        changed = file_changes(current.files, wanted)
        record = self._record(target, current, backend, edits)
        change = self._change(current, target.written, changed, found)
        application = Application(
            backend,
            change,
            record,
            self._pending,
            self.timeout_s,
            activates=bool(changed) or change.created or change.lost_lease,
            root=self.root,
            late=self._late,
        )
        return self._steps(application, current, changed, found)

    def _absent(self, current: Current) -> list[Step]:
        record, kernel = current.record, current.kernel
        name = self.declaration.name
        base = base_files(current)
        managers = {
            one: (backend, files_of(backend, current, base)) for one, (backend, _files) in current.managers.items()
        }
        backend, files = managers.get(record.manager if record else _NONE, (None, {}))
        taken = record.taken if record else ()
        held = [port for port in taken if backend and backend.sets_up(port, kernel, files)]
        given = returns(name, kernel, record, held)
        check_removal(self.declaration, kernel, record, given, managers)
        changed = file_changes(current.files, {path: base.get(path) for path in (record.edits if record else ())})
        found = removal(name, kernel, record, given)
        application = Application(
            backend,
            self._change(current, None, changed, found),
            None,
            _Removal(name, record, given, held).look,
            self.timeout_s,
            activates=bool(changed),
            manager_gives_back=all(one.port in held for one in given),
            root=self.root,
            late=self._late,
        )
        steps = self._steps(application, current, changed, found)
        if record is not None:
            target = f"record of bridge {name}"
            steps.append(Step(target, "forget", application.forget, before={"manager": record.manager}))
        return steps

    def _steps(
        self,
        application: Application,
        current: Current,
        changed: Mapping[str, bytes | None],
        found: list[Difference],
    ) -> list[Step]:
        self._planned = application
        steps = []
        for path, content in changed.items():
            check_writable(os.path.join(self.root, path.lstrip("/")))
            before = current.files.get(path)
            verb = "remove" if content is None else "write" if before is None else "edit"
            write = _bind(application.write, path, content)
            steps.append(Step(f"file {path}", verb, write, before=shown(path, before), after=shown(path, content)))
        if application.backend is not None and application.activates:
            commands = [" ".join(command) for command in application.activation.after]
            steps.append(
                Step(f"manager {application.backend.name}", "activate", application.converge, after="\n".join(commands))
            )
        steps += [Step(row.target, row.verb, application.converge, before=row.before, after=row.after) for row in found]
        return steps

    def _record(self, target: Target, current: Current, backend: Backend | None, edits: dict[str, Edit]) -> Record:
        known = current.record
        links = current.kernel.links
        ports = [port.name for port in target.written.port_list() if port.kind == PLAIN and port.name in links]
        mtus = dict(known.mtus) if known else {}
        for port in ports if target.written.settings.mtu else ():
            mtus.setdefault(port, links[port].mtu)
        has = [one.address for one in current.kernel.addresses_of(self.declaration.name)]
        given = [address for address in (known.statics if known else ()) if address in has]
        left = {name: kind for name, kind in (known.ours if known else {}).items() if name in links}
        return Record(
            name=self.declaration.name,
            manager=backend.name if backend else _NONE,
            written=target.written,
            giver=target.giver,
            edits=edits,
            mtus=mtus,
            statics=tuple(dict.fromkeys([*(target.written.layer3.addresses or ()), *given])),
            ours={**left, **{port.name: port.kind for port in target.written.port_list()}},
            taken={**(known.taken if known else {}), **self._taken(ports, current.kernel)},
            adopted=known.adopted if known else self.declaration.name in links,
        )

    def _taken(self, ports: list[str], kernel: Kernel) -> dict[str, Layer3]:
        """What the ports have that are not under the bridge yet."""
        coming = [port for port in ports if kernel.links[port].master != self.declaration.name]
        return {port: layer3_of(kernel, port) for port in coming if kernel.addresses_of(port)}

    def _change(
        self,
        current: Current,
        written: Declaration | None,
        changed: Mapping[str, bytes | None],
        found: list[Difference],
    ) -> Change:
        before = plain_ports(self.declaration.name, current.kernel, current.record)
        after = [port.name for port in written.port_list() if port.kind == PLAIN] if written else []
        return Change(
            name=self.declaration.name,
            present=written is not None,
            ports=tuple(after),
            released=tuple(port for port in before if port not in after),
            joined=tuple(port for port in after if port not in before),
            files=changed,
            created=self.declaration.name not in current.kernel.links,
            lost_lease=any(row.verb == "obtain" for row in found),
            was=current.record.written.layer3 if current.record else Layer3(),
            now=written.layer3 if written else Layer3(),
            written=written,
            kernel=current.kernel,
        )


@dataclass(frozen=True)
class _Removal:
    """What is left to do while a bridge goes. What a manager has given a port is all that this port gets."""

    name: str
    record: Record | None
    given: list[Return]
    held: list[str]

    def look(self) -> list[Difference]:
        """The differences now."""
        kernel = read_kernel()
        if self.name in kernel.links:
            return removal(self.name, kernel, self.record, self.given)
        return list(missing((one for one in self.given if not self._is_done(one, kernel)), kernel))

    def _is_done(self, one: Return, kernel: Kernel) -> bool:
        return one.port in self.held and bool(kernel.addresses_of(one.port))


def base_files(current: Current) -> dict[str, bytes]:
    """The files without what an earlier run did to them for this bridge."""
    base = dict(current.files)
    for path, edit in (current.record.edits if current.record else {}).items():
        now = current.files.get(path)
        if edit.before is None or now is None or edit.after is None:
            before = edit.before
        else:
            before = take_back(path, edit.before, edit.after, now)
        if before is None:
            base.pop(path, None)
        else:
            base[path] = before
    return base


def files_of(backend: Backend, current: Current, base: Files) -> Files:
    """The files of one manager, as they are in `base`."""
    record = current.record
    known = {*current.managers[backend.name][1], *(record.edits if record and record.manager == backend.name else ())}
    return {path: content for path, content in base.items() if path in known}


def _bind(write: Callable[[str, bytes | None], None], path: str, content: bytes | None) -> Callable[[], None]:
    return lambda: write(path, content)
