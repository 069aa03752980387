# Targets: demo, demo-loop, demo-plant, test, test-here, check, docs, bench, dist, container. Each creates the environment that it needs.
PYTHON ?= python3
# The device side must also run on JetPack 6: Python 3.10, no torch.
DEVICE_PYTHON ?= $(shell for p in python3.10 $$HOME/.pyenv/versions/3.10.*/bin/python3.10 $(PYTHON); do \
	"$$p" -c '' 2>/dev/null && echo "$$p" && break; done)
PIP = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Processes that share the tests, by whole files, so that a file's fixtures are made once.
# One that dies ends the run with the name of its test; restarted, it may wait for ever.
WORKERS ?= 2
PYTEST = -m pytest -p tests.run_once --numprocesses $(WORKERS) --dist loadfile --max-worker-restart 0
PASSED = .venv-device/passed.txt
DEVICE_TESTS = tests/test_rooms.py tests/bundle tests/edge tests/firmware_bridge tests/synthetic

.PHONY: demo demo-loop demo-plant test test-here test-device check docs bench dist container clean

demo: .venv/ready
	.venv/bin/edge-inspect demo

demo-plant: .venv-dev/ready
	.venv-dev/bin/python tools/demo-plant

demo-loop: .venv-dev/ready
	.venv-dev/bin/python -m pytest -q -s tests/demo_improvement_loop.py

# All tests, each once: those of the device side under its Python, what is left under ours.
test: .venv-dev/ready test-device
	.venv-dev/bin/python $(PYTEST) --without $(PASSED)

# All tests under our Python, those of the device side too.
test-here: .venv-dev/ready
	.venv-dev/bin/python $(PYTEST)

test-device: .venv-device/ready
	.venv-device/bin/python -c 'import importlib.util as u; assert u.find_spec("torch") is None, "torch is installed here"'
	.venv-device/bin/python $(PYTEST) --passed-into $(PASSED) $(DEVICE_TESTS)

check: .venv-dev/ready
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy
	NO_MKDOCS_2_WARNING=1 .venv-dev/bin/python -m tools.documentation site

docs: .venv-dev/ready
	NO_MKDOCS_2_WARNING=1 .venv-dev/bin/python -m tools.documentation site

bench: .venv-dev/ready
	.venv-dev/bin/python tools/bench --quick --out build/bench
	.venv-dev/bin/python tools/bench-start
	.venv-dev/bin/edge-inspect bench models/magnetic-tile
	.venv-dev/bin/python tools/bench-train

# Options of tools/make-dist, such as DIST='--key release.key --target x86_64-python3.10'.
dist: .venv-dev/ready
	.venv-dev/bin/python tools/make-dist $(DIST)

# Image of the station from the offline package, then its tests. BASE names an image with Python 3.12, CONTAINER_RUN how
# to run one; `podman load` on the station takes `podman save edge-inspect`.
BUILDER ?= $(shell command -v podman || command -v docker || echo podman)
BASE ?= docker.io/library/python:3.12-slim
container: .venv-dev/ready
	rm -rf build/container
	.venv-dev/bin/python tools/make-dist --out build/container --target $(shell uname -m)-python3.12
	tar --extract --directory build/container --file build/container/*-python3.12.tar
	$(BUILDER) build --file containers/station.Containerfile --build-arg BASE=$(BASE) --tag edge-inspect \
		build/container/*-python3.12/
	CONTAINER_IMAGE=edge-inspect .venv-dev/bin/python -m pytest -q tests/distribution/test_container.py

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python $(PIP) --editable '.[cpu]'
	@touch $@

.venv-device/ready: pyproject.toml constraints.txt
	$(DEVICE_PYTHON) -m venv --clear .venv-device
	.venv-device/bin/python $(PIP) --editable '.[central,cpu,mqtt,openvino,page,release]' pytest pytest-xdist hypothesis onnx
	@touch $@

.venv-dev/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv-dev
	.venv-dev/bin/python $(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv .venv-device .venv-dev
