# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead-man's switch in network namespaces: what is confirmed stays, all else is undone, whoever is killed."""

from __future__ import annotations

import difflib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.bench.module import collections_path

_PROGRAM = Path(__file__).with_name("switch_program.py")
_LONG = 600  # no test waits for it
_BEFORE = """
link add eth0 address 02:00:00:00:00:01 type veth peer name lan
link set lo up
link set lan up
link set eth0 mtu 1400 up
addr add 203.0.113.10/24 brd + dev eth0
addr add 203.0.113.11/24 dev eth0
addr add 2001:db8::10/64 dev eth0 nodad
route add default via 203.0.113.1 metric 7
route add 198.51.100.0/24 via 203.0.113.2 table 77
route add default via 2001:db8::1
rule add pref 100 from 203.0.113.11 lookup 77
"""
_CHANGE = """
link add br0 type bridge
link set eth0 down
link set eth0 address 02:00:00:00:00:99
link set eth0 mtu 1500 master br0 up
link set br0 up
addr flush dev eth0
addr add 203.0.113.44/24 dev br0
route add default via 203.0.113.77
rule del pref 100
rule add pref 50 iif br0 lookup 78
"""
_GUESTS = """
link add br0 type bridge
link set br0 up
tuntap add vnet0 mode tap
link set vnet0 master br0 up
link set vnet0 type bridge_slave isolated on learning off
link add name vnet1 type veth peer name inside
link set vnet1 master br0 up
"""


class World:
    """A network and file system of its own, without systemd."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        mounts = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && echo up && exec sleep infinity"
        command = ["unshare", "--net", "--mount", "--fork", "--kill-child", "sh", "-c", mounts]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None and self.process.stdout.readline() == "up\n"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        self.pid = int(children.split()[0])
        self.run("ip", "-batch", "-", text=_BEFORE.strip())
        self.kept, self.gone, self.new = directory / "kept", directory / "gone", directory / "conf.d" / "new"
        self.kept.write_bytes(b"as it was\xff\n")
        self.kept.chmod(0o640)
        self.gone.write_text("here\n", encoding="utf-8")
        self.files = [str(path) for path in (self.kept, self.gone, self.new)]

    def run(self, *command: str, text: str | None = None, check: bool = True) -> str:
        """Standard output of a command in it."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--wd=/", "--", *command]
        done = subprocess.run(enter, input=text, capture_output=True, text=True, check=False)
        assert not check or not done.returncode, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(
        self, *more: list[str], confirm_timeout: int = _LONG, die: bool = False, batch: str = _CHANGE
    ) -> dict[str, Any]:
        """Begins the change, and further commands after it."""
        change = ["sh", "-c", f"ip -batch - <<'EOF'\n{batch.strip()}\nEOF"]
        edit = f"echo other > {self.kept}; chmod 600 {self.kept}; rm {self.gone}; "
        edit += f"mkdir {self.new.parent}; echo x > {self.new}"
        request = {
            "links": ["br0", "eth0"],
            "files": self.files,
            "commands": [change, ["sh", "-c", edit], *more],
            "confirm_timeout": confirm_timeout,
            "die": die,
        }
        path = f"PYTHONPATH={collections_path()}"
        answer: dict[str, Any] = json.loads(
            self.run("env", path, sys.executable, str(_PROGRAM), json.dumps(request), check=not die)
        )
        return answer

    def ask(self, answer: dict[str, Any], *words: str) -> dict[str, Any]:
        """What the program beside the savepoint says."""
        said: dict[str, Any] = json.loads(self.run(*answer["command"], *words))
        return said

    def end(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Waits until the change is undone."""
        return self.until(answer, "restored")

    def until(self, answer: dict[str, Any], state: str) -> dict[str, Any]:
        """Waits until the change is in a state."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            said = self.ask(answer, "wait", "5")
            if said["state"] == state:
                return said
            time.sleep(0.1)
        raise AssertionError(f"The change never was {state}, but {said}")

    def state(self) -> dict[str, Any]:
        """Kernel and files."""
        network = "ip -d addr show eth0; ip -o link | cut -d: -f2; ip rule; for family in 4 6; do "
        network += "ip -$family route show table all | sort; done"
        kernel = self.run("sh", "-c", network).replace("tentative", "")
        there = [path for path in (self.kept, self.gone) if path.exists()]
        files = {path.name: (path.read_bytes(), path.stat().st_mode) for path in there}
        return {"kernel": [line for line in kernel.splitlines() if "fe80:" not in line], **files, **self._added()}

    def _added(self) -> dict[str, Any]:
        return {"new": self.new.exists(), "directory": self.new.parent.exists()}

    def left(self) -> str:
        """What the switch has left behind."""
        return self.run("find", "/run/nestbox.virt", "/var/lib/nestbox.virt", check=False)

    def watchdog(self, answer: dict[str, Any]) -> int:
        """The process of the watchdog."""
        return self._process(f"{answer['command'][-1]} watch")

    def worker(self, answer: dict[str, Any]) -> int:
        """The process of the worker, as soon as there is one."""
        path = f"{answer['command'][-1]}/worker.json"
        while not self.run("cat", path, check=False):
            time.sleep(0.05)
        return int(json.loads(self.run("cat", path))["pid"])

    def _process(self, words: str) -> int:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if words in path.read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                    return int(path.parent.name)
            except OSError:
                continue
        raise AssertionError(f"no process of {words}")

    def close(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()


def assert_same(now: dict[str, Any], before: dict[str, Any]) -> None:
    """Fails with the lines that differ."""
    lines = list(difflib.unified_diff(before["kernel"], now["kernel"], "before", "now", n=0, lineterm=""))
    assert not lines, "\n".join(lines)
    assert now == before


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def test_what_is_not_confirmed_is_undone_to_the_byte(world: World) -> None:
    before = world.state()
    answer = world.start(confirm_timeout=4)
    assert world.until(answer, "applied")["nonce"]
    assert world.state() != before
    assert "br0" in world.run("ip", "link")
    final = world.end(answer)
    assert final["report"]["restored"] and final["report"]["differences"] == []
    assert_same(world.state(), before)
    # the next run shows the report, once; then nothing is left
    follower = world.start(["sleep", "733"])
    assert len(follower["reports"]) == 1 and "Everything is as it was before." in follower["reports"][0]
    os.kill(world.worker(follower), signal.SIGKILL)
    world.end(follower)
    assert world.ask(follower, "forget") == {"state": "forgotten"}
    assert world.left() == ""


def test_what_is_confirmed_stays_and_leaves_nothing_behind(world: World) -> None:
    answer = world.start()
    applied = world.until(answer, "applied")
    assert world.ask(answer, "confirm", "0" * 32)["state"] == "applying", "who has not read the nonce confirms nothing"
    confirmed = world.ask(answer, "confirm", applied["nonce"])
    assert confirmed == {"state": "confirmed", "outcome": {"changed": True}}
    assert world.ask(answer, "wait", "1") == confirmed, "an answer that was lost can be fetched again"
    assert "master br0" in world.run("ip", "link", "show", "eth0")
    assert world.new.exists()
    assert "savepoint" not in world.left()
    world.ask(answer, "forget")
    assert world.left() == ""


def test_a_change_that_fails_is_undone_at_once(world: World) -> None:
    before = world.state()
    answer = world.start(["false"])
    final = world.end(answer)
    assert final["report"]["outcome"]["msg"] == "false failed."
    assert_same(world.state(), before)


def test_a_killed_worker_is_undone_at_once_with_all_that_it_started(world: World) -> None:
    before = world.state()
    answer = world.start(["sleep", "731"])
    os.kill(world.worker(answer), signal.SIGKILL)
    final = world.end(answer)
    assert final["report"]["reason"].startswith("The process that applied the change ended")
    assert_same(world.state(), before)
    with pytest.raises(AssertionError, match="no process"):
        world._process("sleep 731")


def test_guests_are_under_their_bridge_again_as_they_were(world: World) -> None:
    """ifupdown2 takes links out of a bridge that are in none of its files, and down."""
    world.run("ip", "-batch", "-", text=_GUESTS.strip())
    guests = "ip -d -o link show master br0 | sed 's/_timer *[0-9.]*//g'"
    before = world.run("sh", "-c", guests)
    assert before.count("bridge_slave") == 2 and "isolated on" in before
    taken = "\n".join(f"link set vnet{number} nomaster\nlink set vnet{number} down" for number in range(2))
    final = world.end(world.start(["false"], batch=taken))
    assert final["report"]["outcome"]["msg"] == "false failed." and final["report"]["restored"]
    assert world.run("sh", "-c", guests) == before


def test_a_module_that_is_killed_after_it_began_is_undone(world: World) -> None:
    before = world.state()
    answer = world.start(confirm_timeout=2, die=True)
    assert world.end(answer)["report"]["restored"]
    assert_same(world.state(), before)


def test_a_killed_watchdog_leaves_no_state_between(world: World) -> None:
    before = world.state()
    answer = world.start(["sleep", "732"])
    world.worker(answer)
    os.kill(world.watchdog(answer), signal.SIGKILL)
    refused = world.start()
    assert refused["error"]["code"] == "conflict" and "Its watchdog is gone" in refused["msg"]
    assert world.end(answer)["report"]["restored"], "who asks takes its place"
    assert_same(world.state(), before)


def test_a_watchdog_that_is_killed_late_can_still_be_replaced_and_confirm(world: World) -> None:
    answer = world.start()
    applied = world.until(answer, "applied")
    os.kill(world.watchdog(answer), signal.SIGKILL)
    assert world.until(answer, "applied") == applied
    assert world.ask(answer, "confirm", applied["nonce"])["state"] == "confirmed"


def test_a_second_change_waits_for_the_first(world: World) -> None:
    answer = world.start(["sleep", "734"])
    refused = world.start()
    assert refused["error"]["code"] == "conflict"
    assert "not confirmed yet" in refused["msg"] and "Nothing was done" in refused["msg"]
    os.kill(world.worker(answer), signal.SIGKILL)
    world.end(answer)


def test_a_confirmation_at_the_last_moment_is_one_or_the_other(tmp_path: Path) -> None:
    confirm_timeout = 3

    def race(number: int) -> tuple[str, bool]:
        (tmp_path / str(number)).mkdir()
        world = World(tmp_path / str(number))
        try:
            before = world.state()
            answer = world.start(confirm_timeout=confirm_timeout)
            world.worker(answer)
            nonce = world.until(answer, "applied")["nonce"]
            began = json.loads(world.run("cat", f"{answer['command'][-1]}/started.json"))["at"]
            # the request itself takes a tenth of a second and more to arrive
            time.sleep(max(began + confirm_timeout - 0.1 * number - time.monotonic(), 0))
            world.ask(answer, "confirm", nonce)
            deadline = time.monotonic() + 60
            while (final := world.ask(answer, "wait", "5"))["state"] not in ("confirmed", "restored"):
                assert time.monotonic() < deadline, final
            return final["state"], world.state() == before
        finally:
            world.close()

    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(race, range(6)))
    assert set(ended) <= {("confirmed", False), ("restored", True)}, ended
