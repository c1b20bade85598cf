"""What holds for every file of the repository: nothing names a package registry or somebody's machine; locks fit."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# In parts, so that this file does not name them either.
REGISTRIES = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("pythonhosted", "org"),
        ("anaconda", "org"),
        ("registry", "npmjs", "org"),
    ]
]
HOMES = re.compile(r"(?<![\w.])/(?:home|Users)/\w+/|(?<![\w.])/(?:root|work)/\w")
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def files_of_the_repository() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: what belongs to the repository is not known")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    return [(path, path.read_bytes().decode("utf-8", "replace")) for path in files_of_the_repository()]


def test_no_file_names_a_registry():
    named = [f"{path.relative_to(ROOT)}: {host}" for path, text in texts() for host in REGISTRIES if host in text]
    assert not named


def test_no_file_names_a_place_on_somebodys_machine():
    named = [f"{path.relative_to(ROOT)}: {found[0]}" for path, text in texts() if (found := HOMES.search(text))]
    assert not named


def test_there_is_no_lock_that_names_registries():
    assert not [path.name for path in files_of_the_repository() if path.name in ("uv.lock", "poetry.lock", "pdm.lock")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_and_hashes_everything(lock):
    entries = lock.read_text().replace("\\\n", " ").splitlines()
    assert entries
    for entry in entries:
        assert re.match(r"[\w.\-\[\]]+==\S+.*--hash=sha256:[0-9a-f]{64}", entry), entry


def test_locks_hold_what_the_project_depends_on():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    core = project["project"]["dependencies"]
    wanted = {
        "core.txt": core,
        "dev.txt": [*core, *extras["fast"], *extras["parquet"], *groups["test"], *groups["lint"]],
        "bench.txt": [*core, *(need for needs in extras.values() for need in needs)],
        "build.txt": project["build-system"]["requires"],
    }
    for lock, needs in wanted.items():
        pinned = {name(line) for line in (ROOT / "requirements" / lock).read_text().splitlines() if "==" in line}
        assert {name(need) for need in needs} <= pinned, f"{lock} is out of date: make lock"


def name(requirement: str) -> str:
    return re.split(r"[^\w.\-]", requirement, maxsplit=1)[0].lower().replace("_", "-")
