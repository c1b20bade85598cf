"""`Registry`: names to things, and what installed packages add to it."""

import importlib.metadata
import sys
import threading

import pytest

from plait.errors import OptionError, UnknownOption
from plait.placement import Placement
from plait.registry import Registry

GROUP = "plait.test_things"


@pytest.fixture
def registry() -> Registry[object]:
    return Registry("thing", group=GROUP)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package as pip would leave it: a module and a `.dist-info` in a folder on `sys.path`."""

    def install(name: str, source: str, entry_points: str) -> None:
        site = tmp_path / "site"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install


def test_what_was_registered_is_found(registry):
    thing = object()
    registry.register("one", thing)
    assert registry.get("one") is thing


def test_names_are_sorted(registry):
    registry.register("two", 2)
    registry.register("one", 1)
    assert registry.names() == ["one", "two"]


def test_a_taken_name_needs_replace(registry):
    registry.register("one", 1)
    with pytest.raises(OptionError, match="registered already; pass replace=True"):
        registry.register("one", 2)
    assert registry.get("one") == 1
    registry.register("one", 2, replace=True)
    assert registry.get("one") == 2


def test_a_path_is_imported_when_first_asked_for(registry, install):
    install("lazily_made", "thing = object()", "")
    registry.register("lazy", "lazily_made:thing")
    assert "lazily_made" not in sys.modules
    thing = registry.get("lazy")
    assert thing is sys.modules["lazily_made"].thing
    assert registry.get("lazy") is thing


@pytest.mark.parametrize("name", ["thread", 5, None, ["threads"]])
def test_an_unknown_name_lists_the_known(registry, name):
    registry.register("threads", 1)
    registry.register("serial", 2)
    with pytest.raises(UnknownOption, match=r"There is no thing .* Known: serial, threads\.") as caught:
        registry.get(name)
    assert ("Did you mean 'threads'?" in str(caught.value)) == (name in ("thread", ["threads"]))


def test_installed_packages_add_names(registry, install):
    install("third_party", "thing = ['theirs']", f"[{GROUP}]\ntheirs = third_party:thing\n")
    registry.register("ours", "ours is not imported:until asked for")
    assert registry.names() == ["ours", "theirs"]
    assert "third_party" not in sys.modules
    assert registry.get("theirs") == ["theirs"]


def test_an_installed_package_does_not_replace_what_is_there(registry, install):
    install("rude_party", "thing = 'theirs'", f"[{GROUP}]\none = rude_party:thing\n")
    registry.register("one", 1)
    registry.names()
    assert registry.get("one") == 1


def test_a_known_name_does_not_look_at_installed_packages(registry, monkeypatch):
    registry.register("one", 1)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: pytest.fail("looked"))
    assert registry.get("one") == 1


def test_an_installed_package_adds_a_model(install, python):
    install(
        "odd_models",
        "from plait.placement import Placement\npair = lambda: Placement('processes', 'serial', workers=2, width=1)",
        "[plait.models]\npair = odd_models:pair\n",
    )
    ran = python(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        from plait.placement import placement_for
        print(placement_for("pair"))
        """,
        sys.path[0],
    )
    assert ran.stdout.strip() == repr(Placement("processes", "serial", workers=2, width=1)), ran.stderr


def test_a_thread_that_asks_while_another_looks_waits_for_what_it_finds(registry, install, monkeypatch):
    install("asked_at_once", "thing = ['found']", f"[{GROUP}]\nthing = asked_at_once:thing\n")
    looking, look_on, found = threading.Event(), threading.Event(), []
    real = importlib.metadata.entry_points

    def slow(**group):
        looking.set()
        look_on.wait()
        return real(**group)

    def ask():
        try:
            found.append(registry.get("thing"))
        except UnknownOption as error:
            found.append(error)

    monkeypatch.setattr("importlib.metadata.entry_points", slow)
    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    looking.wait()
    second.start()
    second.join(0.1)  # one that does not wait has its wrong answer by now
    look_on.set()
    first.join()
    second.join()
    assert found == [["found"], ["found"]]
