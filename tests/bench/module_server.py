# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forks one child for each module run: as clean as a process of its own, without its start-up.

Started by module.py, or in a guest by kernel_guest.py. A module is imported when it is first asked for; each run
finds it as it is after its import, for it runs in a child.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pwd
import signal
import socket
import sys
import traceback
from collections.abc import Iterable
from typing import IO, Any

from ansible.module_utils import basic

MODULES = "ansible_collections.nestbox.virt.plugins.modules"
_ONCE = "--once"


def main(listening: socket.socket, modules: Iterable[str] = ()) -> None:
    """Answers until the last client that knows the socket is gone; `modules` are imported once for all."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _preload(modules)
    while True:
        connection, _peer = listening.accept()
        with connection, connection.makefile("r", encoding="utf-8") as lines:
            request = json.loads(lines.readline() or "{}")
            if not request:  # the client is gone
                continue
            _import(request["name"])
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                if request["env"]:
                    _run_afresh(connection, request)
                _answer(connection, request)


def _preload(modules: Iterable[str]) -> None:
    """Loads what AnsibleModule itself loads late: another user may have no way into this virtual environment."""
    for name in modules:
        importlib.import_module(f"{MODULES}.{name}")
    for name in ("_module_legacy_c2m", "_module_legacy_m2c"):
        try:
            importlib.import_module(f"ansible.module_utils._internal._json._profiles.{name}")
        except ImportError:  # before ansible-core 2.19 there are no such profiles
            return


def _answer(connection: socket.socket, request: dict[str, Any]) -> None:
    """One run, in the child; never returns."""
    connection.sendall(json.dumps(_outcome(request)).encode())
    os._exit(0)


def _run_afresh(connection: socket.socket, request: dict[str, Any]) -> None:
    """In a new program, for libvirt looks at the environment when it is imported; never returns."""
    os.set_inheritable(connection.fileno(), True)
    words = [sys.executable, __file__, _ONCE, str(connection.fileno()), json.dumps(request)]
    os.execve(sys.executable, words, {**os.environ, **request["env"]})  # noqa: S606


def _import(name: str) -> None:
    """Half of what a run takes is the import of libvirt, lxml and our own code."""
    with contextlib.suppress(Exception):  # it is tried again in the child, which tells
        importlib.import_module(f"{MODULES}.{name}")


def serve_lines(requests: Iterable[str], answers: IO[str], modules: Iterable[str]) -> None:
    """Answers requests that come as lines, as over ssh, by lines; `modules` are imported once for all."""
    _preload(modules)
    for line in requests:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            with os.fdopen(writer, "wb") as output:
                output.write(json.dumps(_outcome(json.loads(line))).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as output:
            answers.write(output.read().decode() + "\n")
        answers.flush()
        os.waitpid(child, 0)


def _outcome(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the module in this process; what it wrote and its exit status."""
    outputs = [os.memfd_create(name) for name in ("stdout", "stderr")]
    for number, output in enumerate(outputs, start=1):
        os.dup2(output, number)
    rc = _run(request)
    sys.stdout.flush()
    sys.stderr.flush()
    out, err = (os.pread(output, os.fstat(output).st_size, 0).decode(errors="replace") for output in outputs)
    return {"rc": rc, "stdout": out, "stderr": err}


def _run(request: dict[str, Any]) -> int:
    """Runs the module with what Ansible's wrapper would give it; the exit status."""
    os.environ.update(request["env"])
    try:
        # while all files can be read: another user may have no way into this checkout
        module = importlib.import_module(f"{MODULES}.{request['name']}")
        _become(request["user"])
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": request["args"]}).encode()
        basic._ANSIBLE_PROFILE = "legacy"  # since ansible-core 2.19; unused before
        module.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Exception:  # noqa: BLE001 - a fault of the module, which its caller shall see whole
        traceback.print_exc()
        return 1
    return 0


def _become(user: str | None) -> None:
    if user:
        entry = pwd.getpwnam(user)
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)


if __name__ == "__main__":
    if sys.argv[1] == _ONCE:
        _preload(())
        _answer(socket.socket(fileno=int(sys.argv[2])), json.loads(sys.argv[3]))
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
