"""The maps in docs/ are complete and true: files and promised tests cannot be added, moved or removed without them."""

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def source_files() -> set[str]:
    """Every Python file that holds something."""
    found = (path for folder in ("observer", "policies") for path in (ROOT / folder).rglob("*.py"))
    return {str(path.relative_to(ROOT)) for path in found if path.read_text(encoding="utf-8").strip()}


def tour() -> list[tuple[str, str]]:
    """The lines of docs/files.md: a file, and what is said of it."""
    page = (ROOT / "docs/files.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| `((?:observer|policies)/[\w/]+\.py)` \| (.+) \|$", page, re.MULTILINE)
    return [(name, text.replace("\\|", "|")) for name, text in lines]


def test_every_file_is_in_the_tour() -> None:
    assert sorted(source_files() - {name for name, _ in tour()}) == [], "add a line to docs/files.md"


def test_the_tour_names_nothing_that_is_gone() -> None:
    assert sorted({name for name, _ in tour()} - source_files()) == [], "take the line out of docs/files.md"


def test_no_file_is_in_the_tour_twice() -> None:
    assert [name for name, count in Counter(name for name, _ in tour()).items() if count > 1] == []


def test_the_tour_says_of_a_file_what_the_file_says_of_itself() -> None:
    """The first words of its docstring; so the page cannot tell of a job that the file no longer has."""
    docstrings = {name: ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8"))) for name, _ in tour()}
    own = {name: " ".join((text or "").split()) for name, text in docstrings.items()}
    assert {name: own[name] for name, text in tour() if not own[name].startswith(text)} == {}, "mend docs/files.md"


def test_every_part_has_its_place_in_the_import_rules() -> None:
    """A part that no layer names may import anything."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = pyproject["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = set(re.findall(r"[\w.]+", " ".join(layers)))
    parts = {".".join(Path(name).with_suffix("").parts[:2]) for name in source_files() if name.startswith("observer/")}
    assert sorted(parts - placed - {"observer.__init__"}) == []


def test_no_file_is_longer_than_one_can_read_at_once() -> None:
    """If one grows beyond, split it by what it is about."""
    lengths = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in source_files()}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def test_every_page_of_the_docs_can_be_reached_from_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((\w+)\.md\)", index))
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert sorted(pages - linked) == [], "add it to docs/index.md"


def test_no_link_leads_nowhere() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in (
            *ROOT.glob("*.md"),
            *ROOT.glob("docs/*.md"),
            *ROOT.glob("docs/examples/*.md"),
            ROOT / "rabbitmq/README.md",
        )
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert dead == []


def test_every_page_that_the_source_refers_to_is_there() -> None:
    named = {
        page
        for name in source_files() | {"rabbitmq/rabbitmq.conf", "README.md"}
        for page in re.findall(r"docs/[\w-]+\.md", (ROOT / name).read_text(encoding="utf-8"))
    }
    assert sorted(page for page in named if not (ROOT / page).exists()) == []


def defenders(promise: str) -> list[tuple[str, bool]]:
    """The files of tests that a promise names, and below each its tests; and whether they are there, in that file."""
    found = []
    suite = ""
    for name in re.findall(r"^ *- `([\w./]+)`", promise.partition("Tests that defend it:\n")[2], re.MULTILINE):
        if name.endswith(".py"):
            suite = (ROOT / name).read_text(encoding="utf-8") if (ROOT / name).exists() else ""
        found.append((name, bool(suite) if name.endswith(".py") else f"def {name}(" in suite))
    return found


def test_every_test_that_defends_a_promise_is_there() -> None:
    """A promise whose test was renamed or taken away would stand there undefended."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    promises = page.partition("## What is promised")[2].partition("### What is not promised")[0].split("\n### ")[1:]
    assert len(promises) == 8
    for promise in promises:
        assert [name for name, is_there in defenders(promise) if not is_there] == []
        assert defenders(promise), f"nothing defends: {promise.splitlines()[0]}"


def test_every_file_that_the_architecture_names_is_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:observer|policies|rabbitmq|tests)/[\w./]*)`", page)
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_prose_in_the_docs_has_one_sentence_a_line() -> None:
    """A change of one sentence is then a change of one line."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    prose = [line for line in page.splitlines() if line and line[0].isalpha()]
    assert [line for line in prose if re.search(r"[a-z`)][.!?] [A-Z]", line)] == []
