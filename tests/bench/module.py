# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module of this checkout for real, and the four steps that every case goes through."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .daemon import Daemon

_CHECKOUT = Path(__file__).resolve().parents[2]
_SERVER = Path(__file__).with_name("module_server.py")
_TIMEOUT_S = 300

Result = dict[str, Any]
# a fork server for each calling process and set of namespaces, with its address
_SERVERS: dict[tuple[int, int | None], tuple[subprocess.Popen[bytes], str]] = {}


@dataclass(frozen=True)
class Library:
    """A directory with ansible, our plugins and module_server.py, and the modules that are run there many times."""

    path: str
    modules: tuple[str, ...]


class Inside(Protocol):
    """What has a process in the namespaces in which a module is to run."""

    pid: int
    # what it has of ours, or None where it sees our own files
    module_library: Library | None


@functools.lru_cache(maxsize=1)
def collections_path() -> Path:
    """The directory below which this checkout is ansible_collections/nestbox/virt."""
    done = subprocess.run([_CHECKOUT / "tools" / "collection-tree"], check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


def run_module(
    name: str,
    args: dict[str, Any],
    *,
    check: bool = False,
    diff: bool = True,
    env: dict[str, str] | None = None,
    user: str | None = None,
    inside: Inside | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> Result:
    """The result of the module `name`; `failed` is always in it, and warnings are plain text.

    `user`: run as this user. `inside`: run in the namespaces of a daemon or host of the bench.
    """
    own = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": tempfile.gettempdir()}
    request = {"name": name, "args": {**args, **own}, "env": env or {}, "user": user}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(_server_of(inside))
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    return parse_answer(name, answer)


def parse_answer(name: str, answer: bytes) -> Result:
    """The result in what a module server answered."""
    if not answer:
        raise AssertionError(f"The module {name} ended without an answer: killed by a signal?")
    ended = json.loads(answer)
    try:
        result: Result = json.loads(ended["stdout"])
    except ValueError:
        raise AssertionError(
            f"The module {name} gave no JSON (rc {ended['rc']}):\n{ended['stdout']}\n{ended['stderr']}"
        ) from None
    result.setdefault("failed", ended["rc"] != 0)
    result["warnings"] = [_text(warning) for warning in result.get("warnings", [])]
    assert "Traceback" not in ended["stderr"], f"The module {name} wrote a traceback:\n{ended['stderr']}"
    return result


def _text(warning: Any) -> str:
    """ansible-core 2.19 and later wrap a warning's text for their own controller."""
    return str(warning["event"]["msg"] if isinstance(warning, dict) else warning)


def end_server(inside: Inside) -> None:
    """Ends the process that runs modules there: systemd's shutdown stops it, and then nobody would reap it."""
    found = _SERVERS.pop((os.getpid(), inside.pid), None)
    if found is not None:
        _end(*found)


def _server_of(inside: Inside | None) -> str:
    key = (os.getpid(), inside.pid if inside else None)
    if key not in _SERVERS:
        _SERVERS[key] = _server(key[1], inside.module_library if inside else None)
        atexit.register(_end, *_SERVERS[key])
    return _SERVERS[key][1]


def _server(namespaces: int | None, library: Library | None) -> tuple[subprocess.Popen[bytes], str]:
    """A fork server; it ends with its caller."""
    address = str(Path(tempfile.mkdtemp(prefix="nbt-modules-")) / "socket")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    enter = ["nsenter", "--target", str(namespaces), "--mount", "--uts", "--net", "--pid", "--"] if namespaces else []
    tied = ["setpriv", "--pdeathsig", "KILL"]
    program = ["/usr/bin/python3", f"{library.path}/module_server.py"] if library else [sys.executable, str(_SERVER)]
    names = library.modules if library else ()
    paths = [library.path] if library else [str(collections_path()), os.environ.get("PYTHONPATH", "")]
    # what lies in a library is read-only, and compiled code is found again by its directory
    more = {"PYTHONPATH": os.pathsep.join(paths).rstrip(os.pathsep)}
    more.update({"PYTHONPYCACHEPREFIX": "/var/tmp/pycache"} if library else {})
    process = subprocess.Popen(
        [*tied, *enter, *(tied if enter else []), *program, str(listening.fileno()), *names],
        stdin=subprocess.DEVNULL,
        pass_fds=[listening.fileno()],
        env={**os.environ, **more},
    )
    listening.close()
    return process, address


def _end(process: subprocess.Popen[bytes], address: str) -> None:
    process.kill()
    process.wait()
    shutil.rmtree(Path(address).parent, ignore_errors=True)


def four_steps(name: str, args: dict[str, Any], daemon: Daemon, *, watch: Sequence[str | Path] = ()) -> list[Result]:
    """Check mode: changed, nothing written; run: changed; run: unchanged; check mode: unchanged. The four results.

    `uri` is the daemon's unless `args` has one. `watch`: more files or directories that all but the second leave alone.
    """
    args = {"uri": daemon.uri, **args}
    before = daemon.state(*watch)
    foreseen = succeed(name, args, check=True)
    expect_changed(foreseen, f"{name} in check mode", changed=True)
    daemon.assert_unchanged(before, f"{name} in check mode", *watch)
    done = succeed(name, args)
    expect_changed(done, f"{name}, run", changed=True)
    reached = daemon.state(*watch)
    again = succeed(name, args)
    expect_changed(again, f"{name}, run again", changed=False)
    foreseen_again = succeed(name, args, check=True)
    expect_changed(foreseen_again, f"{name} in check mode after the run", changed=False)
    daemon.assert_unchanged(reached, f"{name}, run again and checked", *watch)
    return [foreseen, done, again, foreseen_again]


def succeed(name: str, args: dict[str, Any], **options: Any) -> Result:
    """run_module, which must not fail."""
    result = run_module(name, args, **options)
    assert not result["failed"], f"{name} failed: {_short(result)}"
    return result


def expect_changed(result: Result, what: str, *, changed: bool) -> None:
    """Fails, and shows the diff, unless `changed` is as expected."""
    word = "changed" if changed else "unchanged"
    assert result["changed"] is changed, f"{what} should say {word}, but: {_short(result)}"


def _short(result: Result) -> str:
    """What a person wants to see of a result."""
    wanted = ("failed", "msg", "error", "changed", "steps", "diff", "warnings", "exception")
    return json.dumps({key: result[key] for key in wanted if key in result}, indent=1, default=str)[:6000]
