# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents of a seed and its image: what goes in comes out, the same at any time, and nothing of it in a diff."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pycdlib
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.nestbox.virt.plugins.module_utils import _nocloud, _seed
from ansible_collections.nestbox.virt.plugins.module_utils._errors import DeclarationError, RefusedError

_EMPTY = {"state": "present", "mode": "0600", "owner": None, "group": None}

_TEXT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40)
_NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
_DICTIONARIES = st.dictionaries(_TEXT, _VALUES, max_size=5)
# where the id is not what is tested: to make one is slow by intent
_WITH_ID = {"instance-id": "one"}


def _seed_at(path: Path, **params: Any) -> _seed.SeedResource:
    return _seed.SeedResource({**_EMPTY, "dest": str(path), **params})


@given(_DICTIONARIES)
def test_a_dictionary_is_what_a_yaml_reader_finds(dictionary: dict[str, Any]) -> None:
    """With the reader that cloud-init uses; the header makes it cloud-config."""
    text = _nocloud.render({"user_data": dictionary, "meta_data": _WITH_ID})["user-data"].decode()
    assert text.startswith("#cloud-config\n")
    assert yaml.safe_load(text) == dictionary


@settings(max_examples=25)
@given(_DICTIONARIES, st.binary(max_size=5000))
def test_the_image_gives_back_its_documents(dictionary: dict[str, Any], raw: bytes) -> None:
    """Of any size and content."""
    text = raw.decode("utf-8", "surrogateescape")
    meta_data = {**dictionary, **_WITH_ID}
    documents = _nocloud.render({"user_data": text, "meta_data": meta_data, "vendor_data": dictionary})
    assert documents["user-data"] == raw
    assert _nocloud.read_iso(_nocloud.build_iso(documents)) == documents


@settings(max_examples=25)
@given(_DICTIONARIES)
def test_the_order_of_keys_does_not_matter(dictionary: dict[str, Any]) -> None:
    """The same content gives the same bytes."""
    backwards = dict(reversed(list(dictionary.items())))
    one, other = ({"user_data": each, "meta_data": each} for each in (dictionary, backwards))
    assert _nocloud.build_iso(_nocloud.render(one)) == _nocloud.build_iso(_nocloud.render(other))


def test_the_image_is_the_same_at_another_time_and_place() -> None:
    """Another process, time zone and hash seed, and pycdlib's clock is given back."""
    program = (
        "import sys, hashlib, time; real = time.time; time.time = lambda: real() + 86400 * 400\n"
        "from ansible_collections.nestbox.virt.plugins.module_utils import _nocloud\n"
        "print(hashlib.sha256(_nocloud.build_iso(_nocloud.render({'user_data': {'b': 1, 'a': 2}}))).hexdigest())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    digests = set()
    for zone, hash_seed in (("UTC", "1"), ("Asia/Kathmandu", "2"), ("America/St_Johns", "3")):
        variables = {**environment, "TZ": zone, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", program]
        digests.add(subprocess.run(command, env=variables, check=True, capture_output=True, text=True).stdout)
    assert len(digests) == 1
    _nocloud.build_iso(_nocloud.render({}))
    assert type(sys.modules["pycdlib.dates"].time).__name__ == "module"  # type: ignore[attr-defined]


def _instance_id(**params: Any) -> str:
    return str(yaml.safe_load(_nocloud.render(params)["meta-data"])["instance-id"])


def test_the_instance_id_follows_every_document() -> None:
    """A change that cloud-init shall see gives another id; the same content the same."""
    base = {"user_data": {"a": 1}, "meta_data": {"local-hostname": "web1"}, "network_config": {"version": 2}}
    changes: list[dict[str, Any]] = [
        {"user_data": {"a": 2}},
        {"meta_data": {"local-hostname": "web2"}},
        {"network_config": {"version": 1}},
        {"vendor_data": {}},
    ]
    ids = [_instance_id(**base), *(_instance_id(**{**base, **change}) for change in changes)]
    assert len(set(ids)) == len(ids)
    assert ids[0] == _instance_id(**base)


@pytest.mark.parametrize(
    ("meta_data", "expected"),
    [
        ({"instance-id": "mine"}, {"instance-id": "mine"}),
        ('{"instance-id": "mine", "b": 1}', {"instance-id": "mine", "b": 1}),
        ("b: 1\ninstance-id: mine\n", {"instance-id": "mine", "b": 1}),
        ('"instance-id": mine', {"instance-id": "mine"}),
        ({"instance-id": ""}, {"instance-id": ...}),
        ("", {"instance-id": ...}),
        ("b: 1", {"instance-id": ..., "b": 1}),
        ("---\n# facts\nb: |\n  text\n", {"instance-id": ..., "b": "text\n"}),
        ('{"b": 1}', {"instance-id": ..., "b": 1}),
    ],
)
def test_the_instance_id_is_added_only_where_it_is_missing(meta_data: Any, expected: dict[str, Any]) -> None:
    """In each of the forms that meta-data may have."""
    found = yaml.safe_load(_nocloud.render({"meta_data": meta_data})["meta-data"])
    assert found.pop("instance-id").startswith("iid-" if expected["instance-id"] is ... else "mine")
    assert found == {key: value for key, value in expected.items() if key != "instance-id"}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"user_data": ["a"]}, "user_data was given as a list"),
        ({"network_config": 5}, "network_config was given as a number"),
        ({"vendor_data": True}, "vendor_data was given as true or false"),
        ({"user_data": {"a": float("nan")}}, "user_data holds the number nan"),
        ({"user_data": {1: "a"}}, "user_data has a key that is a number"),
        ({"meta_data": "{a: b}"}, "not JSON"),
        ({"meta_data": "  a: b\n"}, "do not begin their lines"),
    ],
)
def test_what_can_not_be_written_is_refused(params: dict[str, Any], message: str) -> None:
    """With the option's name, and without its content."""
    with pytest.raises(DeclarationError, match=message):
        _nocloud.render(params)


@pytest.mark.parametrize(
    "text", ["#cloud-config\n{}", "#!/bin/sh\n", "## template: jinja\n", "", "Content-Type: multipart"]
)
def test_known_headers_need_no_advice(text: str) -> None:
    """Nor does an empty text."""
    assert not _nocloud.advice({"user_data": text})


def test_text_without_a_header_is_warned_about(tmp_path: Path) -> None:
    """cloud-init would ignore it without a word."""
    plan = _seed_at(tmp_path / "seed.iso", user_data="packages: [git]").plan(None)
    assert ["user_data" in warning for warning in plan.warnings] == [True]


@pytest.mark.parametrize("value", ["rw-------", "0888", 600, -1, True, None, "", "01000"])
def test_a_mode_that_is_none_is_refused(value: Any) -> None:
    """600 without quotes is a number of other digits in octal."""
    with pytest.raises(DeclarationError, match="Write it in quotes"):
        _seed._parse_mode(value)


@pytest.mark.parametrize(("value", "mode"), [("0600", 0o600), ("640", 0o640), (0o600, 0o600), ("0o400", 0o400)])
def test_a_mode_is_octal(value: Any, mode: int) -> None:
    """As text, or as the number that YAML makes of 0600."""
    assert _seed._parse_mode(value) == mode


@settings(max_examples=20)
@given(st.text("abcdefghijkmnopqrstuvwxyzABCDEFGH", min_size=9, max_size=20))
def test_a_secret_is_in_no_plan(secret: str) -> None:
    """Neither itself, nor any usual digest of its document."""
    path = Path("/nonexistent/seed.iso")
    resource = _seed_at(path, user_data={"password": secret})
    current = _seed.SeedFile(1, 0o600, 0, 0, {**resource.documents, "user-data": f"was {secret}".encode()})
    step = resource._step_to_present(current)
    assert step is not None
    shown = json.dumps([step.diff(), step.summary(), resource.describe(current)])
    assert secret not in shown
    assert "user-data: " in shown
    assert "not shown" in shown
    assert not [word for word in shown.split() if len(word.strip('",')) >= 32]


@pytest.mark.parametrize("content", [b"QFI\xfb" + bytes(1000), b"secret notes", bytes(70000)])
def test_a_file_that_is_no_seed_is_kept(tmp_path: Path, content: bytes) -> None:
    """Neither present nor absent touches it."""
    path = tmp_path / "disk.qcow2"
    path.write_bytes(content)
    for state in ("present", "absent"):
        resource = _seed_at(path, state=state)
        with pytest.raises(RefusedError, match="neither replaced nor removed"):
            resource.plan(resource.read())


def test_an_image_with_another_label_is_no_seed() -> None:
    """An installation CD given by mistake stays what it is."""
    iso, image = pycdlib.PyCdlib(), io.BytesIO()
    iso.new(vol_ident="INSTALL", rock_ridge="1.09")
    iso.write_fp(image)
    assert _nocloud.read_iso(image.getvalue()) is None


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_image_is_no_seed_or_another_one(data: st.DataObject) -> None:
    """Whatever is in the file, reading it does not fail."""
    image = bytearray(_nocloud.build_iso(_nocloud.render({"user_data": {"a": 1}, "meta_data": _WITH_ID})))
    for _number in range(data.draw(st.integers(1, 8))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    image = image[: data.draw(st.integers(0, len(image)) | st.just(len(image)))]
    found = _nocloud.read_iso(bytes(image))
    assert found is None or isinstance(found, dict)
