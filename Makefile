# SPDX-License-Identifier: Apache-2.0
# make demo: the main job, end to end.  make test: lint, types and tests.
# Everything lives in .venv; a step runs again only when what it installs has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOG := $(VENV)/install.log

# A ROS or another environment sourced in the calling shell must not mix with the wheels here.
unexport PYTHONPATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
export AMENT_PREFIX_PATH := $(CURDIR)/$(VENV)
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# A stamp carries the checksum of what it stands for.
sum = $(shell cat $(1) requirements/constraints.txt | cksum | cut -d' ' -f1)
stamp = $(VENV)/stamps/$(1)-$(call sum,requirements/$(1).txt)
SOURCES := setup.py setup.cfg package.xml $(shell find vpr_ros resource $(wildcard launch config) -type f \
	-not -name '*.pyc' -not -name '.engines.json*')
PACKAGE := $(VENV)/stamps/package-$(shell cksum $(SOURCES) | cksum | cut -d' ' -f1)

# What a build leaves in the tree; the next one would take stale modules from it.
LEFTOVERS := build/lib build/bdist.* build/ros2_run vpr_ros.egg-info

# Quiet; what an installer said is shown when it failed.
quietly = $(1) > $(LOG) 2>&1 || { cat $(LOG); exit 1; }

.PHONY: demo test lint clean distclean
.DELETE_ON_ERROR:

demo: $(call stamp,core) $(PACKAGE)
	@$(MAKE) -s $(call stamp,ros) || \
		echo 'The ROS wheels do not install here: the demo goes on without ROS.'
	@$(BIN)/vpr demo --out demo --force

test: lint
	$(BIN)/python -m pytest

lint: $(call stamp,core) $(call stamp,ros) $(call stamp,train) $(call stamp,quantize) \
		$(call stamp,test) $(PACKAGE)
	$(BIN)/ruff check
	$(BIN)/mypy

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || \
		{ echo 'This needs Python 3.10 to 3.12; name one: make PYTHON=python3.11'; exit 1; }
	@echo 'Creating $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(VENV)/stamps

$(VENV)/stamps/%: | $(BIN)/python
	@name=$(firstword $(subst -, ,$*)); mkdir -p $(@D); \
	echo "Installing requirements/$$name.txt (once)"; \
	$(call quietly,$(BIN)/python -m pip install -r requirements/$$name.txt)
	@rm -f $(VENV)/stamps/$(firstword $(subst -, ,$*))-*; touch $@

# No isolated build: setuptools is among the core's requirements, so this asks nobody.
$(PACKAGE): | $(BIN)/python $(call stamp,core)
	@echo 'Installing the package'
	@rm -rf $(LEFTOVERS)
	@$(call quietly,$(BIN)/python -m pip install --no-deps --no-build-isolation --no-index .)
	@rm -rf $(LEFTOVERS) $(VENV)/stamps/package-*; touch $@

clean:
	rm -rf $(LEFTOVERS) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
