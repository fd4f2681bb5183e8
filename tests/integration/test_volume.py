# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""volume and volume_info on a real libvirtd; what came out is read by qemu-img and by hashes."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.bench.daemon import Daemon
from tests.bench.module import expect_changed, succeed
from tests.conftest import BoundModule

MIB = 1024 * 1024
PATH = "/var/lib/libvirt/images"
PASSPHRASE = "nbt-a-passphrase-nobody-may-see"
SECRET = """<secret ephemeral='no' private='yes'><uuid>{uuid}</uuid>
<usage type='volume'><volume>{path}</volume></usage></secret>"""
UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


@pytest.fixture(autouse=True)
def images(module: BoundModule) -> Path:
    """The directory of an active pool called nbt, as the host finds it."""
    succeed("pool", {"uri": module.daemon.uri, "name": "nbt", "type": "dir", "target": PATH, "state": "active"})
    return module.daemon.directory / "lib" / "images"


def volume(module: BoundModule, **options: Any) -> dict[str, Any]:
    """One run of the module on the pool nbt."""
    options.setdefault("uri", module.daemon.uri)
    run = {key: options.pop(key) for key in ("check", "inside") if key in options}
    return module("volume", {"pool": "nbt", **options}, **run)


def four(module: BoundModule, **options: Any) -> dict[str, Any]:
    """The four steps on the pool nbt; the result of the one that changed."""
    return module.four_steps("volume", {"pool": "nbt", **options})[1]


def verbs(result: dict[str, Any]) -> list[str]:
    """The steps in one word each."""
    return [step["verb"] for step in result["steps"]]


def qemu_img(path: Path) -> dict[str, Any]:
    """What qemu-img says of an image; the daemon's paths are not the host's, so backing files are not opened."""
    done = subprocess.run(["qemu-img", "info", "--output=json", str(path)], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sha256(path: Path) -> str:
    """The digest of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def secrets(daemon: Daemon) -> str:
    """What virsh lists."""
    return daemon.virsh("secret-list").strip()


@pytest.fixture
def qcow2(tmp_path: Path) -> Path:
    """An image of 32 MiB with 3 MiB of data."""
    path = tmp_path / "source.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "32M"], check=True)
    subprocess.run(["qemu-io", "-c", "write -P 7 1M 3M", str(path)], check=True, capture_output=True)
    return path


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A sparse image of 40 MiB: data, a hole, data, a hole at the end."""
    path = tmp_path / "source.raw"
    with path.open("wb") as file:
        file.write(b"first" * 100_000)
        file.seek(20 * MIB)
        file.write(b"last" * 100_000)
        file.truncate(40 * MIB)
    return path


# -- new volumes --------------------------------------------------------------------------------------------------


def test_a_raw_volume(module: BoundModule, images: Path) -> None:
    result = four(module, name="a.raw", capacity="10 MiB", allocation="0", format="raw")
    facts = qemu_img(images / "a.raw")
    assert (facts["format"], facts["virtual-size"], facts["actual-size"]) == ("raw", 10 * MIB, 0)
    assert result["volume"]["capacity_bytes"] == 10 * MIB
    assert result["volume"]["path"] == f"{PATH}/a.raw"


def test_allocation_is_taken_at_once(module: BoundModule, images: Path) -> None:
    four(module, name="a.raw", capacity="4M", allocation="4M")
    assert (images / "a.raw").stat().st_blocks * 512 >= 4 * MIB


def test_a_qcow2_volume_with_permissions(module: BoundModule, images: Path) -> None:
    four(module, name="a.qcow2", capacity="1G", format="qcow2", permissions={"mode": "0640", "owner": 3, "group": 4})
    facts = qemu_img(images / "a.qcow2")
    assert (facts["format"], facts["virtual-size"]) == ("qcow2", 1024 * MIB)
    assert facts["format-specific"]["data"]["compat"] == "1.1"
    stat = (images / "a.qcow2").stat()
    assert (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid) == (0o640, 3, 4)


def test_xml_alone_and_typed_options_over_it(module: BoundModule, images: Path) -> None:
    xml = """<volume><name>x.qcow2</name><capacity unit='MiB'>8</capacity><allocation unit='KiB'>64</allocation>
    <target><format type='qcow2'/><compat>0.10</compat><permissions><mode>600</mode></permissions></target></volume>"""
    four(module, xml=xml)
    assert qemu_img(images / "x.qcow2")["format-specific"]["data"]["compat"] == "0.10"
    four(module, xml=xml, capacity="16 MiB")
    assert qemu_img(images / "x.qcow2")["virtual-size"] == 16 * MIB


def test_a_volume_that_virsh_made_is_unchanged(module: BoundModule) -> None:
    for kind in ("raw", "qcow2", "vmdk"):
        xml = f"""<volume><name>v.{kind}</name><capacity unit='M'>5</capacity>
        <target><format type='{kind}'/></target></volume>"""
        module.daemon.exec("virsh", "-q", "vol-create", "nbt", "/dev/stdin", stdin=None, input=xml)
        for check in (True, False):
            expect_changed(volume(module, xml=xml, check=check), f"a {kind} volume of virsh", changed=False)


def test_an_overlay_takes_size_and_format_from_its_backing_file(module: BoundModule, images: Path) -> None:
    volume(module, name="base.raw", capacity="6M", allocation="0")
    result = four(module, name="top.qcow2", backing={"volume": "base.raw"})
    facts = qemu_img(images / "top.qcow2")
    assert (facts["format"], facts["virtual-size"]) == ("qcow2", 6 * MIB)
    assert (facts["backing-filename"], facts["backing-filename-format"]) == (f"{PATH}/base.raw", "raw")
    assert result["volume"]["backing"] == {"path": f"{PATH}/base.raw", "format": "raw"}


def test_an_overlay_larger_than_a_backing_file_in_another_pool(module: BoundModule, images: Path) -> None:
    other = {"name": "nbt-other", "type": "dir", "target": "/var/lib/libvirt/boot", "state": "active"}
    module("pool", other)
    module("volume", {"pool": "nbt-other", "name": "base.qcow2", "capacity": "6M", "format": "qcow2"})
    four(module, name="top.qcow2", capacity="12M", backing={"volume": "base.qcow2", "pool": "nbt-other"})
    assert qemu_img(images / "top.qcow2")["virtual-size"] == 12 * MIB
    four(module, name="by-path.qcow2", backing={"path": "/var/lib/libvirt/boot/base.qcow2"})
    assert qemu_img(images / "by-path.qcow2")["backing-filename-format"] == "qcow2"
    succeed("pool", {"uri": module.daemon.uri, "name": "nbt-other", "state": "absent"})
    unknown = volume(module, name="top2.qcow2", backing={"path": "/var/lib/libvirt/boot/base.qcow2"})
    assert "Add backing.format" in unknown["msg"]


def test_clones_are_copies_and_may_convert_and_grow(module: BoundModule, images: Path, qcow2: Path) -> None:
    volume(module, name="origin.qcow2", source=str(qcow2))
    four(module, name="same.qcow2", clone_of="origin.qcow2")
    four(module, name="raw.raw", clone_of="origin.qcow2", format="raw")
    four(module, name="larger.qcow2", clone_of="origin.qcow2", capacity="64M")
    assert qemu_img(images / "raw.raw")["format"] == "raw"
    assert qemu_img(images / "larger.qcow2")["virtual-size"] == 64 * MIB
    for name in ("same.qcow2", "raw.raw"):
        subprocess.run(["qemu-img", "compare", "-q", str(qcow2), str(images / name)], check=True)
    smaller = volume(module, name="small.qcow2", clone_of="origin.qcow2", capacity="1M")
    assert (smaller["error"]["code"], "32 MiB" in smaller["msg"]) == ("bad_declaration", True)


# -- sources ------------------------------------------------------------------------------------------------------


def test_a_local_raw_source_keeps_its_holes(module: BoundModule, images: Path, raw: Path) -> None:
    four(module, name="s.raw", source=str(raw), checksum=f"sha256:{sha256(raw)}")
    assert sha256(images / "s.raw") == sha256(raw)
    assert (images / "s.raw").stat().st_blocks * 512 < 4 * MIB, "holes must stay holes"
    assert [path.name for path in images.iterdir()] == ["s.raw"], "nothing may be left beside it"


def test_a_qcow2_source_gives_its_virtual_size(module: BoundModule, images: Path, qcow2: Path) -> None:
    result = four(module, name="s.qcow2", source=str(qcow2))
    assert (result["volume"]["format"], result["volume"]["capacity_bytes"]) == ("qcow2", 32 * MIB)
    assert sha256(images / "s.qcow2") == sha256(qcow2)


def test_a_source_grows_to_the_declared_capacity(module: BoundModule, images: Path, qcow2: Path, raw: Path) -> None:
    four(module, name="s.qcow2", source=str(qcow2), capacity="1 GiB", format="qcow2", permissions={"mode": "0644"})
    four(module, name="s.raw", source=str(raw), capacity="80 MiB")
    assert qemu_img(images / "s.qcow2")["virtual-size"] == 1024 * MIB
    assert (images / "s.raw").stat().st_size == 80 * MIB
    assert (images / "s.qcow2").stat().st_mode & 0o777 == 0o644


def test_the_content_of_an_existing_volume_is_its_guests(module: BoundModule, images: Path, raw: Path) -> None:
    volume(module, name="s.raw", source=str(raw))
    with (images / "s.raw").open("r+b") as file:
        file.write(b"written by a guest")
    expect_changed(volume(module, name="s.raw", source=str(raw)), "a volume with a guest's data", changed=False)
    assert (images / "s.raw").read_bytes().startswith(b"written by a guest")


def test_sources_that_can_not_be_right(module: BoundModule, qcow2: Path, raw: Path, tmp_path: Path) -> None:
    packed, overlay = tmp_path / "image.xz", tmp_path / "overlay.qcow2"
    packed.write_bytes(b"\xfd7zXZ\x00" + bytes(100))
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(qcow2), str(overlay)]
    subprocess.run(create, check=True)
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"source": str(tmp_path / "nix")}, "not_found", "does not exist on the managed host"),
        ({"source": str(tmp_path)}, "system_error", "can't be read"),
        ({"source": "ftp://a:b@host/image"}, "bad_declaration", "begins with ftp://, but only http:// and https://"),
        ({"source": "file://host/image"}, "bad_declaration", "begins with file://"),
        ({"source": str(packed)}, "bad_declaration", "compressed with xz"),
        ({"source": str(overlay)}, "bad_declaration", f"an overlay on {qcow2}"),
        ({"source": str(raw), "format": "qcow2"}, "bad_declaration", "is raw"),
        ({"source": str(qcow2), "capacity": "1 MiB"}, "refused", "has 32 MiB"),
        ({"source": str(raw), "checksum": "sha256:123"}, "bad_declaration", "64 hexadecimal digits"),
        ({"source": str(raw), "checksum": "crc:123"}, "bad_declaration", "an algorithm and a digest"),
    ]
    before = module.daemon.state()
    for options, code, part in cases:
        for check in (True, False):
            result = volume(module, name="s.img", check=check, **options)
            assert (result["failed"], result["error"]["code"]) == (True, code), result
            assert part in result["msg"]
    module.daemon.assert_unchanged(before, "a bad source")


# -- changes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_growing_and_shrinking(module: BoundModule, images: Path, kind: str) -> None:
    name = f"v.{kind}"
    volume(module, name=name, capacity="8M", allocation="0", format=kind)
    assert verbs(four(module, name=name, capacity="20 MiB")) == ["grow"]
    assert qemu_img(images / name)["virtual-size"] == 20 * MIB
    refused = volume(module, name=name, capacity="4 MiB")
    assert refused["error"]["code"] == "refused"
    assert "from 20 MiB to 4 MiB" in refused["msg"]
    assert qemu_img(images / name)["virtual-size"] == 20 * MIB
    assert verbs(four(module, name=name, capacity="4 MiB", shrink=True)) == ["shrink"]
    assert qemu_img(images / name)["virtual-size"] == 4 * MIB


def test_a_full_volume_does_not_shrink(module: BoundModule) -> None:
    volume(module, name="v.raw", capacity="8M", allocation="8M")
    result = volume(module, name="v.raw", capacity="4M", shrink=True)
    assert (result["error"]["code"], "below the 8 MiB" in result["msg"]) == ("unsupported", True)


def test_a_backing_file_does_not_shrink(module: BoundModule) -> None:
    volume(module, name="base.qcow2", capacity="8M", format="qcow2")
    volume(module, name="top.qcow2", backing={"volume": "base.qcow2"})
    refused = volume(module, name="base.qcow2", capacity="4M", shrink=True)
    assert refused["error"]["used_by"] == ["overlay nbt/top.qcow2"]


def test_what_can_not_be_changed_is_a_conflict(module: BoundModule) -> None:
    volume(module, name="base.qcow2", capacity="8M", format="qcow2")
    volume(module, name="v.qcow2", capacity="8M", format="qcow2")
    before = module.daemon.state()
    for options, part in (
        ({"format": "raw"}, 'declared is <format type="raw"/>'),
        ({"backing": {"volume": "base.qcow2"}}, "backingStore is nothing"),
        ({"encryption": {"passphrase": PASSPHRASE}}, "target/encryption is nothing"),
    ):
        result = volume(module, name="v.qcow2", **options)
        assert result["error"]["code"] == "conflict", result
        assert part in result["msg"]
    module.daemon.assert_unchanged(before, "a conflict")


def test_permissions_of_an_existing_volume(module: BoundModule, images: Path) -> None:
    volume(module, name="v.raw", capacity="1M", permissions={"mode": "0600", "owner": 3})
    wanted: dict[str, Any] = {"name": "v.raw", "permissions": {"mode": "0640", "group": 5}}
    expect_changed(volume(module, check=True, inside=module.daemon, **wanted), "check", changed=True)
    expect_changed(volume(module, inside=module.daemon, **wanted), "run", changed=True)
    facts = (images / "v.raw").stat()
    assert (facts.st_mode & 0o777, facts.st_uid, facts.st_gid) == (0o640, 3, 5)
    expect_changed(volume(module, inside=module.daemon, **wanted), "run again", changed=False)
    # the bench's files are not where the daemon says, for a module outside of its namespaces: as with a remote daemon
    elsewhere = volume(module, name="v.raw", permissions={"mode": "0666"})
    assert elsewhere["error"]["code"] == "unsupported"


# -- encryption ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_a_passphrase_is_kept_as_a_private_secret(module: BoundModule, images: Path, kind: str) -> None:
    name = f"secret.{kind}"
    options = {"name": name, "capacity": "8M", "format": kind, "encryption": {"passphrase": PASSPHRASE}}
    results = module.four_steps("volume", {"pool": "nbt", **options})
    assert PASSPHRASE not in json.dumps(results)
    assert PASSPHRASE not in "".join(module.daemon.virsh("vol-dumpxml", name, "nbt"))
    assert qemu_img(images / name)["encrypted"] is True
    assert _opens(images / name, kind, PASSPHRASE)
    assert not _opens(images / name, kind, "another one")
    uuid = results[1]["volume"]["encryption"]["secret"]
    assert uuid in secrets(module.daemon)
    assert module.daemon.virsh("secret-get-value", uuid, check=False) == "", "the secret must be private"
    assert verbs(four(module, name=name, state="absent")) == ["delete", "undefine"]
    assert secrets(module.daemon) == ""


def _opens(path: Path, kind: str, passphrase: str) -> bool:
    """Whether qemu-io can read the image with this passphrase."""
    prefix = "driver=luks,file" if kind == "raw" else "driver=qcow2,encrypt.format=luks,file"
    key = "key-secret=s" if kind == "raw" else "encrypt.key-secret=s"
    options = [f"{prefix}.driver=file", f"file.filename={path}", key]
    command = [
        "qemu-io",
        "--object",
        f"secret,id=s,data={passphrase}",
        "--image-opts",
        ",".join(options),
        "-c",
        "read 0 512",
    ]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_a_secret_of_the_users_own(module: BoundModule, images: Path) -> None:
    missing = volume(module, name="s.raw", capacity="8M", encryption={"secret": UUID})
    assert (missing["error"]["code"], "has no such secret" in missing["msg"]) == ("not_found", True)
    with module.daemon.connect() as connection:
        secret = connection.secretDefineXML(SECRET.format(uuid=UUID, path=f"{PATH}/s.raw"))
        secret.setValue(PASSPHRASE.encode(), 0)
    taken = volume(module, name="s.raw", capacity="8M", encryption={"passphrase": PASSPHRASE})
    assert (taken["error"]["code"], UUID in taken["msg"]) == ("conflict", True)
    four(module, name="s.raw", capacity="8M", encryption={"secret": UUID})
    assert _opens(images / "s.raw", "raw", PASSPHRASE)
    four(module, name="s.raw", state="absent")
    assert UUID in secrets(module.daemon), "a secret that is not ours stays"


def test_a_lost_secret_is_kept_again(module: BoundModule) -> None:
    options = {"name": "s.raw", "capacity": "8M", "encryption": {"passphrase": PASSPHRASE}}
    volume(module, **options)
    with module.daemon.connect() as connection:
        connection.listAllSecrets()[0].undefine()
    assert verbs(four(module, **options)) == ["define"]
    assert PATH + "/s.raw" in secrets(module.daemon)


# -- removal ------------------------------------------------------------------------------------------------------


def test_absent_deletes_and_fault_5_gone_is_unchanged(module: BoundModule, images: Path) -> None:
    volume(module, name="v.raw", capacity="1M")
    result = four(module, name="v.raw", state="absent")
    assert result["volume"] is None
    assert result["diff"][0]["before"] == f"{PATH}/v.raw\n"
    assert not (images / "v.raw").exists()
    nowhere = module("volume", {"pool": "nix", "name": "v.raw", "state": "absent"})
    assert (nowhere["failed"], nowhere["changed"]) == (False, False)


def test_wipe_overwrites_before_it_deletes(module: BoundModule, images: Path, tmp_path: Path) -> None:
    secret_data = tmp_path / "data.raw"
    secret_data.write_bytes(b"sensitive" * 10_000)
    volume(module, name="v.raw", source=str(secret_data))
    kept = images.parent / "boot" / "link.raw"
    kept.hardlink_to(images / "v.raw")
    assert verbs(four(module, name="v.raw", state="absent", wipe=True)) == ["wipe", "delete"]
    assert kept.read_bytes() == bytes(kept.stat().st_size), "another link to the file shows what was left of it"


DOMAIN = """<domain type='qemu'><name>nbt-user</name><memory unit='MiB'>32</memory><os><type>hvm</type></os>
<devices>{disk}</devices></domain>"""
FILE_DISK = """<disk type='file' device='{device}'><driver name='qemu' type='raw'/><source file='{path}'/>
<target dev='{dev}' bus='{bus}'/></disk>"""
VOLUME_DISK = (
    "<disk type='volume' device='disk'><source pool='nbt' volume='v.raw'/><target dev='vda' bus='virtio'/></disk>"
)


@pytest.mark.parametrize(
    "disk",
    [
        FILE_DISK.format(device="disk", path=f"{PATH}/v.raw", dev="vda", bus="virtio"),
        FILE_DISK.format(device="cdrom", path=f"{PATH}/v.raw", dev="sda", bus="sata"),
        VOLUME_DISK,
    ],
    ids=["file", "cdrom", "volume"],
)
def test_fault_4_an_image_that_a_domain_uses_is_not_deleted(module: BoundModule, disk: str) -> None:
    volume(module, name="v.raw", capacity="1M")
    with module.daemon.connect() as connection:
        connection.defineXML(DOMAIN.format(disk=disk))
    before = module.daemon.state()
    for check in (True, False):
        result = volume(module, name="v.raw", state="absent", check=check)
        assert result["error"]["code"] == "refused"
        assert "domain nbt-user" in result["error"]["used_by"][0]
        assert "nbt-user" in result["msg"]
    module.daemon.assert_unchanged(before, "a refused removal")
    module.daemon.virsh("undefine", "nbt-user")
    assert not volume(module, name="v.raw", state="absent")["failed"]


def test_fault_4_a_backing_file_is_not_deleted(module: BoundModule, images: Path) -> None:
    volume(module, name="base.qcow2", capacity="1M", format="qcow2")
    volume(module, name="top.qcow2", backing={"volume": "base.qcow2"})
    result = volume(module, name="base.qcow2", state="absent")
    assert result["error"]["used_by"] == ["overlay nbt/top.qcow2"]
    assert (images / "base.qcow2").exists()


# -- running guests -----------------------------------------------------------------------------------------------


@pytest.fixture
def guest(module: BoundModule) -> str:
    """A running domain on v.raw; it has nothing to boot, and needs nothing more."""
    volume(module, name="v.raw", capacity="8M", allocation="0")
    with module.daemon.connect() as connection:
        disk = FILE_DISK.format(device="disk", path=f"{PATH}/v.raw", dev="vda", bus="virtio")
        connection.createXML(DOMAIN.format(disk=disk))
    return "nbt-user"


def test_a_running_guests_disk_grows_live(module: BoundModule, images: Path, guest: str) -> None:
    result = four(module, name="v.raw", capacity="24 MiB")
    assert result["steps"] == [
        {"target": f"volume nbt/v.raw in domain {guest}, disk vda", "verb": "grow live", "effect": "now"}
    ]
    seen = module.daemon.virsh("domblkinfo", guest, "vda").split()
    assert seen[1] == str(24 * MIB), "the guest's own view"
    assert (images / "v.raw").stat().st_size == 24 * MIB


def test_a_running_guests_disk_does_not_shrink_and_is_not_cloned(module: BoundModule, guest: str) -> None:
    for options in ({"name": "v.raw", "capacity": "4 MiB", "shrink": True}, {"name": "copy.raw", "clone_of": "v.raw"}):
        result = volume(module, **options)
        assert result["error"]["code"] == "refused"
        assert f"running domain {guest} (vda)" in result["msg"]


@pytest.mark.usefixtures("guest")
def test_a_running_guests_permissions_are_left_alone(module: BoundModule) -> None:
    result = volume(module, name="v.raw", permissions={"owner": 1234})
    assert (result["changed"], len(result["warnings"])) == (False, 1)


# -- bad input ----------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no capacity": ({"name": "v"}, "bad_declaration", "has no capacity"),
    "no size": ({"name": "v", "capacity": "ten"}, "bad_declaration", "which is not a size"),
    "no size in xml": (
        {"xml": "<volume><name>v</name><capacity>x</capacity></volume>"},
        "bad_declaration",
        "capacity in xml",
    ),
    "malformed": ({"xml": "<volume><name>v</volume>"}, "bad_declaration", "line 1"),
    "another root": ({"xml": "<pool/>"}, "bad_declaration", "<pool>"),
    "two names": ({"name": "v", "xml": "<volume><name>w</name></volume>"}, "bad_declaration", "but w in xml"),
    "timeout": ({"name": "v", "capacity": "1M", "timeout": -1}, "bad_declaration", "timeout was given as -1"),
    "more than there is": ({"name": "v", "capacity": "1M", "allocation": "9 PiB"}, "refused", "9 PiB at once"),
    "more than any": ({"name": "v", "capacity": "8 EiB"}, "bad_declaration", "less than 8 EiB"),
    "a path": ({"name": "../v", "capacity": "1M"}, "bad_declaration", "without slashes"),
    "mode": ({"name": "v", "capacity": "1M", "permissions": {"mode": "999"}}, "bad_declaration", "not an octal mode"),
    "no pool": ({"name": "v", "capacity": "1M", "pool": "nix"}, "not_found", "there is no such pool"),
    "no backing": ({"name": "v", "backing": {"volume": "nix"}}, "not_found", "nbt/nix"),
    "no origin": ({"name": "v", "clone_of": "nix", "clone_pool": "nix"}, "not_found", "nix/nix"),
}


@pytest.mark.parametrize(("options", "code", "part"), BAD.values(), ids=BAD)
def test_bad_declarations_are_explained(module: BoundModule, options: dict[str, Any], code: str, part: str) -> None:
    before = module.daemon.state()
    for check in (True, False):
        result = volume(module, check=check, **options)
        assert (result["failed"], result["error"]["code"]) == (True, code)
        assert part in result["msg"]
    module.daemon.assert_unchanged(before, "a bad declaration")


@pytest.mark.parametrize(("kind", "advice"), [("raw", "Give a smaller size"), ("qcow2", "Give a smaller capacity")])
def test_a_size_that_no_file_can_have_comes_with_advice(module: BoundModule, kind: str, advice: str) -> None:
    before = module.daemon.state()
    result = volume(module, name="v", capacity="999999 TiB", format=kind)
    assert (result["failed"], advice in result["msg"]) == (True, True), result
    module.daemon.assert_unchanged(before, "a volume that is too large")


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_an_odd_number_of_bytes(module: BoundModule, kind: str) -> None:
    four(module, name="v", capacity="200000001", format=kind)


def test_an_overlay_smaller_than_its_backing_file(module: BoundModule) -> None:
    volume(module, name="base.raw", capacity="8M")
    result = volume(module, name="top.qcow2", capacity="4M", backing={"volume": "base.raw"})
    assert (result["error"]["code"], "has 8 MiB" in result["msg"]) == ("bad_declaration", True)


def test_an_inactive_pool_is_named(module: BoundModule) -> None:
    module("pool", {"name": "nbt", "state": "inactive"})
    result = volume(module, name="v", capacity="1M")
    assert (result["error"]["code"], "its pool nbt is inactive" in result["msg"]) == ("conflict", True)


def test_a_file_that_libvirt_had_not_listed_is_not_overwritten(module: BoundModule, images: Path) -> None:
    (images / "v.qcow2").write_bytes(b"somebody's data")
    result = volume(module, name="v.qcow2", capacity="1M", format="qcow2")
    assert result["error"]["cause"]["code"] == "conflict", result
    assert (images / "v.qcow2").read_bytes() == b"somebody's data"


def test_a_file_that_somebody_removed_is_made_again(module: BoundModule, images: Path) -> None:
    volume(module, name="v.raw", capacity="1M")
    (images / "v.raw").unlink()
    assert not volume(module, name="v.raw", capacity="1M")["failed"]
    assert (images / "v.raw").stat().st_size == MIB


# -- reading ------------------------------------------------------------------------------------------------------


def test_volume_info_returns_what_volume_returns(module: BoundModule, images: Path) -> None:
    base = volume(module, name="base.qcow2", capacity="1M", format="qcow2")["volume"]
    top = volume(module, name="top.qcow2", backing={"volume": "base.qcow2"})["volume"]
    (images / "by-hand").write_text("x")
    assert module("volume_info")["volumes"] == [base, top]
    assert module("volume_info", {"pool": ["nbt"], "name": ["top.qcow2"]})["volumes"] == [top]
    used = module("volume_info", {"used_by": True})["volumes"]
    assert used[0]["used_by"] == [{"kind": "volume", "name": "nbt/top.qcow2", "device": None, "running": False}]
    assert used[1]["used_by"] == []
    assert len(module("volume_info", {"refresh": True}, check=True)["volumes"]) == 2
    assert len(module("volume_info", {"refresh": True})["volumes"]) == 3
    for options, part in (({"name": ["nix"]}, "nix in any active pool"), ({"pool": ["nix"]}, "There are: nbt")):
        assert part in module("volume_info", options)["msg"]
    assert module("volume_info", {"name": ["nix"], "ignore_missing": True})["volumes"] == []
