"""The documentation site is built from scratch, and no page of it loads anything from outside."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# attributes that make a browser load something; a plain <a href> loads nothing
LOADS = {
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "use": ("href", "xlink:href"),
}
# a canonical or alternate link names an address and loads nothing
LOADING_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect"}
OUTSIDE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
CSS_LOAD = re.compile(r"@import\s+[\"']([^\"']+)|url\(\s*[\"']?([^\"')]+)", re.IGNORECASE)
# addresses in scripts that a browser would load code, styles or fonts from
CDN = re.compile(
    r"https?://[^\"'`\s)]*(?:unpkg\.com|jsdelivr|cdnjs|esm\.sh|skypack|googleapis|gstatic)"
    r"[^\"'`\s)]*"
)
IMPORTED = re.compile(r"(?:importScripts|import)\(\s*[\"'`](https?://[^\"'`]+)")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("material") is None,
    reason="the packages for development are not installed: make setup-dev",
)


class Loads(HTMLParser):
    """Collects what a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.styles: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.styles.append(values.get("style", ""))
        if tag == "link" and not LOADING_LINKS & set(values.get("rel", "").split()):
            return
        for name in LOADS.get(tag, ()):
            for part in values.get(name, "").split(","):
                self.addresses.append(part.strip().split(" ")[0])

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.styles.append(data)


def outside_loads(page: Path) -> list[str]:
    """Return the outside addresses that an HTML page, a style sheet or a script loads."""
    text = page.read_text(errors="replace")
    if page.suffix == ".js":
        return [*CDN.findall(text), *IMPORTED.findall(text)]
    addresses: list[str] = []
    styles = [text] if page.suffix == ".css" else []
    if page.suffix == ".html":
        parser = Loads()
        parser.feed(text)
        addresses, styles = parser.addresses, parser.styles
    for style in styles:
        addresses += [first or second for first, second in CSS_LOAD.findall(style)]
    return [address for address in addresses if OUTSIDE.match(address)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a site that was built just now."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_site__every_page_style_and_script__loads_nothing_from_outside(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css", ".js")]
    assert sum(path.suffix == ".html" for path in files) > 20
    loads = {path.relative_to(site).as_posix(): outside_loads(path) for path in files}
    assert {name: addresses for name, addresses in loads.items() if addresses} == {}


def test_site__its_own_scripts__are_there_and_the_diagrams_have_their_renderer(site: Path) -> None:
    page = (site / "ARCHITECTURE.html").read_text()
    assert 'class="mermaid"' in page and 'src="javascripts/mermaid.js"' in page
    assert "javascripts/mermaid.js" not in (site / "SECURITY.html").read_text()
    for script in ("javascripts/mermaid.js", "javascripts/iframe-worker.js"):
        assert (site / script).stat().st_size > 500


def test_site__every_local_file_that_a_page_loads__exists(site: Path) -> None:
    missing = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its addresses start at the root of a server
            continue
        parser = Loads()
        parser.feed(page.read_text())
        for address in parser.addresses:
            path = address.split("#")[0].split("?")[0]
            if path and not path.startswith("data:") and not (page.parent / path).exists():
                missing.append(f"{page.relative_to(site)}: {address}")
    assert missing == []


@pytest.mark.parametrize(
    ("name", "text", "address"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>', "https://cdn.example/x.js"),
        ("a.html", '<link rel="stylesheet" href="//cdn.example/x.css">', "//cdn.example/x.css"),
        ("a.html", '<img src="http://cdn.example/x.png">', "http://cdn.example/x.png"),
        ("a.html", "<style>@import 'https://f.example/c';</style>", "https://f.example/c"),
        ("a.css", "@font-face{src:url(https://f.example/f.woff2)}", "https://f.example/f.woff2"),
        ("a.js", 'load("https://unpkg.com/mermaid@11/x.js")', "https://unpkg.com/mermaid@11/x.js"),
        ("a.js", 'importScripts("https://w.example/w.js")', "https://w.example/w.js"),
    ],
)
def test_outside_loads__a_page_that_loads_from_a_network__is_seen(
    tmp_path: Path, name: str, text: str, address: str
) -> None:
    page = tmp_path / name
    page.write_text(text)
    assert outside_loads(page) == [address]


def test_outside_loads__a_plain_link_to_a_web_page__loads_nothing(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text(
        '<a href="https://example.org">x</a><link rel="canonical" href="https://e.org">'
    )
    assert outside_loads(page) == []
