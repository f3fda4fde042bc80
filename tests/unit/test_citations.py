"""Who cites a section of a page finds it: in comments and docstrings, and from one page in another.

A comment cites as `docs/facts.md, "Scopes"`; a page as `[facts.md](facts.md), "Scopes"`, or by a link with an anchor.
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("observer", "policies", "tests") for path in (ROOT / folder).rglob("*.py")]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    ROOT / "docs/examples/README.md",
    ROOT / "rabbitmq/README.md",
]

QUOTED = r'`?,?\s+\(?("[^"]+"(?:(?:,| and)\s+"[^"]+")*)'
FROM_SOURCE = re.compile(r"\b((?:docs/[\w-]+|rabbitmq/README|CONTRIBUTING)\.md)" + QUOTED)
FROM_A_PAGE = re.compile(r"\]\(([\w./-]+\.md)\)" + QUOTED)
ANCHOR = re.compile(r"\]\(([\w./-]*)#([\w-]+)\)")
OLD_WAYS = re.compile(r"rabbitmq[-]facts|\bfacts,? \d|\bcontract,? (?:section )?\d|Chat21[ ]contract", re.IGNORECASE)


def headings(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ (.+)$", text, re.MULTILINE)


def titles(page: Path) -> set[str]:
    """The headings as one names them: without the date of a decision."""
    return {re.sub(r"^\d{4}-\d\d-\d\d: ", "", heading) for heading in headings(page)}


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings in its addresses."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def cited(path: Path, pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for page, quoted in pattern.findall(path.read_text(encoding="utf-8")):
        for title in re.findall(r'"([^"]+)"', quoted):
            yield page, " ".join(title.split())


def where(path: Path, page: str, title: str) -> str:
    return f"{path.relative_to(ROOT)}: {page}, {title}"


def test_a_section_that_is_cited_by_the_path_of_its_page_is_there() -> None:
    found = [(path, page, title) for path in (*SOURCES, *PAGES) for page, title in cited(path, FROM_SOURCE)]
    assert len(found) > 50, "the citations are gone, or are spelt in another way"
    assert [where(path, page, title) for path, page, title in found if title not in titles(ROOT / page)] == []


def test_a_section_that_a_page_names_behind_a_link_is_there() -> None:
    found = [(path, page, title) for path in PAGES for page, title in cited(path, FROM_A_PAGE)]
    dead = [where(path, page, title) for path, page, title in found if title not in titles(path.parent / page)]
    assert found
    assert dead == []


def test_an_anchor_that_a_page_links_to_is_there() -> None:
    links = [(path, *link) for path in PAGES for link in ANCHOR.findall(path.read_text(encoding="utf-8"))]
    dead = [
        where(path, page, anchor)
        for path, page, anchor in links
        if anchor not in anchors(path.parent / page if page else path)
    ]
    assert links
    assert dead == []


def test_nobody_cites_papers_that_are_not_in_the_repository() -> None:
    old = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in (*SOURCES, *PAGES)
        for text in OLD_WAYS.findall(path.read_text(encoding="utf-8"))
    ]
    assert old == []
