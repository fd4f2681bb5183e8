# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of _fetch.FETCH."""

from __future__ import annotations


class ModuleDocFragment:
    """The options with which a file is fetched from a web server."""

    DOCUMENTATION = r"""
options:
  headers:
    description: Headers of the request, by name.
    type: dict
  http_agent:
    description: How the request introduces itself.
    type: str
    default: ansible-httpget
  use_proxy:
    description: Whether a proxy that the environment of the managed host names is used.
    type: bool
    default: true
  validate_certs:
    description: Whether the server's certificate must be valid.
    type: bool
    default: true
  ca_path:
    description: A file of certificates of the authorities that are trusted.
    type: path
  client_cert:
    description: A file with the certificate, and perhaps the key, with which the request identifies itself.
    type: path
  client_key:
    description: A file with the key of O(client_cert).
    type: path
  url_username:
    description: The user name for the server.
    type: str
  url_password:
    description: The password for the server.
    type: str
  force_basic_auth:
    description: Whether user name and password are sent with the first request already.
    type: bool
    default: false
  use_netrc:
    description: Whether C(~/.netrc) is looked into for user name and password.
    type: bool
    default: true
  timeout:
    description: How many seconds the server may say nothing.
    type: int
    default: 30
"""
