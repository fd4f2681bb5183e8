# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirtd of the tests' own, in its own mount, UTS, network and PID namespace."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt

from .state import changes, read_state, state_digest

_SETUP = Path(__file__).with_name("namespace.sh")
_DIRECTORIES = ("etc", "run", "lib", "cache", "log", "localca", "dev")
# what guests leave in files, emptied by reset()
_LEFT_BEHIND = ("lib/images", "lib/boot", "lib/swtpm", "lib/qemu/save", "lib/qemu/nvram", "lib/qemu/dump", "log/qemu")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_START_TIMEOUT_S = 60

_LIBVIRTD_CONF = """\
listen_tls = 0
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0700"
host_uuid = "{host_uuid}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""

# root needs no rights on the tests' files; the rest would need a kernel or a service manager that a bench need not have
_QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 1
remember_owner = 0
security_driver = "none"
namespaces = [ ]
cgroup_controllers = [ ]
swtpm_user = "root"
swtpm_group = "root"
"""

_UNDEFINE_FLAGS = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)

_GONE = (
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_NO_NETWORK,
    libvirt.VIR_ERR_NO_STORAGE_POOL,
)


class Daemon:
    """libvirtd with the QEMU, network and storage drivers; everything it knows lies below `directory`."""

    module_library = None  # its namespaces see our files

    def __init__(self, name: str, directory: str | Path | None = None) -> None:
        """`directory`, by default nbt-NAME in the temporary directory, is short: a socket's path has 107 characters."""
        self.name = name
        self.directory = Path(directory or Path(os.environ.get("TMPDIR", "/tmp")) / f"nbt-{name}").absolute()
        self._keeper: subprocess.Popen[bytes] | None = None

    # -- life -------------------------------------------------------------------------------------------------

    def start(self, *, tied: bool = False) -> Daemon:
        """Starts the namespaces and the daemons in them; `tied`: they end with the process that called this."""
        if self.pid is None:
            self._prepare_directories()
            self._start_namespaces(tied=tied)
        if not self._alive("virtlogd"):
            self._launch("virtlogd")
        if not self._alive("libvirtd"):
            self._launch("libvirtd")
        return self

    def stop(self) -> None:
        """Ends every process of the namespaces at once, guests too, and removes the directory."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self._wait(lambda: not _exists(pid), "the end of the namespaces")
        if self._keeper is not None:
            self._keeper.wait()
            self._keeper = None
        for name in _DIRECTORIES:
            shutil.rmtree(self.directory / name, ignore_errors=True)
        for name in ("pid", "keeper.log"):
            (self.directory / name).unlink(missing_ok=True)
        if self.directory.is_dir() and not any(self.directory.iterdir()):
            self.directory.rmdir()

    def kill(self) -> None:
        """SIGKILL for libvirtd, as a crash; guests and networks go on, as they do on a real host."""
        if self._alive("libvirtd"):
            self.exec("kill", "-KILL", self._inner_pid("libvirtd"))
            self._wait(lambda: not self._alive("libvirtd"), "the end of libvirtd")

    def restart(self) -> None:
        """Ends libvirtd as a service manager does, and starts it again; guests and networks go on."""
        if self._alive("libvirtd"):
            self.exec("kill", "-TERM", self._inner_pid("libvirtd"))
            self._wait(lambda: not self._alive("libvirtd"), "the end of libvirtd")
        self.start()

    def __enter__(self) -> Daemon:
        return self.start()

    def __exit__(self, *_ignored: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Process 1 of the namespaces, as the host counts it; None when they are not there."""
        try:
            pid = int((self.directory / "pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return None
        return pid if command.startswith(b"sleep\0infinity") else None

    @property
    def running(self) -> bool:
        """Whether libvirtd runs."""
        return self.pid is not None and self._alive("libvirtd")

    # -- use --------------------------------------------------------------------------------------------------

    @property
    def socket(self) -> Path:
        """libvirtd's socket; a read-only connection uses the same one, and the server holds it to reading."""
        return self.directory / "run" / "libvirt" / "libvirt-sock"

    @property
    def uri(self) -> str:
        """The URI for modules, virsh and the binding."""
        return f"qemu+unix:///system?socket={self.socket}"

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """A connection of the libvirt binding."""
        libvirt.registerErrorHandler(_ignore, None)
        connection = libvirt.open(self.uri)
        try:
            yield connection
        finally:
            connection.close()
            _close_files()

    def path(self, inside: str | Path) -> Path:
        """Where the host finds a file that the daemon knows as `inside` (/var/lib/libvirt/images/…)."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def virsh(self, *arguments: str, check: bool = True) -> str:
        """The output of virsh on this daemon."""
        return self._run(["virsh", "-q", "-c", self.uri, *arguments], check=check).stdout

    def exec(self, *argv: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command inside the namespaces; `options` go to subprocess.run."""
        return self._run([*self.enter_command, *argv], check=check, **options)

    @property
    def enter_command(self) -> list[str]:
        """What stands before a command that is to run inside the namespaces."""
        return ["nsenter", "--target", str(self.pid), "--mount", "--uts", "--net", "--pid", "--"]

    # -- state ------------------------------------------------------------------------------------------------

    def state(self, *more: str | Path) -> dict[str, str]:
        """All that the daemon keeps, one entry a file or object; `more`: further directories or files to look at."""
        with self.connect() as connection:
            return read_state(connection, self.path("/"), [str(path) for path in more])

    def state_hash(self, *more: str | Path) -> str:
        """One hash over `state`."""
        return state_digest(self.state(*more))

    def assert_unchanged(self, before: dict[str, str], what: str, *more: str | Path) -> None:
        """Fails, and names what changed, unless the state still is `before`."""
        difference = changes(before, self.state(*more))
        assert not difference, f"{what} changed the daemon's state: {'; '.join(difference)}"

    def reset(self) -> None:
        """Removes every domain, network, pool and secret, and the files that they leave."""
        self.start()
        with self.connect() as connection:
            for domain in connection.listAllDomains():
                if domain.isActive():
                    _gone(domain.destroy)
                _gone(domain.undefineFlags, _UNDEFINE_FLAGS)
            for listed in (connection.listAllNetworks(), connection.listAllStoragePools()):
                for thing in listed:
                    if thing.isActive():
                        _gone(thing.destroy)
                    _gone(thing.undefine)
            for secret in connection.listAllSecrets():
                secret.undefine()
        for top in _LEFT_BEHIND:
            _empty(self.directory / top)

    # -- inside -----------------------------------------------------------------------------------------------

    def _prepare_directories(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.directory / "run", ignore_errors=True)  # as after a reboot
        for name in _DIRECTORIES:
            (self.directory / name).mkdir(exist_ok=True)
        (self.directory / "run" / "libvirt").mkdir(exist_ok=True)
        for name in ("images", "boot", "qemu"):
            (self.directory / "lib" / name).mkdir(exist_ok=True)
        etc = self.directory / "etc"
        host_uuid = uuid.uuid5(uuid.NAMESPACE_URL, f"nestbox.virt/bench/{self.name}")
        (etc / "libvirtd.conf").write_text(_LIBVIRTD_CONF.format(host_uuid=host_uuid))
        (etc / "qemu.conf").write_text(_QEMU_CONF)
        filters = Path("/etc/libvirt/nwfilter")
        if filters.is_dir() and not (etc / "nwfilter").exists():
            shutil.copytree(filters, etc / "nwfilter")

    def _start_namespaces(self, *, tied: bool) -> None:
        (self.directory / "pid").unlink(missing_ok=True)
        command = ["unshare", "--mount", "--uts", "--net", "--pid", "--fork", "--kill-child=SIGKILL"]
        command += ["bash", str(_SETUP), self.name, str(self.directory)]
        if tied:
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        log, environment = self.directory / "keeper.log", _environment()
        with log.open("wb") as output:
            self._keeper = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
            )
        keeper = self._keeper
        self._wait(lambda: self.pid is not None or keeper.poll() is not None, "the namespaces")
        if self.pid is None:
            raise RuntimeError(f"The bench daemon {self.name} has no namespaces: {log.read_text().strip()}")

    def _launch(self, program: str) -> None:
        """Starts `program`, which answers when this returns."""
        (self.directory / "run" / f"{program}.pid").unlink(missing_ok=True)
        self.exec(program, "--daemon", "--pid-file", f"/run/{program}.pid", timeout=_START_TIMEOUT_S)

    def _inner_pid(self, program: str) -> str:
        try:
            return (self.directory / "run" / f"{program}.pid").read_text().strip()
        except FileNotFoundError:
            return ""

    def _alive(self, program: str) -> bool:
        pid = self._inner_pid(program)
        if not pid:
            return False
        try:
            return self.path(f"/proc/{pid}/comm").read_text().strip() == program
        except (FileNotFoundError, ProcessLookupError):
            return False

    def _run(self, argv: list[str], *, check: bool, **options: Any) -> subprocess.CompletedProcess[str]:
        options = {"capture_output": True, "text": True, "env": _environment(), "stdin": subprocess.DEVNULL, **options}
        done: subprocess.CompletedProcess[str] = subprocess.run(argv, check=False, **options)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def _wait(self, reached: Any, what: str) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not reached():
            if time.monotonic() > deadline:
                raise TimeoutError(f"The bench daemon {self.name} waited {_START_TIMEOUT_S} s for {what}")
            time.sleep(0.01)


def _environment() -> dict[str, str]:
    """The caller's environment with the system's own programs only: a virtual environment is not for daemons."""
    return {**os.environ, "PATH": _PATH, "LC_ALL": "C.UTF-8"}


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _gone(end: Any, *arguments: Any) -> None:
    """Destroys or undefines; a guest may end by itself meanwhile, and what was transient is gone when it has ended."""
    try:
        end(*arguments)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _GONE:
            raise


def _empty(directory: Path) -> None:
    if not directory.is_dir():
        return
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _ignore(_context: Any, _error: Any) -> None:
    """libvirt's own handler would write to stderr what the exception says."""


def _close_files() -> None:
    """Lets go of the sockets of closed connections, which wait for a turn of libvirt's event loop that nobody runs.

    A loop is registered here and by the modules' own code, once for the process.
    """
    libvirt.virEventRegisterDefaultImpl()
    timer = libvirt.virEventAddTimeout(0, lambda *_arguments: None, None)
    libvirt.virEventRunDefaultImpl()
    libvirt.virEventRemoveTimeout(timer)


def main(arguments: list[str]) -> int:
    """The command line: daemon start|stop|status|uri NAME."""
    if len(arguments) != 2 or arguments[0] not in ("start", "stop", "status"):
        print("usage: python -m tests.bench daemon start|stop|status NAME", file=sys.stderr)
        return 2
    verb, daemon = arguments[0], Daemon(arguments[1])
    if verb == "start":
        daemon.start()
    elif verb == "stop":
        daemon.stop()
    print(f"{daemon.name}: {'running, ' + daemon.uri if daemon.running else 'stopped'}")
    return 0 if daemon.running or verb == "stop" else 3
