# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help quick test lint sanity docs changelog bench demo demo-clean clean setup

help:  ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

setup:
	@tools/install-system-packages
	@tools/venv >/dev/null

quick: setup  ## style, types and unit tests, in less than a minute
	@tools/lint ruff mypy
	@tools/run pytest -q --numprocesses 2 tests/unit

test: setup  ## everything: installs what is missing, then lint, sanity, and all tests
	@$(MAKE) --jobs --output-sync=target lint sanity
	@echo '== tests'
	@tools/run pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

lint: setup  ## every check that only reads
	@echo '== lint'
	@tools/lint

sanity: setup  ## ansible-test sanity
	@echo '== sanity'
	@tools/sanity

docs: setup  ## the documentation site of the plugins, in build/docs
	@tools/docs

changelog: setup  ## CHANGELOG.md, made of changelogs/fragments
	@tools/changelog

bench: setup  ## speed, printed as a table
	@tools/run python -m benchmarks

demo:  ## prepare this host, and put two guests on it (IMAGE=<file or URL>)
	@tools/demo

demo-clean:  ## remove what make demo made, and nothing else
	@tools/demo-clean

clean:  ## remove what was built in this checkout
	@rm -rf build collections .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/output nestbox-virt-*.tar.gz
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
