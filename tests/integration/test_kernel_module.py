# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kernel_module for real: on a guest's own kernel, and where there are no modules to load."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ansible
import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._errors import DeclarationError, NotFoundError
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.files import Host, read_configuration
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.resource import KernelModuleResource
from ansible_collections.nestbox.virt.plugins.modules.kernel_module import SPEC
from tests.bench.containers import container_image, podman_environment
from tests.bench.daemon import Daemon
from tests.bench.guest_image import guest_image
from tests.bench.kernel_guest import KernelGuest
from tests.bench.module import Result, expect_changed, parse_answer, run_module
from tests.unit.kmod.cases import Case, read_cases

MODULE = "kernel_module"
# of the guest's own: options on the command line that conflict, and such as only the command line can give
CMDLINE = "bonding.max_bonds=2 tcp_cubic.fast_convergence=0"
# everything that check mode, and a refusal, must leave as it is; inodes and times tell a file that was written again
STATE = """
mkdir -p /etc/modules-load.d; find /etc -type f | xargs ls -il --full-time; cat /etc/modprobe.d/* /etc/modules-load.d/*
cut -d' ' -f1,3,4 /proc/modules | sort; grep . /sys/module/*/parameters/* 2>/dev/null
"""
HOLDER = "/tmp/hold-kvm.pid"
RELEASE = f"kill $(cat {HOLDER}); while [ -e /proc/$(cat {HOLDER})/fd/0 ]; do sleep 0.1; done; rm -f {HOLDER}"
CLEAN = (
    "rm -rf /etc/modprobe.d/* /etc/modules-load.d/*; for m in kvm_amd kvm nbd bonding dummy; do rmmod $m; done; true"
)


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelGuest]:
    """One guest for all tests; they differ in the modules that they use."""
    daemon = Daemon(f"kernel-{os.getpid()}")
    daemon.stop()
    daemon.start(tied=True)
    try:
        guest = KernelGuest(daemon, tmp_path_factory.mktemp("kernel"), CMDLINE)
        yield guest
        guest.close()
    finally:
        daemon.stop()


@pytest.fixture
def guest(booted: KernelGuest) -> Iterator[KernelGuest]:
    """The guest with none of our modules loaded and no files."""
    booted.shell(CLEAN)
    yield booted
    booted.shell(f"[ ! -e {HOLDER} ] || {{ {RELEASE}; }}; ip link del dummy9; umount /proc/cpuinfo", check=False)


def apply(guest: KernelGuest, check: bool = False, **args: Any) -> Result:
    """The module's result, which must be a success."""
    result = guest.run_module(MODULE, args, check=check)
    assert not result["failed"], json.dumps(result, indent=1)[:3000]
    return result


def refused(guest: KernelGuest, message: str, **args: Any) -> Result:
    """In check mode and outside it the same error, and nothing has changed; the error."""
    before = guest.shell(STATE, check=False)
    foreseen = guest.run_module(MODULE, args, check=True)
    assert foreseen["failed"], foreseen
    result = guest.run_module(MODULE, args)
    assert message in result["msg"], result["msg"]
    assert foreseen["msg"] == result["msg"]
    assert guest.shell(STATE, check=False) == before
    return result


def four_steps(guest: KernelGuest, **args: Any) -> Result:
    """Check mode: changed, nothing written; run: changed; run and check mode again: unchanged. The second result."""
    before = guest.shell(STATE, check=False)
    foreseen = apply(guest, check=True, **args)
    expect_changed(foreseen, "check mode", changed=True)
    assert guest.shell(STATE, check=False) == before
    done = apply(guest, **args)
    expect_changed(done, "run", changed=True)
    assert (foreseen["steps"], foreseen["diff"]) == (done["steps"], done["diff"])
    reached = guest.shell(STATE, check=False)
    expect_changed(apply(guest, **args), "run again", changed=False)
    expect_changed(apply(guest, check=True, **args), "check mode again", changed=False)
    assert guest.shell(STATE, check=False) == reached
    return done


def steps(result: Result) -> list[str]:
    """The steps in short."""
    return [f"{step['verb']} {step['target'].rpartition(' ')[2]}" for step in result["steps"]]


def live(guest: KernelGuest, module: str, parameter: str) -> str:
    """What the kernel shows."""
    return guest.shell(f"cat /sys/module/{module}/parameters/{parameter}").strip()


# -- kmod's own answers -------------------------------------------------------------------------------------------

ASK = """
set -e; root=/tmp/ask; mkdir -p $root/usr/lib/modules/$(uname -r) $root/bin; ln -s usr/lib $root/lib
loader=/lib64/ld-linux-x86-64.so.2
for file in $loader $($loader --list /usr/bin/kmod | grep -o "/[^ ]*"); do
    mkdir -p $root/$(dirname $file); cp -L $file $root/$file
done
cp /usr/bin/kmod $root/bin/modprobe; mkdir /tmp/cases; tar -x -C /tmp/cases -f -
for case in /tmp/cases/*; do
    rm -rf $root/etc $root/run $root/proc $root/usr/local $root/usr/lib/modprobe.d
    cp -a $case/. $root/; echo "= ${case##*/}"; chroot $root /bin/modprobe -c 2>/dev/null
done
"""
VERBS = ("alias", "blacklist", "install", "options", "remove", "softdep")


def _by_verb(text: str) -> dict[str, list[str]]:
    """The lines of each command in order; kmod 30 spoils the text of softdep lines when it prints them."""
    lines = [
        line
        for line in text.split("\n# End of configuration files", maxsplit=1)[0].split("\n")
        if line.startswith(VERBS)
    ]
    lines = [" ".join(line.split(" ")[:2]) if line.startswith("softdep") else line for line in lines]
    return {verb: [line for line in lines if line.split(" ")[0] == verb] for verb in VERBS}


def _our_answer(root: Path) -> str:
    entries = read_configuration(Host(root)).entries()
    bare = ("blacklist", "softdep")
    return "\n".join(f"{item.verb} {item.name}" + ("" if item.verb in bare else f" {item.rest}") for item in entries)


def _pack(cases: list[Case], directory: Path) -> bytes:
    """The files of all cases in numbered directories, as an archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number, case in enumerate(cases):
            root = directory / f"{number:03}"
            case.write(root)
            (root / "lib").unlink()
            archive.add(root, root.name)
            (root / "lib").symlink_to("usr/lib")
    return packed.getvalue()


def _compare(cases: list[Case], directory: Path, said: str) -> None:
    answers = said.split("= ")[1:]
    assert len(answers) == len(cases) >= 60
    for number, (case, answer) in enumerate(zip(cases, answers, strict=True)):
        label, _newline, text = answer.partition("\n")
        assert label == f"{number:03}"
        assert _by_verb(_our_answer(directory / label)) == _by_verb(text), case.name


@pytest.mark.parametrize(("suite", "kmod"), [("bookworm", 30), ("trixie", 34)])
def test_modprobe_reads_every_case_as_we_do(tmp_path: Path, suite: str, kmod: int) -> None:
    """modprobe -c on the files of each case, with its command line: that needs no kernel with modules."""
    cases = [case for case in read_cases() if case.newest_kmod >= kmod]
    command = ["podman", "run", "--rm", "--interactive", "--network=none", container_image(suite), "sh", "-c", ASK]
    done = subprocess.run(
        command, input=_pack(cases, tmp_path), capture_output=True, check=False, env=podman_environment()
    )
    _compare(cases, tmp_path, done.stdout.decode("latin-1"))


# what is in the file, and what the kernel makes of it
TAKEN = [
    ("options nbd max_part=7 nbds_max=2\n", {"max_part": "7", "nbds_max": "2"}),
    ('options nbd "max_part=0x7"\toptions-max=1 nbds-max="3"\n', {"max_part": "7", "nbds_max": "3"}),
    ("options nbd max_part=3 \\\n nbds_max=010 -- max_part=1\n", {"max_part": "3", "nbds_max": "8"}),
    ("options nbd max_part=1\noptions nbd max-part=3 nbds_max=1\n", {"max_part": "3", "nbds_max": "1"}),
]


def test_the_kernel_takes_what_we_foresee(guest: KernelGuest) -> None:
    """The options as a dictionary, and the live values after a load by nobody but modprobe."""
    for text, expected in TAKEN:
        guest.write("/etc/modprobe.d/a.conf", text)
        guest.shell("/usr/sbin/modprobe nbd")
        result = apply(guest, name="nbd", options=expected)
        assert not result["changed"]
        described = result["kernel_module"]
        assert described["parameters"] == expected
        assert set(described["options"]) >= set(expected)
        guest.shell("rmmod nbd")


# -- loaded and unloaded ------------------------------------------------------------------------------------------


def test_load_with_options_and_change_them(guest: KernelGuest) -> None:
    done = four_steps(guest, name="nbd", options={"max_part": 7, "nbds-max": "0x2"})
    assert steps(done) == ["create /etc/modprobe.d/nbd.conf", "load nbd"]
    assert done["kernel_module"]["parameters"] == {"max_part": "7", "nbds_max": "2"}
    guest.write("/etc/modprobe.d/nbd.conf", "# mine\noptions nbd nbds_max=2\tmax_part=7\n\nblacklist foo")
    done = four_steps(guest, name="nbd", options={"max_part": 3})
    assert steps(done) == ["change /etc/modprobe.d/nbd.conf", "unload nbd", "load nbd"]
    assert guest.shell("cat /etc/modprobe.d/nbd.conf") == "# mine\noptions nbd nbds_max=2\tmax_part=3\n\nblacklist foo"
    assert done["kernel_module"]["parameters"] == {"max_part": "3", "nbds_max": "2"}
    assert done["kernel_module"]["options"]["max_part"] == {"value": "3", "file": "/etc/modprobe.d/nbd.conf", "line": 2}
    assert not done["reboot_required"]
    (changed,) = [entry for entry in done["diff"] if entry["before_header"] == "module nbd (load)"]
    assert [json.loads(changed[key]) for key in ("before", "after")] == [{"max_part": "7"}, {"max_part": "3"}]
    four_steps(guest, name="nbd", options={"max_part": None, "nbds_max": 2}, options_exclusive=True)
    assert live(guest, "nbd", "max_part") == "31", "the module's own default"


def test_load_persistent_and_unload(guest: KernelGuest) -> None:
    done = four_steps(guest, name="dummy", persistent=True, softdep={"pre": ["nbd"]})
    assert steps(done) == ["create /etc/modprobe.d/dummy.conf", "create /etc/modules-load.d/dummy.conf", "load dummy"]
    assert done["kernel_module"]["persistent"] and done["kernel_module"]["softdep"] == "pre: nbd"
    assert guest.shell("ls -d /sys/module/nbd"), "the softdep line counts"
    done = four_steps(guest, name="dummy", state="absent", persistent=True, blacklisted=True, softdep={})
    verbs = ["change /etc/modprobe.d/dummy.conf", "remove /etc/modules-load.d/dummy.conf", "unload dummy"]
    assert steps(done) == verbs
    assert guest.shell("cat /etc/modprobe.d/dummy.conf") == "blacklist dummy\n"
    assert not done["kernel_module"]["loaded"] and done["kernel_module"]["blacklisted"]


def test_nested_off_and_on_again(guest: KernelGuest) -> None:
    guest.shell("/usr/sbin/modprobe kvm_amd")
    assert live(guest, "kvm_amd", "nested") == "1"
    done = four_steps(guest, name="kvm_amd", options={"nested": False})
    assert steps(done) == ["create /etc/modprobe.d/kvm_amd.conf", "unload kvm_amd", "load kvm_amd"]
    assert live(guest, "kvm_amd", "nested") == "0" == done["kernel_module"]["parameters"]["nested"]
    four_steps(guest, name="kvm-amd", options={"nested": True})
    assert live(guest, "kvm_amd", "nested") == "1"


def test_what_is_writable_is_written(guest: KernelGuest) -> None:
    """Without a reload, and so also while it is in use by another module."""
    guest.shell("/usr/sbin/modprobe kvm_amd")
    done = four_steps(guest, name="kvm", options={"ignore_msrs": True, "halt_poll_ns": "0x100"})
    assert steps(done) == ["create /etc/modprobe.d/kvm.conf", "write kvm", "write kvm"]
    assert (live(guest, "kvm", "ignore_msrs"), live(guest, "kvm", "halt_poll_ns")) == ("Y", "256")


def test_dependants_are_loaded_again_too(guest: KernelGuest) -> None:
    """kvm_amd goes before kvm and comes after it; what was written at run time is kept in both."""
    guest.shell(
        "/usr/sbin/modprobe kvm_amd nested=0; cd /sys/module; echo 7 > kvm/parameters/halt_poll_ns;"
        " echo Y > kvm_amd/parameters/dump_invalid_vmcb"
    )
    done = four_steps(guest, name="kvm", options={"enable_vmware_backdoor": True})
    assert steps(done)[1:] == ["unload kvm_amd", "unload kvm", "load kvm", "load kvm_amd"]
    assert live(guest, "kvm", "enable_vmware_backdoor") == "Y"
    assert live(guest, "kvm", "halt_poll_ns") == "7"
    assert live(guest, "kvm_amd", "dump_invalid_vmcb") == "Y"
    assert "kvm_amd.nested was 0, and is 1" in done["warnings"][0], "nothing in any file had set it"


# -- in use -------------------------------------------------------------------------------------------------------

HOLD = "import fcntl, os, time; kvm = os.open('/dev/kvm', os.O_RDWR); vm = fcntl.ioctl(kvm, 0xAE01, 0); time.sleep(600)"


def _hold_kvm(guest: KernelGuest) -> None:
    """A process with a virtual machine, as QEMU has one; KVM_CREATE_VM is 0xAE01."""
    guest.shell(f'python3 -c "{HOLD}" > /dev/null 2>&1 < /dev/null & echo $! > {HOLDER}')
    guest.shell("until [ $(cat /sys/module/kvm_amd/refcnt) -ge 2 ]; do sleep 0.1; done")


def test_in_use_is_refused_before_anything_changes(guest: KernelGuest) -> None:
    guest.shell("/usr/sbin/modprobe kvm_amd")
    _hold_kvm(guest)
    options = {"nested": False}
    error = refused(guest, "kvm_amd (use count 2) is in use by python3", name="kvm_amd", options=options)["error"]
    assert error["code"] == "refused" and error["use_count"] == {"kvm_amd": 2}
    assert [process["name"] for process in error["processes"]] == ["python3"]
    refused(guest, "kvm_amd (use count 2) is in use", name="kvm", options={"enable_vmware_backdoor": True})
    refused(guest, "kvm_amd (use count 2) is in use", name="kvm_amd", state="absent")
    # it is no guest of libvirt that could be started again
    stop = {"name": "kvm_amd", "options": options, "reload": "stop_guests"}
    refused(guest, "End what uses it (this host's Python has no libvirt binding)", **stop)
    used = apply(guest, name="kvm_amd", options={"nested": True})["kernel_module"]["in_use_by"]
    assert used["use_count"] == 2 and [process["name"] for process in used["processes"]] == ["python3"]
    waiting = four_steps(guest, name="kvm_amd", options=options, reload="never")
    assert steps(waiting) == ["change /etc/modprobe.d/kvm_amd.conf"]
    again = apply(guest, name="kvm_amd", options=options, reload="never")
    assert waiting["reboot_required"] and waiting["reboot_reasons"] == again["reboot_reasons"]
    assert "kvm_amd.nested is 1, and becomes 0 when the module is loaded the next time" in again["reboot_reasons"][0]
    guest.shell(RELEASE)
    done = apply(guest, name="kvm_amd", options=options)
    assert steps(done) == ["unload kvm_amd", "load kvm_amd"] and not done["reboot_required"]


def test_a_module_that_another_needs_stays(guest: KernelGuest) -> None:
    guest.shell("/usr/sbin/modprobe kvm_amd")
    refused(guest, "kvm was to be unloaded, but is needed by kvm_amd", name="kvm", state="absent")


def test_an_interface_that_is_up_counts_as_use(guest: KernelGuest) -> None:
    """The kernel would take it away without a word, and whoever is connected by it."""
    guest.shell("/usr/sbin/modprobe dummy; ip link add dummy9 type dummy; ip link set dummy9 up")
    refused(guest, "its network interfaces are up: dummy9", name="dummy", state="absent")
    refused(guest, "its network interfaces are up: dummy9", name="dummy", options={"numdummies": 2})
    refused(guest, "its network interfaces are up: eth0", name="virtio_net", state="absent")
    guest.shell("ip link set dummy9 down")
    four_steps(guest, name="dummy", state="absent")


# -- what goes wrong ----------------------------------------------------------------------------------------------


def test_a_failing_reload_puts_the_old_state_back(guest: KernelGuest) -> None:
    apply(guest, name="nbd", options={"max_part": 7, "nbds_max": 3})
    before = guest.shell(STATE, check=False)
    result = guest.run_module(MODULE, {"name": "nbd", "options": {"max_part": -1}})
    assert "module nbd: load failed: nbd was not loaded: modprobe: ERROR: could not insert" in result["msg"]
    assert "nbd: max_part must be >= 0" in result["msg"], "the kernel's own words"
    assert "Everything was put back: /etc/modprobe.d/nbd.conf, nbd with its old options." in result["msg"]
    assert result["error"]["failed_step"] == {"target": "module nbd", "verb": "load", "effect": "now"}
    assert _without_inodes(guest.shell(STATE, check=False)) == _without_inodes(before)
    assert live(guest, "nbd", "max_part") == "7"


@pytest.mark.parametrize(
    ("module", "good", "declared", "foreign"),
    [
        ("nbd", {"max_part": 7}, {"max_part": 15}, "nbds_max=maybe"),
        ("kvm_amd", {"nested": True}, {"nested": False}, "npt=maybe"),
    ],
)
def test_a_bad_value_in_another_file_leaves_the_module_as_it_was(
    guest: KernelGuest, module: str, good: dict[str, Any], declared: dict[str, Any], foreign: str
) -> None:
    apply(guest, name=module, options=good)
    guest.shell(f"echo 'options {module} {foreign}' > /etc/modprobe.d/foreign.conf")
    before = guest.shell(STATE, check=False)
    result = guest.run_module(MODULE, {"name": module, "options": declared})
    assert f"module {module}: load failed: {module} was not loaded" in result["msg"]
    assert f"Everything was put back: /etc/modprobe.d/{module}.conf, {module} with its old options." in result["msg"]
    assert _without_inodes(guest.shell(STATE, check=False)) == _without_inodes(before)


def test_options_that_were_given_by_hand_are_put_back_too(guest: KernelGuest) -> None:
    guest.shell("/usr/sbin/modprobe nbd max_part=3 nbds_max=2")
    # the module rounds 4 up to 7: the load succeeds, but the value is not there
    result = guest.run_module(MODULE, {"name": "nbd", "options": {"max_part": 4}})
    assert "nbd.max_part was to be 4, but the kernel shows 7" in result["msg"]
    assert live(guest, "nbd", "max_part") == "3"
    assert guest.shell("ls /etc/modprobe.d") == ""


def test_a_load_that_fails_leaves_no_file(guest: KernelGuest) -> None:
    before = guest.shell(STATE, check=False)
    task = {"name": "bonding", "persistent": True, "options": {"mode": "foo", "max_bonds": 2}}
    result = guest.run_module(MODULE, task)
    assert 'Invalid bonding mode "foo"' in result["msg"] and "Everything was put back" in result["msg"]
    assert _without_inodes(guest.shell(STATE, check=False)) == _without_inodes(before)


def test_modprobe_that_succeeds_and_loads_nothing(guest: KernelGuest) -> None:
    """With kvm_amd loaded, modprobe kvm_intel ends with 0; without it, the CPU is found wanting."""
    refused(guest, "this machine's CPU does not show VT-x (vmx)", name="kvm_intel", options={"nested": True})
    guest.shell("sed s/svm/vmx/ /proc/cpuinfo > /tmp/cpuinfo; mount -o bind /tmp/cpuinfo /proc/cpuinfo")
    result = guest.run_module(MODULE, {"name": "kvm_intel", "options": {"nested": True}})
    assert "Operation not supported" in result["msg"] and "This machine's CPU or firmware lacks" in result["msg"]
    assert result["error"]["cause"]["code"] == "unsupported"
    guest.shell("/usr/sbin/modprobe kvm_amd; /usr/sbin/modprobe kvm_intel; test ! -e /sys/module/kvm_intel")
    result = guest.run_module(MODULE, {"name": "kvm_intel", "options": {"nested": True, "ept": True}})
    assert "modprobe kvm_intel ended with 0, but /sys/module shows that the module is not loaded" in result["msg"]
    assert guest.shell("ls /etc/modprobe.d") == ""
    assert guest.shell("cat /sys/module/kvm_amd/initstate") == "live\n"


BAD_INPUT = yaml.safe_load(Path(__file__).with_name("kernel_module_bad_input.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", BAD_INPUT, ids=[row["message"][:40].replace(" ", "-") for row in BAD_INPUT])
def test_clear_messages(guest: KernelGuest, row: dict[str, Any]) -> None:
    refused(guest, row["message"], **row["task"])


def test_what_is_built_in_and_set_on_the_command_line(guest: KernelGuest) -> None:
    """The next boot has it; now it is written, where that can be done."""
    assert not apply(guest, name="tcp_cubic", options={"fast_convergence": 0, "beta": 717})["changed"]
    guest.shell("echo 1 > /sys/module/tcp_cubic/parameters/fast_convergence")
    assert steps(four_steps(guest, name="tcp_cubic", options={"fast_convergence": 0})) == ["write tcp_cubic"]
    result = apply(guest, name="bonding", options={"max_bonds": 2})
    assert result["kernel_module"]["options"]["max_bonds"] == {"value": "2", "file": "/proc/cmdline", "line": None}
    assert guest.shell("ls -d /sys/class/net/bond1").strip(), "modprobe took it from there"


def test_alias_and_install_lines(guest: KernelGuest) -> None:
    guest.write("/etc/modprobe.d/a.conf", "#\nalias dummy off\n")
    refused(guest, "/etc/modprobe.d/a.conf:2 makes off of that name for modprobe", name="dummy")
    guest.write("/etc/modprobe.d/a.conf", "install dummy /bin/true\n")
    result = guest.run_module(MODULE, {"name": "dummy"})
    assert "modprobe dummy ended with 0, but /sys/module shows that the module is not loaded" in result["msg"]
    assert (
        "/etc/modprobe.d/a.conf:1 has an install line for dummy"
        in apply(guest, check=True, name="dummy")["warnings"][0]
    )


def test_without_the_rights(guest: KernelGuest) -> None:
    result = guest.run_module(MODULE, {"name": "nbd"}, user="nobody")
    assert result["msg"] == "Kernel modules need the rights of root. Use become: true."
    result = guest.run_module_once(MODULE, {"name": "nbd"}, without_capability=16)
    assert "it lacks CAP_SYS_MODULE, as in a container" in result["msg"] and result["error"]["code"] == "unsupported"


def test_a_kernel_that_takes_no_more_modules(guest: KernelGuest) -> None:
    """There is no way back from this in the guest: it is the last test that uses it."""
    guest.shell("echo 1 > /proc/sys/kernel/modules_disabled")
    refused(guest, "The kernel takes no more modules until the next boot: kernel.modules_disabled is 1", name="nbd")


# -- an Intel machine, as far as files and questions go ---------------------------------------------------------


@pytest.fixture
def intel(tmp_path: Path) -> Host:
    """The files of a machine that has kvm_intel loaded, with the guest image's own modules for modinfo."""
    release = "6.1.0-nbt"
    modules = tmp_path / "usr/lib/modules" / release
    modules.mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    names = "usr/lib/modules/*/kernel/arch/x86/kvm/*"
    with guest_image().initrd.open("rb") as archive:
        command = ["cpio", "--quiet", "-i", "-d", "-u", "--no-absolute-filenames", names]
        subprocess.run(command, cwd=tmp_path, stdin=archive, check=True)
    for path in tmp_path.glob("usr/lib/modules/*/kernel"):
        path.rename(modules / "kernel")
    subprocess.run(["depmod", "-b", tmp_path, release], check=True, stderr=subprocess.DEVNULL)
    live = {"nested": "N\n", "ept": "Y\n", "ple_gap": "128\n", "vmentry_l1d_flush": "cond\n"}
    texts = {
        "proc/modules": "kvm_intel 1 0 - Live 0x0\n",
        "proc/self/status": "CapEff:\t000001ffffffffff\n",
        "proc/cpuinfo": "flags\t\t: fpu vmx ept\n",
        "sys/module/kvm_intel/initstate": "live\n",
        "sys/module/kvm_intel/refcnt": "0\n",
        **{f"sys/module/kvm_intel/parameters/{name}": text for name, text in live.items()},
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o444)
    (tmp_path / "sys/module/kvm_intel/parameters/vmentry_l1d_flush").chmod(0o644)
    return Host(tmp_path, release)


INTEL = [
    ({"nested": False, "ept": "yes", "ple_gap": "0x80"}, []),  # N, Y and 128
    ({"nested": True}, ["create kvm_intel.conf", "unload kvm_intel", "load kvm_intel"]),
    ({"nested": "Y", "ept": 0}, ["create kvm_intel.conf", "unload kvm_intel", "load kvm_intel"]),
    ({"vmentry_l1d_flush": "never"}, ["create kvm_intel.conf", "write kvm_intel"]),
]


@pytest.mark.parametrize(("options", "expected"), INTEL, ids=[" ".join(row[0]) for row in INTEL])
def test_the_plan_for_kvm_intel(intel: Host, options: dict[str, Any], expected: list[str]) -> None:
    """Everything except the load, for which no hardware is at hand. With the files there, only the kernel is left."""
    (intel.root / "etc/modprobe.d").mkdir(parents=True)
    defaults = {name: option.get("default") for name, option in SPEC.options.items()}
    resource = KernelModuleResource({**defaults, "name": "kvm-intel", "options": options}, intel)
    agreed = intel.root / "etc/modprobe.d/kvm.conf"
    agreed.write_text("options kvm-intel nested=0 ept=1\toptions ple-gap=128\n" if not expected else "")
    plan = resource.plan(resource.read())
    assert [f"{step.verb} {re.split('[/ ]', step.target)[-1]}" for step in plan.steps] == expected
    assert not plan.reboot_reasons


def test_bad_values_for_kvm_intel(intel: Host) -> None:
    defaults = {name: option.get("default") for name, option in SPEC.options.items()}
    for options, message in (({"nested": 2}, "of the kind bool"), ({"nestde": 1}, "no parameter nestde. It has: ")):
        resource = KernelModuleResource({**defaults, "name": "kvm_intel", "options": options}, intel)
        with pytest.raises((DeclarationError, NotFoundError), match=message):
            resource.plan(resource.read())


# -- where there are no modules -----------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [True, False])
def test_a_kernel_without_modules(check: bool) -> None:
    """As this machine's is, in the tests of this project."""
    if Path("/proc/modules").exists():
        pytest.skip("this machine's kernel has loadable modules")
    result = run_module(MODULE, {"name": "kvm_amd", "options": {"nested": True}}, check=check)
    assert "has no loadable modules: there is no /proc/modules" in result["msg"]
    assert result["error"]["code"] == "unsupported"


SERVE = (
    "import sys; sys.path[:0] = ['/server', '/library', '/tree']; import module_server;"
    " module_server.serve_lines(sys.stdin, sys.stdout, [])"
)


def test_in_a_container() -> None:
    """Whatever the host's kernel is: a container may not load modules."""
    checkout = Path(__file__).resolve().parents[2]
    mounts = {
        checkout / "tests/bench": "/server",
        Path(ansible.__file__).parents[1]: "/library",
        checkout / "plugins": "/tree/ansible_collections/nestbox/virt/plugins",
    }
    command = ["podman", "run", "--rm", "--interactive", "--network=none"]
    command += [word for source, target in mounts.items() for word in ("--volume", f"{source}:{target}:ro")]
    command += [container_image("bookworm"), "python3", "-c", SERVE]
    request = {"name": MODULE, "args": {"name": "kvm_amd", "_ansible_remote_tmp": "/tmp"}, "env": {}, "user": None}
    done = subprocess.run(
        command, input=json.dumps(request) + "\n", capture_output=True, text=True, check=False, env=podman_environment()
    )
    result = parse_answer(MODULE, done.stdout.encode())
    assert result["failed"] and result["error"]["code"] == "unsupported", result
    assert "no loadable modules" in result["msg"] or "lacks CAP_SYS_MODULE" in result["msg"]


def _without_inodes(state: str) -> list[str]:
    """Files by name and content only, for one that was put back is a new file; without what bonding itself needs."""
    lines = [line for line in state.splitlines() if not line.startswith("tls ")]
    return [line for line in lines if not line.lstrip()[:1].isdigit() or " /etc/" not in line]
