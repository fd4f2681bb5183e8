# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cloud_init_seed for real: the four steps, two readers of the image, its rights at every instant, bad input."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pycdlib
import pytest
import yaml

from tests.bench.module import Result, expect_changed, run_module, succeed

_SECRET = "correct horse battery"
_DOCUMENTS: dict[str, Any] = {
    "user_data": {"hostname": "web1", "password": _SECRET, "chpasswd": {"expire": False}},
    "meta_data": {"local-hostname": "web1"},
    "network_config": {"version": 2, "ethernets": {"any": {"match": {"name": "en*"}, "dhcp4": True}}},
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory of the test's own that other users may look into, as a pool's is."""
    tmp_path.chmod(0o755)
    return tmp_path


def _photograph(directory: Path) -> dict[str, tuple[Any, ...]]:
    """Everything of a directory that a write would change."""
    found = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, status.st_ino, status.st_mtime_ns, content)
    return found


def _four_steps(directory: Path, args: dict[str, Any]) -> list[Result]:
    """As the bench's, with a look at the directory in place of a daemon."""
    before = _photograph(directory)
    foreseen = succeed("cloud_init_seed", args, check=True)
    expect_changed(foreseen, "check mode", changed=True)
    assert _photograph(directory) == before
    done = succeed("cloud_init_seed", args)
    expect_changed(done, "run", changed=True)
    reached = _photograph(directory)
    again = succeed("cloud_init_seed", args)
    foreseen_again = succeed("cloud_init_seed", args, check=True)
    for result in (again, foreseen_again):
        expect_changed(result, "after the run", changed=False)
    assert _photograph(directory) == reached
    assert foreseen["steps"] == done["steps"] and foreseen["diff"] == done["diff"]
    assert [path.name for path in directory.iterdir() if path.name.startswith(".")] == []
    return [foreseen, done, again, foreseen_again]


def _step(results: list[Result]) -> str:
    (step,) = results[1]["steps"]
    return str(step["verb"])


def test_create_replace_permit_remove(directory: Path) -> None:
    """The whole life of a seed, each change through the four steps."""
    seed = directory / "seed.iso"
    args = {"dest": str(seed), **_DOCUMENTS}
    results = _four_steps(directory, args)
    assert _step(results) == "create" and results[0]["seed"] is None
    assert results[1]["seed"] == {
        "dest": str(seed),
        "label": "cidata",
        "documents": ["meta-data", "network-config", "user-data"],
        "size": seed.stat().st_size,
        "mode": "0600",
        "owner": "root",
        "group": "root",
    }
    assert _step(_four_steps(directory, {**args, "user_data": "#!/bin/sh\n"})) == "replace"
    assert _step(_four_steps(directory, {**args, "vendor_data": {}})) == "replace"
    assert _step(_four_steps(directory, args)) == "replace"
    assert _step(_four_steps(directory, {**args, "mode": "0640", "group": "daemon"})) == "permit"
    assert stat.S_IMODE(seed.stat().st_mode) == 0o640
    assert _step(_four_steps(directory, {"dest": str(seed), "state": "absent"})) == "remove"


def test_independent_readers_find_the_documents(directory: Path) -> None:
    """pycdlib by Joliet, isoinfo by Rock Ridge and by Joliet, xorriso by what it prefers."""
    seed = directory / "seed.iso"
    succeed("cloud_init_seed", {"dest": str(seed), **_DOCUMENTS})
    iso, content = pycdlib.PyCdlib(), io.BytesIO()
    iso.open(str(seed))
    iso.get_file_from_iso_fp(content, joliet_path="/user-data")
    iso.close()
    text = content.getvalue().decode()
    assert text.startswith("#cloud-config\n")
    assert yaml.safe_load(text) == _DOCUMENTS["user_data"]
    assert seed.stat().st_size > 0x11000, "busybox reads as much before it believes in a label"
    label = subprocess.run(["isoinfo", "-d", "-i", seed], check=True, capture_output=True, text=True).stdout
    assert "Volume id: cidata\n" in label and "Joliet" in label and "Rock Ridge" in label
    for tree in ("-R", "-J"):
        command = ["isoinfo", tree, "-i", str(seed), "-x", "/user-data"]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == text
    out = directory / "out"
    extract = ["xorriso", "-osirrox", "on", "-indev", str(seed), "-extract", "/", str(out)]
    subprocess.run(extract, check=True, capture_output=True)
    assert (out / "user-data").read_text() == text
    network = yaml.safe_load((out / "network-config").read_text())
    assert network == _DOCUMENTS["network_config"]
    meta_data = yaml.safe_load((out / "meta-data").read_text())
    assert meta_data["local-hostname"] == "web1" and meta_data["instance-id"].startswith("iid-")


def test_the_same_content_gives_the_same_file(directory: Path) -> None:
    """Under another name, made later, from text as from a dictionary's own text."""
    one, other = directory / "one.iso", directory / "other.iso"
    succeed("cloud_init_seed", {"dest": str(one), **_DOCUMENTS})
    os.utime(one, (0, 0))
    succeed("cloud_init_seed", {"dest": str(other), **_DOCUMENTS})
    assert one.read_bytes() == other.read_bytes()


def test_nothing_secret_is_returned_and_nothing_else_is_masked(directory: Path) -> None:
    """A `version: 2` in the options must not put stars into sizes and paths."""
    args = {"dest": str(directory / "web1-2.iso"), **_DOCUMENTS}
    results = [
        run_module("cloud_init_seed", args),
        run_module("cloud_init_seed", {**args, "user_data": f"password: {_SECRET}2"}),
        run_module("cloud_init_seed", {**args, "user_data": [_SECRET]}),
        run_module("cloud_init_seed", {**args, "meta_data": {"a": {"b": _SECRET}}, "mode": "9"}),
        run_module("cloud_init_seed", {**args, "no_such_option": 1}),
    ]
    assert [result["failed"] for result in results] == [False, False, True, True, True]
    assert _SECRET not in json.dumps(results)
    for result in results[:2]:
        assert result["seed"]["dest"] == args["dest"] and isinstance(result["seed"]["size"], int)
        assert "****" not in json.dumps(result)


def test_no_other_user_can_read_it_at_any_instant(directory: Path) -> None:
    """strace sees each mode with which a file is made or given; the umask allows everything."""
    program = (
        "import os, sys; os.umask(0); sys.path[:0] = sys.argv[1].split(':')\n"
        "from ansible_collections.nestbox.virt.plugins.module_utils._seed import SeedResource\n"
        "resource = SeedResource({'dest': sys.argv[2], 'state': 'present', 'mode': '0600', 'owner': 'daemon',\n"
        "    'group': 'daemon', 'user_data': {'a': 1}})\n"
        "[step.apply() for step in resource.plan(resource.read()).steps]\n"
    )
    seed = str(directory / "seed.iso")
    log = directory / "log"
    calls = "trace=openat,open,creat,chmod,fchmod,fchmodat,rename,renameat,renameat2,chown,fchown"
    paths = ":".join(path for path in sys.path if path)
    subprocess.run(["strace", "-f", "-e", calls, "-o", log, sys.executable, "-c", program, paths, seed], check=True)
    lines = [line for line in log.read_text().splitlines() if str(directory) in line or "fch" in line]
    made = [line for line in lines if "O_CREAT" in line]
    assert len(made) == 1 and ".nestbox-" in made[0] and ", 0600)" in made[0] and "O_EXCL" in made[0]
    assert all(", 0600)" in line for line in lines if "chmod" in line)
    assert any("rename" in line for line in lines)
    status = Path(seed).stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, 1)


def _tell(args: dict[str, Any], **options: Any) -> str:
    """The message of a failure, which is the same in check mode."""
    messages = []
    for check in (True, False):
        result = run_module("cloud_init_seed", args, check=check, **options)
        assert result["failed"], result
        messages.append(str(result["msg"]))
    assert messages[0] == messages[1]
    return messages[0]


def test_bad_destinations(directory: Path) -> None:
    """Each is named, with what to do, and nothing is written."""
    (directory / "link").symlink_to("elsewhere")
    os.mkfifo(directory / "pipe")
    (directory / "disk").write_bytes(b"somebody's data")
    before = _photograph_names(directory)
    cases = {
        "seed.iso": "not an absolute path",
        str(directory): "is a directory. Give the path of a file in it",
        str(directory / "link"): "is a symbolic link",
        str(directory / "pipe"): "is not a regular file",
        str(directory / "disk"): "neither replaced nor removed",
        str(directory / "none" / "seed.iso"): "Create it first",
        str(directory / "disk" / "seed.iso"): "Not a directory",
    }
    for dest, message in cases.items():
        assert message in _tell({"dest": dest, **_DOCUMENTS}), dest
    assert "a dictionary, or as text." in _tell({"dest": str(directory / "a.iso"), "user_data": ["x", "i"]})
    assert _photograph_names(directory) == before
    assert "has no such name" in _tell({"dest": str(directory / "a.iso"), "owner": "nobody-at-all"})


def _photograph_names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def closed() -> Iterator[Path]:
    """A directory that another user may enter and not write to."""
    path = Path("/tmp") / f"nbt-seed-{os.getpid()}"
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_no_rights(closed: Path) -> None:
    """Said before anything is tried, in check mode too."""
    assert "Run the task as a user with the rights" in _tell({"dest": f"{closed}/seed.iso"}, user="nobody")
    seed = closed / "secret.iso"
    succeed("cloud_init_seed", {"dest": str(seed), **_DOCUMENTS})
    message = _tell({"dest": str(seed), **_DOCUMENTS}, user="nobody")
    assert "can't be read: Permission denied" in message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_file_system_keeps_the_old_seed(directory: Path) -> None:
    """The old file stays whole and no temporary one is left; with room again, a second run finishes."""
    args = {"dest": str(directory / "full" / "seed.iso"), **_DOCUMENTS}
    (directory / "full").mkdir()
    script = directory / "inside.py"
    script.write_text(_FULL_DISK)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = ["unshare", "--mount", sys.executable, str(script), json.dumps(args)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    failed, left_names, kept, finished = json.loads(done.stdout)
    assert failed["failed"] and "No space left on device. Free some space" in failed["msg"], failed
    assert left_names == ["ballast", "seed.iso"] and kept
    assert finished["changed"]


_FULL_DISK = """
import json, pathlib, subprocess, sys
from tests.bench.module import run_module
args = json.loads(sys.argv[1])
seed = pathlib.Path(args["dest"])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=900k", "tmpfs", seed.parent], check=True)
assert run_module("cloud_init_seed", args)["changed"]
before = seed.read_bytes()
(seed.parent / "ballast").write_bytes(bytes(300 * 1024))
changed = {**args, "user_data": {"other": "content"}}
failed = run_module("cloud_init_seed", changed)
names, kept = sorted(path.name for path in seed.parent.iterdir()), seed.read_bytes() == before
(seed.parent / "ballast").unlink()
print(json.dumps([failed, names, kept, run_module("cloud_init_seed", changed)]))
"""


def test_without_pycdlib_the_package_is_named() -> None:
    """A host without it is told which package to install; an import of the module itself does not fail."""
    program = (
        "import sys; sys.modules['pycdlib'] = None\n"
        "from ansible_collections.nestbox.virt.plugins.module_utils import _nocloud, _errors\n"
        "try:\n    _nocloud.build_iso({})\nexcept _errors.MissingDependency as error:\n    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert "python3-pycdlib" in done.stdout
