"""Third-party policies: the complete example of docs/policies.md works as printed, and mistakes get a clear answer."""

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from observer.errors import ConfigError
from observer.settings_load import load_settings
from policies import build_policies
from policies.base import ALLOW, Facts, Policy, Reject
from policies.chain import PolicyChain
from policies.extra import GROUP
from tests.unit.policies.options import ALL_OFF, DEFAULTS
from tests.unit.policies.submissions import make_submission

PAGE = Path(__file__).parents[3] / "docs" / "policies.md"
FACTS = Facts(now_ms=0)


def printed(language: str) -> list[str]:
    """The code blocks of this language in the section «Your own policy»."""
    section = PAGE.read_text(encoding="utf-8").split("\n## Your own policy\n")[1]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def install(folder: Path, module: str, code: str, points: dict[str, str]) -> None:
    """Put a distribution where an installer would: its module, and metadata with entry points beside it."""
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
    lines = [f"[{GROUP}]", *(f"{name} = {value}" for name, value in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages; modules imported from it are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.fixture
def example(packages: Path) -> Path:
    """The package that the page shows, installed."""
    [code] = printed("python")
    project = tomllib.loads(printed("toml")[0])["project"]
    install(packages, "my_words", code, project["entry-points"][GROUP])
    return packages


def only_extra(extra: dict[str, dict[str, str | int | float | bool]]) -> PolicyChain:
    return build_policies(replace(ALL_OFF, extra=extra))


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize("source", ["file", "environment"])
def test_the_example_of_the_page_judges_messages_when_configured_as_the_page_says(source: str, tmp_path: Path) -> None:
    if source == "file":
        file = tmp_path / "observer.toml"
        file.write_text(printed("toml")[1], encoding="utf-8")
        settings = load_settings(file, {})
    else:
        [variable] = re.findall(r'`(OBSERVER_\w+)="([^"]*)"`', PAGE.read_text(encoding="utf-8"))
        settings = load_settings(None, dict([variable]))
    chain = only_extra(settings.policies.extra)
    assert chain.names == ("words",)
    assert chain.on_submit(make_submission({"text": "good news"}), FACTS).verdict is ALLOW
    refused = chain.on_submit(make_submission({"text": "Buy SPAM now"}), FACTS)
    assert refused.policy == "words"
    assert isinstance(refused.verdict, Reject)
    assert refused.verdict.code == "forbidden_word"


def test_the_example_is_complete_in_under_thirty_lines() -> None:
    assert len(printed("python")[0].splitlines()) < 30


@pytest.mark.usefixtures("example")
def test_third_party_policies_stand_before_block_and_behind_the_others() -> None:
    names = build_policies(replace(DEFAULTS, extra={"words": {"words": "spam"}})).names
    assert names == ("shape", "rate_limit", "ban", "privacy", "words", "block")


@pytest.mark.usefixtures("example")
def test_an_unknown_name_is_refused_with_the_names_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"policies\.extra\.wrods: no installed package .* offered: words"):
        only_extra({"wrods": {"words": "spam"}})


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize(
    ("options", "said"), [({"wrods": "spam"}, "unexpected"), ({}, "missing"), ({"words": "a", "b": 1}, "unexpected")]
)
def test_options_that_the_policy_does_not_take_are_refused_with_those_it_takes(
    options: dict[str, str | int | float | bool], said: str
) -> None:
    with pytest.raises(ConfigError, match=rf"policies\.extra\.words: .*{said}.*; options of this policy: words"):
        only_extra({"words": options})


ODD = """
from policies.base import Policy

class Choosy(Policy):
    name = "choosy"
    def __init__(self, share: float) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}, which is not between 0 and 1")

class Second(Policy):
    name = "block"

class Nameless(Policy):
    pass

class Clumsy(Policy):
    name = "clumsy"
    def __init__(self, words: str) -> None:
        self.words = words.split()

class NoPolicy:
    name = "no_policy"

number = 3
"""


@pytest.fixture
def odd(packages: Path) -> Path:
    """A package whose entry points are all good for nothing, each in its own way."""
    points = {
        "choosy": "odd:Choosy",
        "clumsy": "odd:Clumsy",
        "second": "odd:Second",
        "nameless": "odd:Nameless",
        "no_policy": "odd:NoPolicy",
        "number": "odd:number",
        "no_such_thing": "odd:Missing",
        "no_such_module": "odd_missing:Policy",
    }
    install(packages, "odd", ODD, points)
    return packages


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("choosy", {"share": 2.0}, "share is 2.0, which is not between 0 and 1"),
        ("clumsy", {"words": 3}, "cannot work with these options: AttributeError"),
        ("nameless", {}, "does not make a policies.base.Policy with a name"),
        ("no_policy", {}, "does not make a policies.base.Policy with a name"),
        ("number", {}, "leads to int, which makes no policy"),
        ("no_such_thing", {}, "odd:Missing cannot be loaded"),
        ("no_such_module", {}, "odd_missing:Policy cannot be loaded"),
    ],
)
def test_a_package_that_makes_no_policy_of_these_options_is_refused_by_name(
    name: str, options: dict[str, str | int | float | bool], said: str
) -> None:
    with pytest.raises(ConfigError, match=rf"policies\.extra\.{name}: .*{re.escape(said)}"):
        only_extra({name: options})


@pytest.mark.usefixtures("odd")
def test_two_policies_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 policies call themselves 'block'"):
        build_policies(replace(DEFAULTS, extra={"second": {}}))


def test_without_extra_policies_no_installed_package_is_looked_at() -> None:
    assert only_extra({}).names == ()


def test_a_policy_without_stages_of_its_own_is_asked_nothing() -> None:
    chain = PolicyChain([Policy()])
    assert chain.on_submit(make_submission(), FACTS).verdict is ALLOW
