# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents of cloud-init's NoCloud source, and the ISO image that carries them. Private to this collection."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import gmtime, struct_time
from typing import Any

from ._deps import pycdlib
from ._errors import DeclarationError

LABEL = "cidata"  # https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
Documents = dict[str, bytes]

# option -> (name in the seed, name in the ISO's plain tree, whose alphabet has neither dash nor small letters)
_FILES = {
    "user_data": ("user-data", "/USERDATA.;1"),
    "meta_data": ("meta-data", "/METADATA.;1"),
    "network_config": ("network-config", "/NETCONF.;1"),
    "vendor_data": ("vendor-data", "/VENDDATA.;1"),
}
_CLOUD_CONFIG = ("user_data", "vendor_data")
# what cloud-init recognises by its first line (https://docs.cloud-init.io/en/latest/explanation/format.html)
_KNOWN_STARTS = (
    *("#cloud-config", "#cloud-boothook", "#include", "#part-handler", "#!", "## template:"),
    *("Content-Type:", "MIME-Version:", "From "),
)

# inside double quotes JSON lets these stand, but YAML 1.1 folds them as line breaks or does not take them at all
_NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_INSTANCE_ID = re.compile(r"""^["']?instance-id["']?\s*:""", re.MULTILINE)
# As mkisofs does for CD drives that read ahead. A tiny disk is also one in which busybox finds no label: it looks for
# the file systems that keep theirs behind the end first, and stops at the failed read.
_PADDING = 150 * 2048
_FIXED_TIME = 315532800  # 1980-01-01: the earliest date that every file system can hold


def render(params: Mapping[str, Any]) -> Documents:
    """The documents of the options, as bytes by their names in the seed; raises DeclarationError."""
    texts = {option: _as_text(option, params.get(option)) for option in _FILES if params.get(option) is not None}
    texts.setdefault("user_data", "#cloud-config\n{}\n")
    texts["meta_data"] = _with_instance_id(params.get("meta_data"), texts)
    return {_FILES[option][0]: text.encode("utf-8", "surrogateescape") for option, text in sorted(texts.items())}


def advice(params: Mapping[str, Any]) -> list[str]:
    """What is legal, and most likely not meant."""
    return [
        f"{option} is text that begins with none of the headers that cloud-init knows, so cloud-init will ignore it. "
        f"Begin it with a line such as #cloud-config or #!/bin/sh, or give a dictionary."
        for option in _CLOUD_CONFIG
        if isinstance(params.get(option), str) and params[option] and not params[option].startswith(_KNOWN_STARTS)
    ]


def build_iso(documents: Documents) -> bytes:
    """An ISO 9660 image with Joliet and Rock Ridge; the same documents give the same bytes at any time and place."""
    image = io.BytesIO()
    with _fixed_clock():
        iso = pycdlib().PyCdlib()
        iso.new(interchange_level=3, vol_ident=LABEL, joliet=3, rock_ridge="1.09", app_ident_str="")
        for name, plain in sorted(_FILES.values()):
            if name in documents:
                content = documents[name]
                places = {"iso_path": plain, "rr_name": name, "joliet_path": f"/{name}", "file_mode": 0o100400}
                iso.add_fp(io.BytesIO(content), len(content), **places)
        iso.write_fp(image)
        iso.close()
    return image.getvalue() + bytes(_PADDING)


def read_iso(image: bytes) -> Documents | None:
    """The files in the root of a seed; None when it is not an ISO image with the seed's label."""
    library = pycdlib()
    iso = library.PyCdlib()
    # pycdlib checks little of what it reads: a damaged image ends in any of these
    unreadable = (library.pycdlibexception.PyCdlibException, struct.error, ValueError, LookupError, AttributeError)
    try:
        iso.open_fp(io.BytesIO(image))
        label = iso.pvd.volume_identifier.decode("ascii").strip()
        return _files(iso) if label.lower() == LABEL and iso.has_rock_ridge() else None
    except unreadable:
        return None


def _files(iso: Any) -> Documents:
    documents = {}
    for record in iso.list_children(rr_path="/"):
        if record.is_file():
            name = record.rock_ridge.name().decode("utf-8")
            content = io.BytesIO()
            iso.get_file_from_iso_fp(content, rr_path=f"/{name}")
            documents[name] = content.getvalue()
    return documents


def _as_text(option: str, value: Any) -> str:
    """Text as it is; a dictionary as YAML with sorted keys."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        raise DeclarationError(
            f"{option} was given as {_kind(value)}. Give it as a dictionary, or as text.",
            details={"option": option},
        )
    header = "#cloud-config\n" if option in _CLOUD_CONFIG else ""
    return f"{header}{_yaml(value, option)}\n"


def _yaml(value: Any, option: str, indent: str = "") -> str:
    """JSON that every YAML 1.1 reader takes for the same value: PyYAML may be missing on the host."""
    inner = f"{indent}  "
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise DeclarationError(f"{option} has a key that is {_kind(key)}; keys must be text. Quote it.")
        rows = [f"{inner}{_quoted(key)}: {_yaml(value[key], option, inner)}" for key in sorted(value)]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}" if rows else "{}"
    if isinstance(value, (list, tuple)):
        rows = [f"{inner}{_yaml(item, option, inner)}" for item in value]
        return "[\n" + ",\n".join(rows) + f"\n{indent}]" if rows else "[]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float):
        return _yaml_float(value, option)
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    raise DeclarationError(f"{option} holds {_kind(value)}, which has no form in YAML. Write it as text.")


def _quoted(text: str) -> str:
    return _NOT_PRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(str(text), ensure_ascii=False))


def _yaml_float(value: float, option: str) -> str:
    """YAML 1.1 knows a number with an exponent only by its point: 1e+20 would be text."""
    if not math.isfinite(value):
        raise DeclarationError(f"{option} holds the number {value}, which JSON and cloud-init do not have.")
    mantissa, mark, exponent = repr(value).partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}{mark}{exponent}"


def _with_instance_id(declared: Any, texts: Mapping[str, str]) -> str:
    """The meta-data with an instance-id: cloud-init takes a seed with another id for a new instance and runs again."""
    text = texts.get("meta_data", "")
    if isinstance(declared, str) and not declared.lstrip().startswith("{"):
        if _INSTANCE_ID.search(text):
            return text
        _require_block_mapping(text)
        gap = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{gap}instance-id: {_instance_id(texts)}\n"
    mapping = _json_mapping(declared) if isinstance(declared, str) else dict(declared or {})
    if mapping.get("instance-id") in (None, ""):
        mapping["instance-id"] = _instance_id(texts)
    return f"{_yaml(mapping, 'meta_data')}\n"


def _json_mapping(text: str) -> dict[str, Any]:
    try:
        mapping = json.loads(text)
    except ValueError as error:
        raise DeclarationError(
            "meta_data is text that begins with a brace, but it is not JSON, so instance-id can't be looked up in it. "
            "Give meta_data as a dictionary, or write one key a line.",
        ) from error
    return dict(mapping)


def _require_block_mapping(text: str) -> None:
    """A line can be added at the end only where the keys stand at the beginning of their lines."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("#", "---", "%"))]
    if lines and (lines[0][0] in " \t-" or lines[-1].startswith("...")):
        raise DeclarationError(
            "meta_data is text without an instance-id, and its keys do not begin their lines, so none can be added. "
            "Write an instance-id into it, or give meta_data as a dictionary.",
        )


def _instance_id(texts: Mapping[str, str]) -> str:
    """From all documents. Any user of the guest can read the id, so it is slow to guess a password through it."""
    content = json.dumps(sorted(texts.items())).encode()
    return f"iid-{hashlib.pbkdf2_hmac('sha256', content, b'nestbox.virt cloud_init_seed', 100_000, 8).hex()}"


def _kind(value: Any) -> str:
    names = {list: "a list", tuple: "a list", int: "a number", float: "a number", bool: "true or false", bytes: "bytes"}
    return "nothing" if value is None else names.get(type(value), f"a value of type {type(value).__name__}")


class _FixedClock:
    """Stands in for the time module inside pycdlib, which can't be told a date: always the same second, in UTC."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def localtime(self, seconds: float | None = None) -> struct_time:
        return gmtime(_FIXED_TIME if seconds is None else seconds)

    def time(self) -> float:
        return float(_FIXED_TIME)


@contextmanager
def _fixed_clock() -> Iterator[None]:
    library = pycdlib().__name__
    modules: list[Any] = [
        module
        for name, module in sys.modules.items()
        if name.split(".")[0] == library and getattr(module, "time", None) is time
    ]
    for module in modules:
        module.time = _FixedClock()
    try:
        yield
    finally:
        for module in modules:
            module.time = time
