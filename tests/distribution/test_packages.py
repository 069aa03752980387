"""A package installs without a network what its hashes say, and lists what it holds."""

import ensurepip
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest

from tests.distribution.wheels import write_wheel
from tools.distribution.install import Root, install, make_environment, verify
from tools.distribution.offline_package import Release, write_package
from tools.distribution.python_packages import build_twice, rewrite_sdist, write_tar
from tools.distribution.target_wheels import TARGETS, Target, requirements

inventory = pytest.importorskip("tools.distribution.inventory", reason="cyclonedx-python-lib is not installed")
HERE = Target(platform.machine(), ".".join(map(str, sys.version_info[:2])))
EPOCH = 1_700_000_000
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "part"
version = "1"
[tool.setuptools]
packages = ["part"]
"""
ROOT = Path(__file__).resolve().parents[2]


def wheels_with_pip(folder: Path) -> list[Path]:
    """A station's wheel of a few lines beside the wheel of pip that Python has for its own environments."""
    bundled = files(ensurepip).joinpath("_bundled")
    pip = next((path for path in bundled.iterdir() if path.name.startswith("pip-")), None)
    if pip is None:
        pytest.skip("this Python comes without the wheel of pip")
    station = write_wheel(folder, "edge-inspect", "License-Expression: Apache-2.0", LICENSE="Anyone may use it.")
    (folder / pip.name).write_bytes(pip.read_bytes())
    return [station, folder / pip.name]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    bundle = tmp_path / "models" / "bundle"
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}")
    return Release("1.0", EPOCH, bundle, key=None)


def test_a_package_is_unpacked_verified_and_installed_without_a_network(release: Release, tmp_path: Path) -> None:
    archive = write_package(release, HERE, wheels_with_pip(tmp_path / "wheels"), tmp_path / "packages")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "station", filter="data")
    package = tmp_path / "station" / archive.stem

    assert list(verify(package, [])) == ["9 files verified, WITHOUT a signature"]
    said = list(install(package, Root(tmp_path / "opt"), None, make_environment))
    assert said[1].endswith("edge-inspect 1.0")
    program = tmp_path / "opt" / "current" / "bin" / "edge-inspect"
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "edge-inspect 1.0\n"


def test_the_requirements_name_every_wheel_by_its_hash(tmp_path: Path) -> None:
    wheels = [write_wheel(tmp_path, "one-name"), write_wheel(tmp_path, "other")]
    lines = requirements(wheels).splitlines()
    assert [line.split(" --hash=sha256:")[0] for line in lines] == ["one-name==1.0", "other==1.0"]
    assert {len(line.rpartition(":")[2]) for line in lines} == {64}


def test_the_inventory_has_name_hash_and_licence_of_each_wheel(tmp_path: Path) -> None:
    licence = "License: ignored\nClassifier: License :: OSI Approved :: MIT License"
    wheels = [
        inventory.read_wheel(write_wheel(tmp_path, "stated", "License-Expression: BSD-3-Clause", NOTICE="Keep this.")),
        inventory.read_wheel(write_wheel(tmp_path, "classified", licence)),
        inventory.read_wheel(write_wheel(tmp_path, "silent")),
    ]
    text = inventory.sbom(wheels, "package", EPOCH)
    assert text == inventory.sbom(wheels, "package", EPOCH)
    found = json.loads(text)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert found["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    named = {part["name"]: part for part in found["components"]}
    assert named["stated"]["purl"] == "pkg:pypi/stated@1.0"
    assert named["stated"]["hashes"] == [{"alg": "SHA-256", "content": wheels[0].sha256}]
    assert named["stated"]["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]
    assert named["classified"]["licenses"] == [{"license": {"name": "MIT License"}}]
    assert "licenses" not in named["silent"]
    assert "stated 1.0: BSD-3-Clause\n" in inventory.notices(wheels)
    assert "Keep this.\n" in inventory.notices(wheels)
    assert "silent 1.0: not stated\n" in inventory.notices(wheels)


def test_archives_do_not_depend_on_times_owners_and_umask(tmp_path: Path) -> None:
    archives = []
    for name, mode, moment in (("a", 0o644, 1), ("b", 0o600, 2_000_000_000)):
        folder = tmp_path / name / "package"
        folder.mkdir(parents=True)
        for file in ("second", "first"):
            (folder / file).write_text(file)
            (folder / file).chmod(mode)
            os.utime(folder / file, (moment, moment))
        write_tar(folder, tmp_path / f"{name}.tar", EPOCH)
        archives.append((tmp_path / f"{name}.tar").read_bytes())
    assert archives[0] == archives[1]


def test_an_sdist_of_setuptools_is_rewritten_without_times_and_owners(tmp_path: Path) -> None:
    contents = []
    for name, moment, names in (("a", 1, ("first", "second")), ("b", 2_000_000_000, ("second", "first"))):
        (tmp_path / name).mkdir()
        sdist = tmp_path / name / "small-1.tar.gz"
        with tarfile.open(sdist, "w:gz") as tar:
            for file in names:
                entry = tarfile.TarInfo(f"small-1/{file}")
                entry.mtime, entry.uid, entry.uname, entry.size = moment, moment % 1000, name, len(file)
                tar.addfile(entry, io.BytesIO(file.encode()))
        rewrite_sdist(sdist, EPOCH)
        contents.append(sdist.read_bytes())
    assert contents[0] == contents[1]
    with tarfile.open(tmp_path / "a" / "small-1.tar.gz") as tar:
        assert {entry.name: entry.mtime for entry in tar} == {"small-1/first": EPOCH, "small-1/second": EPOCH}


def test_targets_are_both_machines_with_both_versions_of_python() -> None:
    assert [target.name for target in TARGETS] == [
        "x86_64-python3.10",
        "x86_64-python3.12",
        "aarch64-python3.10",
        "aarch64-python3.12",
    ]
    assert TARGETS[2].platforms[0] == "manylinux_2_28_aarch64"


def test_a_key_that_cannot_sign_is_refused_before_any_build(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "tools" / "make-dist", "--out", tmp_path / "dist", "--key", tmp_path / "none.key"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"make-dist: {tmp_path}/none.key: No such file or directory")
    assert not (tmp_path / "dist").exists()


def test_both_builds_are_of_one_commit_though_another_comes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(variable, "tests")
    repository = tmp_path / "repository"
    (repository / "part").mkdir(parents=True)
    (repository / "pyproject.toml").write_text(PROJECT)
    (repository / "part" / "__init__.py").write_text("first = True\n")

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=repository, check=True, capture_output=True)

    def commit() -> None:
        git("add", ".")
        git("commit", "-m", "next")

    git("init")
    commit()
    (tmp_path / "scratch").mkdir()
    (repository / "setup.py").write_text(
        "import pathlib, subprocess, setuptools\n"
        f"place = pathlib.Path({str(repository)!r})\n"
        "(place / 'part' / '__init__.py').write_text('first = False\\n')\n"
        "subprocess.run(['git', 'commit', '-q', '-a', '-m', 'meanwhile'], cwd=place)\n"
        "setuptools.setup()\n"
    )
    commit()
    wheel, _, _ = build_twice(repository, tmp_path / "out", tmp_path / "scratch")

    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("part/__init__.py") == b"first = True\n"
