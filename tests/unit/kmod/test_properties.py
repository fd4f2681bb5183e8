# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parser loses nothing, and a change touches nothing else: for any bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nestbox.virt.plugins.module_utils._kmod.edit import (
    appended,
    with_parameter,
    with_rest,
    without_commands,
    without_parameters,
)
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.effective import effective
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.files import ConfigFile, Configuration
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.parser import commands, join, split
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.words import tokens

# what a file of modprobe.d is made of, and what it is not
_PIECES = st.sampled_from(
    [
        *(
            "options ",
            "options\t",
            "kvm_amd",
            "kvm-amd",
            "dummy",
            " nested=1",
            " nested",
            " npt=0",
            " x-y=2",
            " avic=Y",
        ),
        *(" ", "\t", "\n", "\\\n", "\\", '"', '"a b"', "=", "#", "# a comment\n", "\r\n", "\0", "\xe9", "\xff", "--"),
        *("alias a-* b\n", "install dummy /bin/true\n", "softdep dummy pre: nbd\n", "blacklist kvm_amd\n"),
        *("[", "]", "remove a b\n"),
    ]
)
FILES = st.binary(max_size=200) | st.lists(_PIECES, max_size=40).map(lambda parts: "".join(parts).encode("latin-1"))
VALUES = st.text(st.characters(max_codepoint=255, blacklist_characters='\t\n\0"'), max_size=12)
MODULE = "kvm_amd"


def _options(data: bytes) -> dict[str, str | None]:
    configuration = Configuration((ConfigFile("/etc/modprobe.d/a.conf", data, editable=True),))
    return {name: found.value for name, found in effective(configuration, MODULE).options.items()}


def _balanced(data: bytes) -> bool:
    """Whether no line leaves a quote open, which would swallow the next one, or ends the options by two dashes."""
    rests = [command.rest for command in commands(data) if (command.verb, command.name) == ("options", MODULE)]
    return all(rest.count('"') % 2 == 0 and len(rest.split("--")) == 1 for rest in rests)


def _others(data: bytes) -> list[str]:
    """Everything that is not a parameter called nested of the module, with its text."""
    found = []
    for line in split(data):
        command = next(commands(line.raw.encode("latin-1")), None)
        if command is None or (command.verb, command.name) != ("options", MODULE):
            found.append(line.raw)
        else:
            found += [command.rest[token.start : token.end] for token in tokens(command.rest) if token.name != "nested"]
    return found


@given(FILES)
def test_parse_and_print_is_the_identity(data: bytes) -> None:
    assert join(split(data)) == data


@given(FILES)
def test_lines_are_numbered_as_an_editor_does(data: bytes) -> None:
    lines = data.split(b"\n")
    for line in split(data):
        assert lines[line.number - 1].startswith(line.raw.encode("latin-1").split(b"\n")[0])


@given(FILES, VALUES)
def test_setting_an_option_touches_no_other_byte(data: bytes, value: str) -> None:
    after = with_parameter(data, MODULE, "nested", value)
    common_start = len(_common_prefix(data, after))
    common_end = len(_common_prefix(data[common_start:][::-1], after[common_start:][::-1]))
    removed = data[common_start : len(data) - common_end]
    assert len(split(data)) <= len(split(after)) <= len(split(data)) + 2
    if _balanced(data):
        assert _options(after)["nested"] == value
        assert _without(_options(after)) == _without(_options(data))
        assert b"\n" not in removed.replace(b"\\\n", b"")


@given(FILES)
def test_removing_an_option_touches_no_other_byte(data: bytes) -> None:
    after = without_parameters(data, MODULE, ["nested"])
    assert _is_subsequence(after, data)
    if _balanced(data):
        assert "nested" not in _options(after)
        assert _without(_options(after)) == _without(_options(data))
        assert _others(after) == _others(data)


@given(FILES)
def test_removing_what_is_not_there_changes_nothing(data: bytes) -> None:
    assert without_parameters(data, "no_such_module", ["nested"]) == data
    assert without_commands(data, "softdep", "no_such_module") == data


@given(FILES, VALUES)
def test_setting_twice_is_setting_once(data: bytes, value: str) -> None:
    once = with_parameter(data, MODULE, "nested", value)
    assert with_parameter(once, MODULE, "nested", value) == once


@given(FILES)
def test_what_is_appended_is_a_line_of_its_own(data: bytes) -> None:
    after = appended(data, "blacklist nouveau\n")
    assert after.startswith(data)
    assert list(commands(after))[-1].name == "nouveau"
    before, now = len(list(commands(data))), len(list(commands(after)))
    # modprobe reads a backslash that ends the file as a character, which may be all that a last command has
    assert now == before + 1 or (data.endswith(b"\\") and now == before)


@given(FILES)
def test_a_softdep_line_is_replaced_or_added_and_removed_again(data: bytes) -> None:
    after = with_rest(data, "softdep", MODULE, "pre: ccp")
    mine = [command for command in commands(after) if (command.verb, command.name) == ("softdep", MODULE)]
    assert mine[0].rest == "pre: ccp"
    gone = without_commands(after, "softdep", MODULE)
    assert not [command for command in commands(gone) if (command.verb, command.name) == ("softdep", MODULE)]


def _common_prefix(one: bytes, other: bytes) -> bytes:
    length = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _without(options: dict[str, str | None]) -> dict[str, str | None]:
    return {name: value for name, value in options.items() if name != "nested"}


def _is_subsequence(part: bytes, whole: bytes) -> bool:
    rest = iter(whole)
    return all(byte in rest for byte in part)
