# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people write them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nestbox.virt.plugins.module_utils._errors import DeclarationError
from ansible_collections.nestbox.virt.plugins.module_utils._units import (
    format_size,
    parse_size,
    parse_size_kib,
    unit_factor,
)

BINARY = {"KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4, "PiB": 5, "EiB": 6, "K": 1, "M": 2, "G": 3, "T": 4, "k": 1, "g": 3}
DECIMAL = {"KB": 1, "kB": 1, "MB": 2, "GB": 3, "TB": 4, "PB": 5, "EB": 6}
FACTORS = {
    **{unit: 1024**power for unit, power in BINARY.items()},
    **{unit: 1000**power for unit, power in DECIMAL.items()},
    **dict.fromkeys(("b", "B", "bytes", "byte"), 1),
}


@pytest.mark.parametrize(("unit", "factor"), FACTORS.items())
def test_a_unit_is_libvirts(unit: str, factor: int) -> None:
    assert unit_factor(unit) == factor


@pytest.mark.parametrize("unit", ["ib", "iB", "KiBs", "X", "GiB/s", "kk", "µB", "gig"])
def test_what_is_no_unit(unit: str) -> None:
    assert unit_factor(unit) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8 GiB", 8 * 1024**3),
        ("40G", 40 * 1024**3),
        ("40GB", 40 * 1000**3),
        (" 512  MiB ", 512 * 1024**2),
        ("1.5 GiB", 3 * 1024**3 // 2),
        ("0.1 KiB", 103),  # rounded up
        ("7", 7),
        (7, 7),
        ("0", 0),
        ("9007199254740993 KiB", 9007199254740993 * 1024),  # above 2**53, where a float loses digits
    ],
)
def test_a_size_in_bytes(text: str | int, size: int) -> None:
    assert parse_size(text, option="capacity") == size


@pytest.mark.parametrize(
    "text", ["", "GiB", "-1 GiB", "1,5 GiB", "1e3", "0x10", "1 GiB 2", "1..5G", ".5G", "one", "٣ GiB x", "1\n2"]
)
def test_what_is_no_size_is_named_with_its_option(text: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        parse_size(text, option="memory")
    assert caught.value.message.startswith(f"memory was given as {text!r}, which is not a size.")
    assert caught.value.details == {"option": "memory", "value": text}


@pytest.mark.parametrize(
    ("text", "kib"), [("1", 1024), ("1 KiB", 1), ("1 b", 1), ("1025 b", 2), ("1 kB", 1), ("1.5 GiB", 1572864)]
)
def test_a_size_in_kib_is_rounded_up_and_counts_in_mib(text: str, kib: int) -> None:
    assert parse_size_kib(text, option="memory") == kib


@given(st.integers(min_value=0, max_value=2**70), st.sampled_from(sorted(FACTORS)), st.sampled_from(["", " ", "  "]))
def test_whole_numbers_are_exact(number: int, unit: str, space: str) -> None:
    assert parse_size(f"{number}{space}{unit}", option="x") == number * FACTORS[unit]


@given(st.decimals(min_value=0, max_value=10**9, places=6), st.sampled_from(sorted(FACTORS)))
def test_fractions_are_rounded_up(number: object, unit: str) -> None:
    exact = Fraction(str(number)) * FACTORS[unit]
    assert parse_size(f"{number:f} {unit}", option="x") == -(-exact.numerator // exact.denominator)


@given(st.integers(min_value=0, max_value=2**70))
def test_what_is_printed_is_parsed_again(size: int) -> None:
    assert parse_size(format_size(size), option="x") == size


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_an_error_of_ours(text: str) -> None:
    try:
        size = parse_size(text, option="x")
    except DeclarationError:
        size = 0
    assert size >= 0
