"""The machine as real files say: every layout of cgroups is a tree of files in a folder of the test's own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from plait import machine
from plait.errors import OptionError

MANY = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
HUGE = 9223372036854771712  # what version 1 calls no limit
MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000 kB\nMemAvailable:    8000000 kB\n"


class Tree:
    """A root folder with /proc and /sys below it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/meminfo", MEMINFO)

    def write(self, path: str, text: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def belongs(self, *lines: str) -> None:
        self.write("proc/self/cgroup", "".join(f"{line}\n" for line in lines))

    def mounts(self, *lines: str) -> None:
        self.write("proc/self/mountinfo", "".join(f"{line}\n" for line in lines))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(autouse=True)
def _many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen cores, so that a quota shows on any machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 16, raising=False)
    monkeypatch.delenv("PYTHON_CPU_COUNT", raising=False)
    monkeypatch.setenv("PLAIT_WITHOUT", "")


V2 = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_CPU = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


# ---------------------------------------------------------------------------------------------------------------- cores


def test_no_limit_leaves_the_affinity(tree: Tree):
    tree.belongs("0::/")
    tree.mounts(V2)
    assert machine.cores(tree.root) == 16


@pytest.mark.parametrize(
    ("text", "count"),
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", 16), ("300000", 3)],
)
def test_quota_of_version_2_is_rounded_up(tree: Tree, text: str, count: int):
    tree.belongs("0::/user.slice/job")
    tree.mounts(V2)
    tree.write("sys/fs/cgroup/user.slice/job/cpu.max", text)
    assert machine.cores(tree.root) == count


def test_the_smallest_quota_on_the_way_up_binds(tree: Tree):
    tree.belongs("0::/a/b/c/d")
    tree.mounts(V2)
    tree.write("sys/fs/cgroup/a/cpu.max", "300000 100000")
    tree.write("sys/fs/cgroup/a/b/cpu.max", "700000 100000")
    tree.write("sys/fs/cgroup/a/b/c/d/cpu.max", "max 100000")
    assert machine.cores(tree.root) == 3


def test_a_quota_of_a_sibling_does_not_bind(tree: Tree):
    tree.belongs("0::/a/b")
    tree.mounts(V2)
    tree.write("sys/fs/cgroup/a/other/cpu.max", "100000 100000")
    tree.write("sys/fs/cgroup/a/bb/cpu.max", "100000 100000")
    assert machine.cores(tree.root) == 16


def test_an_unusual_mount_point_with_a_space(tree: Tree):
    tree.belongs("0::/job")
    tree.mounts(r"31 23 0:28 / /mnt/my\040groups rw - cgroup2 none rw")
    tree.write("mnt/my groups/job/cpu.max", "200000 100000")
    assert machine.cores(tree.root) == 2


def test_a_container_sees_its_group_mounted_as_the_top(tree: Tree):
    tree.belongs("0::/docker/abc/inner")
    tree.mounts("31 23 0:28 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw")
    tree.write("sys/fs/cgroup/inner/cpu.max", "400000 100000")
    tree.write("sys/fs/cgroup/cpu.max", "200000 100000")
    assert machine.cores(tree.root) == 2


@pytest.mark.parametrize("path", ["/../other", "/elsewhere/deep"])
def test_a_group_outside_of_the_mount_leaves_the_mount_point(tree: Tree, path: str):
    tree.belongs(f"0::{path}")
    tree.mounts("31 23 0:28 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw")
    tree.write("sys/fs/cgroup/cpu.max", "200000 100000")
    assert machine.cores(tree.root) == 2


def test_quota_of_version_1_through_the_cpu_controller(tree: Tree):
    tree.belongs("9:memory:/elsewhere", "4:cpu,cpuacct:/docker/abc")
    tree.mounts(V1_CPU, V1_MEMORY)
    tree.write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n")
    tree.write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n")
    assert machine.cores(tree.root) == 16
    tree.write("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "250000\n")
    tree.write("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us", "100000\n")
    assert machine.cores(tree.root) == 3


def test_cpuacct_alone_is_not_the_cpu_controller(tree: Tree):
    tree.belongs("4:cpuacct:/job")
    tree.mounts("32 31 0:29 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct")
    tree.write("sys/fs/cgroup/cpuacct/job/cpu.cfs_quota_us", "100000\n")
    tree.write("sys/fs/cgroup/cpuacct/job/cpu.cfs_period_us", "100000\n")
    assert machine.cores(tree.root) == 16


def test_hybrid_takes_the_smaller_of_both(tree: Tree):
    tree.belongs("1:cpu,cpuacct:/one", "0::/two")
    tree.mounts(V1_CPU, V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified"))
    tree.write("sys/fs/cgroup/cpu,cpuacct/one/cpu.cfs_quota_us", "500000")
    tree.write("sys/fs/cgroup/cpu,cpuacct/one/cpu.cfs_period_us", "100000")
    assert machine.cores(tree.root) == 5
    tree.write("sys/fs/cgroup/unified/two/cpu.max", "400000 100000")
    assert machine.cores(tree.root) == 4


@pytest.mark.parametrize(
    "junk",
    ["", "\n\n", "::", "0::", "0::relative", "a b c d e - cgroup2", "31 23 0:28 / /x - ", "\0", "999999999999 0"],
)
def test_malformed_files_count_as_no_limit(tree: Tree, junk: str):
    for path in ("proc/self/cgroup", "proc/self/mountinfo", "proc/meminfo"):
        tree.write(path, junk)
    assert machine.cores(tree.root) == 16
    assert machine.memory_limit(tree.root) > 0
    tree.belongs("0::/")
    tree.mounts(V2)
    for name in ("cpu.max", "memory.max", "memory.current", "memory.stat"):
        tree.write(f"sys/fs/cgroup/{name}", junk)
    assert machine.cores(tree.root) == 16
    assert machine.memory_available(tree.root) > 0


def test_files_that_are_no_text_or_not_there(tmp_path: Path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_bytes(b"\xff\xfe0::/\n")
    (tmp_path / "proc/self/mountinfo").mkdir()
    assert machine.cores(tmp_path) == 16
    assert machine.cores(tmp_path / "nowhere") == 16


def test_without_cgroups_and_affinity(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    tree.belongs("0::/")
    tree.mounts(V2)
    tree.write("sys/fs/cgroup/cpu.max", "100000 100000")
    assert machine.cores(tree.root) == 1
    monkeypatch.setenv("PLAIT_WITHOUT", "cgroups")
    assert machine.cores(tree.root) == 16
    monkeypatch.setattr(os, "cpu_count", lambda: 9)
    monkeypatch.setenv("PLAIT_WITHOUT", "cgroups, affinity")
    assert machine.cores(tree.root) == 9


COUNT = "import plait.machine, sys; print(plait.machine.cores(sys.argv[1]))"


@pytest.mark.parametrize(
    ("options", "environment", "count"),
    [
        ([], {"PYTHON_CPU_COUNT": "1"}, 1),
        (["-X", "cpu_count=1"], {}, 1),
        ([], {"PYTHON_CPU_COUNT": "4096"}, MANY),
        ([], {"PYTHON_CPU_COUNT": "default"}, MANY),
        ([], {}, MANY),
    ],
)
def test_what_the_user_asked_python_for(tmp_path: Path, options: list[str], environment: dict[str, str], count: int):
    found = subprocess.run(
        [sys.executable, *options, "-c", COUNT, str(tmp_path)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(found.stdout) == count


# --------------------------------------------------------------------------------------------------------------- memory


def test_physical_memory_without_a_limit(tree: Tree):
    assert machine.memory_limit(tree.root) == 16_000_000 * 1024
    assert machine.memory_available(tree.root) == 8_000_000 * 1024


def test_limit_and_what_is_available_of_version_2(tree: Tree):
    tree.belongs("0::/a/b")
    tree.mounts(V2)
    tree.write("sys/fs/cgroup/a/memory.max", "1000000")
    tree.write("sys/fs/cgroup/a/memory.current", "700000")
    tree.write("sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 100000\nactive_file 7\n")
    tree.write("sys/fs/cgroup/a/b/memory.max", "max")
    assert machine.memory_limit(tree.root) == 1_000_000
    assert machine.memory_available(tree.root) == 400_000


def test_limit_and_what_is_available_of_version_1(tree: Tree):
    tree.belongs("4:memory:/job/one")
    tree.mounts(V1_MEMORY)
    tree.write("sys/fs/cgroup/memory/job/one/memory.limit_in_bytes", f"{HUGE}\n")
    assert machine.memory_limit(tree.root) == 16_000_000 * 1024
    tree.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2000000\n")
    tree.write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "2100000\n")
    assert machine.memory_limit(tree.root) == 2_000_000
    assert machine.memory_available(tree.root) == 0
    tree.write("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 9\ntotal_inactive_file 600000\n")
    assert machine.memory_available(tree.root) == 500_000


@pytest.mark.parametrize(
    ("amount", "count"),
    [
        ("2GiB", 2 * 1024**3),
        ("500MB", 500_000_000),
        (" 1.5 gb ", 1_500_000_000),
        ("64k", 65536),
        ("1 TiB", 1024**4),
        ("10B", 10),
        ("12345", 12345),
        (4096, 4096),
        (".5KiB", 512),
    ],
)
def test_amounts_are_read(amount: str | int, count: int):
    assert machine.parse_bytes(amount) == count


@pytest.mark.parametrize(
    "amount", ["", "much", "-1GB", "0", "0.2B", "GiB", "1e9", "1 000", "5XB", 0, -1, True, None, 1.5]
)
def test_nonsense_amounts_say_what_is_wanted(amount: object):
    with pytest.raises(OptionError, match=r"memory=.*2GiB") as caught:
        machine.parse_bytes(amount)  # type: ignore[arg-type]
    assert caught.value.option == "memory"


# --------------------------------------------------------------------------------------------------------- capabilities


def test_what_is_taken_away_is_gone(monkeypatch: pytest.MonkeyPatch):
    before = machine.capabilities()
    monkeypatch.setenv("PLAIT_WITHOUT", " memfd, schedstat ,")
    now = machine.capabilities()
    assert (now.memfd, now.schedstat) == (False, False)
    assert (now.pidfd, now.cgroups) == (before.pidfd, before.cgroups)


def test_an_unknown_capability_names_the_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLAIT_WITHOUT", "memfd,pidfs")
    with pytest.raises(OptionError, match=r"'pidfs' is not a capability. Did you mean 'pidfd'\? Known: memfd, pidfd,"):
        machine.capabilities()


@pytest.mark.skipif(sys.platform != "linux", reason="these are there on Linux")
def test_linux_has_what_every_kernel_of_today_has():
    found = machine.capabilities()
    assert found.affinity
    assert found.pdeathsig
    assert found.memfd


# ------------------------------------------------------------------------------------------------------------ processes


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_and_cpu_of_a_process():
    block = bytearray(os.urandom(1)) * 40_000_000
    assert machine.resident_bytes(os.getpid()) > len(block)
    used = sum(os.times()[:2])
    assert machine.cpu_seconds(os.getpid()) == pytest.approx(used, abs=0.05)


def test_a_command_may_look_like_fields(tree: Tree):
    ticks = os.sysconf("SC_CLK_TCK")
    tree.write("proc/7/stat", f"7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 {ticks} {2 * ticks} 99 99 20")
    assert machine.cpu_seconds(7, tree.root) == 3.0


def test_a_process_that_is_not_there(tree: Tree):
    tree.write("proc/8/stat", "8 (a) S")
    tree.write("proc/8/statm", "")
    for pid in (7, 8):
        assert machine.resident_bytes(pid, tree.root) is None
        assert machine.cpu_seconds(pid, tree.root) is None


def test_importing_it_starts_nothing_and_brings_nothing_heavy(python: Callable[..., subprocess.CompletedProcess[str]]):
    found = python("""
        import sys
        import plait.machine
        print(sorted({"ctypes", "subprocess", "asyncio", "multiprocessing", "tempfile"} & set(sys.modules)))
    """)
    assert found.stdout == "[]\n", found.stderr
