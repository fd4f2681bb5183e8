#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manages a kernel module: loaded, with which options, now and at the next boot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_module
short_description: Manage a kernel module, its options and its state
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Loads or unloads a kernel module, and gives it options, in the running kernel and for the next load alike. What the
    kernel shows afterwards is verified.
  - The options are compared with what C(modprobe) would really use. All directories of C(modprobe.d) are read in
    C(modprobe)'s own order, the kernel's command line too. A line that is changed keeps every other byte of its file.
  - An option of a loaded module that can be written at run time is written. For any other the module is loaded again,
    together with the modules that need it, but only when nothing uses it. When that fails, the files, the module with
    its old options and the guests are put back.
  - Whether a module is in use is found out before anything is changed, in check mode too.
requirements:
  - kmod (C(modprobe), C(modinfo), C(rmmod)) on the host
  - the Python libvirt binding and lxml on the host, only for O(reload=stop_guests)
options:
  name:
    description:
      - The name of the module. C(-) and C(_) are the same.
    type: str
    required: true
  state:
    description:
      - With V(present), the module is loaded.
      - With V(absent), it is not loaded. A module that is in use, or that another one needs, is not unloaded. The task
        fails then. O(options) still say what the next load uses.
    type: str
    choices: [present, absent]
    default: present
  persistent:
    description:
      - Whether the module is loaded at the boot too, by a file in C(/etc/modules-load.d).
      - With O(state=absent), V(true) removes it from there, and V(false) leaves these files alone.
      - When it is left out, these files are left alone.
    type: bool
  options:
    description:
      - The module's parameters and their values. C(null) removes a parameter from all files, so that the module's own
        default applies. What is not named here is kept, unless O(options_exclusive=true).
      - A name that the module does not have, and a value that is not of the parameter's kind, are errors. The kernel
        itself would ignore a wrong name. The few parameters that a module does not describe to C(modinfo) are known
        only while it is loaded.
      - C(true) and C(false) are written as C(1) and C(0). A list becomes values with commas between them.
      - A value is the same when it means the same. C(Y), C(1) and C(yes) are for a boolean, C(0x10) and C(16) for a
        number.
      - Parameters that the kernel does not show (C(/sys/module) has no file for them) can't be verified.
    type: dict
  options_exclusive:
    description:
      - Whether O(options) are the whole list, so that any other option of the module is removed from the files.
    type: bool
    default: false
  blacklisted:
    description:
      - Whether the module is kept from being loaded by itself for a device that it drives. It can still be loaded by
        name.
      - When it is left out, C(blacklist) lines are left alone.
    type: bool
  softdep:
    description:
      - Which modules are loaded before and after this one. Two empty lists remove the line.
      - When it is left out, C(softdep) lines are left alone.
    type: dict
    suboptions:
      pre:
        description: Modules that are loaded before it.
        type: list
        elements: str
        default: []
      post:
        description: Modules that are loaded after it.
        type: list
        elements: str
        default: []
  reload:
    description:
      - What to do when an option takes effect only by loading the module again.
      - With V(never), only the files are changed, and RV(reboot_required) says that it is not in effect.
      - With V(if_unused), the module is loaded again when nothing uses it. Otherwise the task fails, and changes
        nothing.
      - With V(stop_guests), running guests of libvirt that use KVM are shut down first, as by their power button, and
        the same guests are started again afterwards, also when the load failed. When something else uses the module,
        the task fails, and changes nothing.
      - A module whose network interface is up counts as used.
    type: str
    choices: [never, if_unused, stop_guests]
    default: if_unused
  initramfs:
    description:
      - The initramfs holds its own copy of C(modprobe.d) for the modules that are loaded from it.
      - With V(auto), it is built anew when the module is in it and a file that names the module is newer.
      - With V(always), it is built anew when such a file is newer, and with V(never), it never is.
      - The tools are C(update-initramfs), C(dracut) and C(mkinitcpio).
    type: str
    choices: [auto, always, never]
    default: auto
  file:
    description:
      - The file for what no file sets yet, in C(/etc/modprobe.d). It is C(/etc/modprobe.d/NAME.conf) unless given.
    type: path
  conflicts:
    description:
      - What to do when another file sets an option otherwise than declared.
      - With V(fix), the line there is changed. A file outside of C(/etc) is left as it is, and is overruled by
        one in C(/etc) that comes later. To remove an option, a changed copy in C(/etc) hides it.
      - With V(fail), the task fails and names file and line.
      - An option on the kernel's command line always is an error, for no file overrules it.
    type: str
    choices: [fix, fail]
    default: fix
  uri:
    description:
      - The libvirt connection whose guests are looked at. It is used only for the modules C(kvm), C(kvm_amd) and
        C(kvm_intel).
    type: str
    default: qemu:///system
  timeout:
    description:
      - How long each guest may take to shut down, in seconds. A guest that takes longer makes the task fail, and what
        was done until then is put back. Should that guest go down later all the same, it stays down.
    type: int
    default: 120
notes:
  - A module that is built into the kernel takes its options only from the kernel's command line. When one differs, the
    task fails and says which word to add there.
  - The guide C(docs/nested_kvm.md) shows what all of this is good for.
  - The module C(kvm_intel) was tested except for its load, for which no hardware was at hand.
extends_documentation_fragment:
  - nestbox.virt.attributes
seealso:
  - name: modprobe.d
    description: The files that this module changes.
    link: https://man7.org/linux/man-pages/man5/modprobe.d.5.html
"""

EXAMPLES = r"""
- name: Nested KVM on an AMD machine, now and after the next boot
  nestbox.virt.kernel_module:
    name: kvm_amd
    options: {nested: true}

- name: The same where guests are running; they are shut down and started again
  nestbox.virt.kernel_module:
    name: kvm_intel
    options: {nested: true, ept: true}
    reload: stop_guests
    timeout: 300

- name: Write the files only, and reboot when it suits
  nestbox.virt.kernel_module:
    name: kvm_intel
    options: {nested: false}
    reload: never
  register: nested

- name: A parameter that can be written at run time needs no reload
  nestbox.virt.kernel_module:
    name: kvm
    options: {ignore_msrs: true, halt_poll_ns: 0}

- name: A module for the next boot too, with exactly these options
  nestbox.virt.kernel_module:
    name: nbd
    persistent: true
    options: {max_part: 8, nbds_max: 32}
    options_exclusive: true

- name: Keep a driver away from its device
  nestbox.virt.kernel_module:
    name: nouveau
    state: absent
    blacklisted: true
"""

RETURN = r"""
kernel_module:
  description: The module. In check mode it is what there is now.
  returned: success
  type: dict
  contains:
    name:
      description: The name of the module, with underscores.
      type: str
      sample: kvm_amd
    loaded:
      description: Whether it is loaded, or built in.
      type: bool
      sample: true
    builtin:
      description: Whether it is built into the kernel.
      type: bool
      sample: false
    parameters:
      description: The live values, as the kernel shows them.
      type: dict
      sample: {nested: "1", npt: "Y"}
    options:
      description:
        - What the next load would use, by parameter, with C(value), C(file) and C(line). The line is null for the
          kernel's command line.
      type: dict
      sample: {nested: {value: "1", file: /etc/modprobe.d/kvm_amd.conf, line: 1}}
    declared:
      description: The options of the task.
      type: dict
      sample: {nested: true}
    blacklisted:
      description: Whether it is blacklisted.
      type: bool
      sample: false
    softdep:
      description: The C(softdep) line that counts, or null.
      type: str
      sample: "pre: ccp"
    install:
      description: The command of an C(install) line that is run instead of loading the module, or null.
      type: str
      sample: /bin/true
    persistent:
      description: Whether C(modules-load.d) names it.
      type: bool
      sample: false
    in_use_by:
      description:
        - C(use_count) as the kernel counts it, C(modules) that need it, and, for the modules of KVM, C(guests) and
          C(processes).
      type: dict
      sample: {use_count: 6, modules: [], guests: [web1], processes: [{pid: 4711, name: qemu-system-x86}]}
steps:
  description:
    - What was changed, or would be changed in check mode. The verbs are V(create), V(change), V(remove), V(write),
      V(shut down), V(unload), V(load), V(start again) and V(rebuild).
  returned: success
  type: list
  elements: dict
  sample:
    - {target: file /etc/modprobe.d/kvm_amd.conf, verb: create, effect: now}
    - {target: module kvm_amd, verb: unload, effect: now}
    - {target: module kvm_amd, verb: load, effect: now}
reboot_required:
  description: Whether something that is declared takes effect only by a reboot, or a later load of the module.
  returned: success
  type: bool
  sample: false
reboot_reasons:
  description: What that is, in a sentence each.
  returned: success
  type: list
  elements: str
  sample: []
restart_required:
  description: Always V(false). The other modules of this collection return it too.
  returned: success
  type: bool
  sample: false
restart_reasons:
  description: Always empty.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.resource import KernelModuleResource
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_local

SPEC = CONNECTION + ArgumentSpec(
    options={
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "persistent": {"type": "bool"},
        "options": {"type": "dict"},
        "options_exclusive": {"type": "bool", "default": False},
        "blacklisted": {"type": "bool"},
        "softdep": {
            "type": "dict",
            "options": {
                "pre": {"type": "list", "elements": "str", "default": []},
                "post": {"type": "list", "elements": "str", "default": []},
            },
        },
        "reload": {"type": "str", "choices": ["never", "if_unused", "stop_guests"], "default": "if_unused"},
        "initramfs": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
        "file": {"type": "path"},
        "conflicts": {"type": "str", "choices": ["fix", "fail"], "default": "fix"},
        "timeout": {"type": "int", "default": 120},
    }
)


def main() -> None:
    """Runs the module."""
    run_local(SPEC, KernelModuleResource, key="kernel_module")


if __name__ == "__main__":
    main()
