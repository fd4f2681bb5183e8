#!/usr/bin/env bash
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Process 1 of a bench daemon's namespaces (mount, UTS, network, PID): isolates libvirt's directories, then only waits.
# usage: namespace.sh NAME DIRECTORY   (started by daemon.py through unshare)
set -euo pipefail
name=$1 directory=$2

# the pid as the host sees it: /proc is still the host's
read -r pid _ </proc/self/stat

mount --make-rprivate /
hostname "nbt-$name"
ip link set lo up

# its own sysfs shows the interfaces of its own network namespace; cgroups stay out of it, so that two daemons never share
# one (covered is not enough: libvirt would see them in /proc/mounts, fail to use them and end its guests at a restart)
umount --recursive --lazy /sys
mount -t sysfs sysfs /sys

# a device node with a mode that lets QEMU in; the host's own node stays as it is
if [ -c /dev/kvm ]; then
    mkdir -p "$directory/dev"
    mount -t tmpfs -o mode=0755 tmpfs "$directory/dev"
    mknod -m 0666 "$directory/dev/kvm" c 10 232
    mount --bind "$directory/dev/kvm" /dev/kvm
fi

for pair in etc:/etc/libvirt lib:/var/lib/libvirt cache:/var/cache/libvirt log:/var/log/libvirt localca:/var/lib/swtpm-localca; do
    mkdir -p "$directory/${pair%%:*}"
    if [ "${pair%%:*}" != localca ] || [ -d "${pair#*:}" ]; then
        mount --bind "$directory/${pair%%:*}" "${pair#*:}"
    fi
done
# the whole of /run: no D-Bus, no systemd, no sockets of the host's own daemons
mount --bind "$directory/run" /run
mount -t proc proc /proc

printf '%s\n' "$pid" >"$directory/pid.new"
mv "$directory/pid.new" "$directory/pid"

# children that are left to process 1 must not stay as zombies: libvirt would wait for them
trap '' CHLD
exec sleep infinity
