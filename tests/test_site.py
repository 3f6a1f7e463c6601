"""The pages of the site: their links, their lists, the navigation, and the checks of the built pages."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, ROOT, anchors, loaded, text_of

SITE = loaded(ROOT / "scripts/docs")
REPOSITORY = SITE.REPOSITORY

# --- the navigation


def test_every_page_is_in_the_navigation_once() -> None:
    """A new page needs a row in `nav` of mkdocs.yml."""
    assert Counter(SITE.in_navigation()) == Counter(SITE.PAGES.values())


def test_no_two_pages_have_the_same_place() -> None:
    """README.md and CHANGELOG.md do not replace a page of docs/."""
    assert len(set(SITE.PAGES.values())) == len(SITE.PAGES)


def test_the_address_of_the_repository_is_the_same_everywhere() -> None:
    """The package names the repository that the site links to, and the site."""
    addresses = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["urls"]
    assert addresses["Source"] == REPOSITORY
    assert addresses["Documentation"] == SITE.CONFIGURATION["site_url"]


# --- links


@pytest.mark.parametrize(
    ("page", "target", "address"),
    [
        ("README.md", "docs/settings.md", "settings.md"),
        ("README.md", "docs/settings.md#all", "settings.md#all"),
        ("README.md", "docs/images/watch.svg", "images/watch.svg"),
        ("README.md", "CHANGELOG.md", "changelog.md"),
        ("README.md", "docs", f"{REPOSITORY}/tree/main/docs"),
        ("README.md", "LICENSE", f"{REPOSITORY}/blob/main/LICENSE"),
        ("docs/contributing.md", "architecture.md#layers", "architecture.md#layers"),
        ("docs/contributing.md", "#set-up", "#set-up"),
        ("docs/contributing.md", "../README.md", "index.md"),
        ("docs/contributing.md", "../README.md#what-you-get", "index.md#what-you-get"),
        ("docs/contributing.md", "../CHANGELOG.md", "changelog.md"),
        ("docs/contributing.md", "../Makefile", f"{REPOSITORY}/blob/main/Makefile"),
        ("docs/contributing.md", "../tests/test_house.py#L20", f"{REPOSITORY}/blob/main/tests/test_house.py#L20"),
        ("docs/contributing.md", "../examples/node-red/", f"{REPOSITORY}/tree/main/examples/node-red"),
        ("docs/contributing.md", "https://syncthing.net", "https://syncthing.net"),
        (
            "docs/contributing.md",
            "https://docs.syncthing.net/dev/rest.html#x",
            "https://docs.syncthing.net/dev/rest.html#x",
        ),
    ],
)
def test_a_link_leads_to_the_site_or_to_the_repository(page: str, target: str, address: str) -> None:
    """A target that is on the site is linked there, and any other file in the repository."""
    assert SITE.address(target, page) == address


@pytest.mark.parametrize(
    ("page", "target", "reason"),
    [
        ("README.md", "docs/nothing.md", "does not exist"),
        ("README.md", "settings.md", "does not exist"),
        ("docs/settings.md", "README.md", "does not exist"),
        ("docs/settings.md", "/docs/settings.md", "does not exist"),
        ("docs/settings.md", "../../elsewhere.md", "does not exist"),
        ("docs/settings.md", "http://syncthing.net", "is not an https address"),
        ("docs/settings.md", "https://syncthing", "is not an https address"),
        ("docs/settings.md", "file:///etc/hosts", "is not an https address"),
    ],
)
def test_a_link_without_a_target_is_named(page: str, target: str, reason: str) -> None:
    """The message names the page and the target."""
    with pytest.raises(SITE.Failure, match=f"^{page}: {target} {reason}"):
        SITE.address(target, page)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See [all](docs/settings.md).", "See [all](settings.md)."),
        ("[`mqtt.host`](docs/settings.md)", "[`mqtt.host`](settings.md)"),
        ("[a](docs/settings.md), [b](docs/access.md)", "[a](settings.md), [b](access.md)"),
        ("![View](docs/images/watch.svg)", "![View](images/watch.svg)"),
        ("[![View](docs/images/watch.svg)](docs/access.md)", "[![View](images/watch.svg)](access.md)"),
        ('[a](docs/settings.md "Title")', '[a](settings.md "Title")'),
        ("[all]: docs/settings.md", "[all]: settings.md"),
        ('<img src="docs/images/watch.svg">', '<img src="images/watch.svg">'),
        ("`[a](docs/nothing.md)`", "`[a](docs/nothing.md)`"),
        ("``[`a`](docs/nothing.md)``", "``[`a`](docs/nothing.md)``"),
        ("a ` and\n\n[b](docs/access.md) `", "a ` and\n\n[b](access.md) `"),
        ("```\n[a](docs/nothing.md)\n```\n[b](docs/access.md)", "```\n[a](docs/nothing.md)\n```\n[b](access.md)"),
        ("1. a\n\n   ~~~\n   [a](x.md)\n   ~~~\n", "1. a\n\n   ~~~\n   [a](x.md)\n   ~~~\n"),
        ("<!-- [a](docs/nothing.md) -->", "<!-- [a](docs/nothing.md) -->"),
    ],
)
def test_only_the_targets_of_links_are_changed(text: str, expected: str) -> None:
    """All forms of links are changed; code and comments are not."""
    assert SITE.linked(text, "README.md") == expected


# --- blocks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. a\n   b\n\n   c\n2. d", "1. a\n    b\n\n    c\n\n2. d"),
        ("- a\n\n  b\n\n- c", "- a\n\n    b\n\n- c"),
        ("- a\n  - b\n    c\n- d", "- a\n    - b\n        c\n- d"),
        ("- a:\n\n  b:\n  - c\n- d", "- a:\n\n    b:\n\n    - c\n\n- d"),
        ("1. a\n\n   ```\n   - b\n     c\n   ```\n\n2. d", "1. a\n\n    ```\n    - b\n      c\n    ```\n\n\n2. d"),
        ("1. a\n   ```\n   b\n   ```\n2. c", "1. a\n\n    ```\n    b\n    ```\n\n2. c"),
        ("1. a\n   | b |\n   |---|\n   | c |", "1. a\n\n    | b |\n    |---|\n    | c |"),
        ("- a\n\nb", "- a\n\nb"),
        ("a:\n- b\n- c", "a:\n\n- b\n- c"),
        ("## a\n- b\n- c", "## a\n\n- b\n- c"),
        ("```\n- a\n  b\n\n| c |\n```", "```\n- a\n  b\n\n| c |\n```\n"),
        ("| a |\n|---|\n| - b |", "| a |\n|---|\n| - b |"),
    ],
)
def test_python_markdown_finds_the_blocks_of_github(text: str, expected: str) -> None:
    """The content of list items has four spaces, and an empty line comes before lists, tables and code."""
    assert SITE.spaced(text) == expected + "\n"


# --- the built pages


PAGE = "# A page\n- one\n- `a|b`\n\n> [!NOTE]\n> Two.\n"
NOTE = '\n<div class="admonition note">\n<p class="admonition-title">Note</p>\n<p>Two.</p>\n</div>'


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (f'<h1 id="a-page">A page<a href="#a-page">¶</a></h1><ul><li>one</li><li><code>a|b</code></li></ul>{NOTE}', ""),
        (
            f'<h1 id="a-page">A page</h1>\n<p>- one - <code>a|b</code></p>{NOTE}',
            "GitHub shows <ul>, and the site -, after: <h1> A page",
        ),
        (
            f'<h1 id="a-page">A page</h1><ul><li>one</li><li><code>a\\|b</code></li></ul>{NOTE}',
            "GitHub shows a|b, and the site a\\|b, after: <h1> A page <ul> <li> one <li> <code>",
        ),
        (
            '<h1 id="a-page">A page</h1><ul><li>one</li><li><code>a|b</code></li></ul>',
            "GitHub shows Note, and the site nothing, after: A page <ul> <li> one <li> <code> a|b",
        ),
        (
            f'<h1 id="a_page">A page</h1><ul><li>one</li><li><code>a|b</code></li></ul>{NOTE}',
            "an anchor is #a-page on GitHub, and #a_page on the site",
        ),
    ],
)
def test_a_difference_from_github_is_found(html: str, expected: str) -> None:
    """A list that the generator has taken for text, other text and another anchor are reported."""
    assert SITE.difference(PAGE, html) == expected


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_anchors_are_those_of_the_other_tests(document: Path) -> None:
    """The tests of links and the checks of the site expect the same anchors of GitHub."""
    assert anchors(document) <= set(SITE.github_anchors(text_of(document)))


def test_the_anchors_of_equal_headings_differ() -> None:
    """GitHub appends a number."""
    assert list(SITE.github_anchors("# A `b_c` & d\n\n## One\n\n## One\n")) == ["a-b_c--d", "one", "one-1"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<html><script src="https://cdn.example/a.js"></script>', ["https://cdn.example/a.js"]),
        ('<html><script src="assets/a.js"></script>', []),
        ('<html><link rel="stylesheet" href="//fonts.example/css">', ["//fonts.example/css"]),
        ('<html><link rel="preconnect" href="https://fonts.example">', ["https://fonts.example"]),
        ('<html><link rel="canonical" href="https://docs.example/">', []),
        ('<html><a href="https://syncthing.net">Syncthing</a>', []),
        ('<html><img src="https://badges.example/a.svg">', ["https://badges.example/a.svg"]),
        ('<html><source srcset="https://badges.example/a.svg">', ["https://badges.example/a.svg"]),
        ("<html><style>@import 'https://fonts.example/css'</style>", ["https://fonts.example/css"]),
        ("<html><code>url(https://nas.example)</code>", []),
        ("@font-face { src: url('https://fonts.example/a.woff2') }", ["https://fonts.example/a.woff2"]),
        ("a { background: url(\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'>\") }", []),
        (
            '<svg xmlns="http://www.w3.org/2000/svg"><image href="https://a.example/b.png"/></svg>',
            ["https://a.example/b.png"],
        ),
    ],
)
def test_what_a_page_loads_from_other_servers_is_found(text: str, found: list[str]) -> None:
    """Scripts, styles, fonts and images are found; links and addresses in text are not."""
    assert SITE.outside(text) == found
