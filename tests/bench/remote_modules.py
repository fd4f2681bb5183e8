# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our modules in a guest, without a playbook: one process there runs them all, over one connection."""

from __future__ import annotations

import compileall
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ansible

from .module import Result, parse_answer

_CHECKOUT = Path(__file__).resolve().parents[2]
_PLUGINS = ("module_utils", "modules")
_TREE = "opt/modules"  # where our files are in the guest

Argv = Callable[..., list[str]]  # of the words of a remote command, as a shell there takes them


def server_code(*modules: str) -> str:
    """The Python of a process that answers requests by lines; `modules` are imported once for all."""
    start = f"import sys; sys.path.insert(0, '/{_TREE}'); import module_server;"
    return f"{start} module_server.serve_lines(sys.stdin, sys.stdout, {list(modules)})"


def copy_modules(argv: Argv) -> None:
    """Ansible's module library, our plugins, and the server that runs them."""
    ours = f"{_TREE}/ansible_collections/nestbox/virt/plugins"
    library = Path(ansible.__file__).parent
    # compiling them in the guest would take half a minute
    for directory in (library / "module_utils", *(_CHECKOUT / "plugins" / name for name in _PLUGINS)):
        compileall.compile_dir(directory, quiet=2)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(f"{_TREE}/ansible/__init__.py"))  # empty, as in Ansible's own payload
        for name in ("release.py", "module_utils"):
            archive.add(library / name, f"{_TREE}/ansible/{name}", filter=_code)
        for name in _PLUGINS:
            archive.add(_CHECKOUT / "plugins" / name, f"{ours}/{name}", filter=_code)
        archive.add(Path(__file__).with_name("module_server.py"), f"{_TREE}/module_server.py")
    subprocess.run(argv("tar -x -C / -f -"), input=packed.getvalue(), check=True, capture_output=True)


class RemoteModules:
    """The process in the guest, in which `copy_modules` was."""

    def __init__(self, argv: Argv, *modules: str) -> None:
        self._server = subprocess.Popen(
            argv("python3", "-c", f'"{server_code(*modules)}"'),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, name: str, args: dict[str, Any], *, check: bool = False, user: str | None = None) -> Result:
        """As tests.bench.module.run_module, inside the guest."""
        own = {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp"}
        request = {"name": name, "args": {**args, **own}, "env": {}, "user": user}
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return parse_answer(name, self._server.stdout.readline().encode())

    def close(self) -> None:
        """Ends it."""
        self._server.kill()
        self._server.communicate()


def _code(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return entry if entry.isdir() or entry.name.endswith((".py", ".pyc")) else None
