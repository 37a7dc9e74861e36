"""Hooks of the documentation site: pages from outside docs/, links to sources, local scripts.

mkdocs loads this file as a hook (mkdocs.yml). The site must work without a network, so the two
scripts that the theme would load from a public server come from pinned npm packages instead.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
# file in the project -> page of the site
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
SCRIPTS = {
    "javascripts/mermaid.js": "node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js",
    "javascripts/iframe-worker.js": "node_modules/iframe-worker/shim/index.js",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_RENDERER = re.compile(r"<script src=\"[^\"]*javascripts/mermaid\.js\"></script>\s*")
# what the theme would load from a public server if a browser lacked it -> what it loads instead
_FALLBACKS = (
    (re.compile(r"https://unpkg\.com/mermaid@[^\"']*"), "javascripts/mermaid.js"),
    (re.compile(r"https://unpkg\.com/resize-observer-polyfill"), "data:text/javascript,"),
)


def outside_pages(root: Path) -> dict[str, str]:
    """Return the pages that stand outside docs/: path in the project -> path in the site."""
    folders = {
        "products": root / "orchestrator" / "products",
        "protocols": root / "device_adapters" / "protocols",
    }
    pages = {
        path.relative_to(root).as_posix(): f"{section}/{path.parent.name}.md"
        for section, folder in folders.items()
        for path in sorted(folder.glob("*/README.md"))
    }
    return {**OUTSIDE, **pages}


def on_config(config: Any) -> Any:
    """List products, protocols and decisions in the navigation, so that none needs an entry."""
    decisions = [f"adr/{path.name}" for path in sorted((ROOT / "docs" / "adr").glob("0*.md"))]
    outside = list(outside_pages(ROOT).values())
    products, protocols = (
        [page for page in outside if page.startswith(section)]
        for section in ("products/", "protocols/")
    )
    lists = {
        "Products": products,
        "Protocols": ["protocols.md", *protocols],
        "Decisions": ["adr/README.md", *decisions],
    }
    config.nav = [
        {title: lists.get(title, pages) for title, pages in section.items()}
        for section in config.nav
    ]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand outside docs/ and the scripts that npm installed."""
    for source, page in outside_pages(ROOT).items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    for target, package in SCRIPTS.items():
        if not (ROOT / package).is_file():
            raise PluginError(f"{package} is missing. Run `make setup-dev`, then build again.")
        files.append(File.generated(config, target, abs_src_path=str(ROOT / package)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links between project files at pages of the site.

    Links to sources become plain text: the site holds no sources.
    """
    parts = _FENCE.split(markdown)  # code blocks stand at odd places and stay as they are
    parts[::2] = [rewrite_links(part, page.file.src_uri) for part in parts[::2]]
    return "".join(parts)


def rewrite_links(markdown: str, page: str, root: Path = ROOT) -> str:
    """Return the text with the links of one page changed for the site.

    Args:
        markdown: text without code blocks.
        page: the page's path in the site.
        root: the project's folder.

    Raises:
        PluginError: a link points to a file that does not exist.
    """
    pages = outside_pages(root)
    sources = {target: source for source, target in pages.items()}
    folder = posixpath.dirname(sources.get(page, f"docs/{page}"))

    def rewritten(match: re.Match[str]) -> str:
        mark, text, target, anchor = match.groups()
        if not target or "://" in target or target.startswith("mailto:"):
            return match.group()
        path = posixpath.normpath(posixpath.join(folder, target))
        if (root / path / "README.md").is_file():
            path += "/README.md"
        if not (root / path).exists():
            raise PluginError(f"{page} links to {target}, and there is no file {path}.")
        where = pages.get(path) or (path[5:] if path.startswith("docs/") else None)
        if where is None:
            return text
        link = posixpath.relpath(where, posixpath.dirname(page) or ".")
        return f"{mark}[{text}]({link}{anchor or ''})"

    return _LINK.sub(rewritten, markdown)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Leave the renderer of diagrams (2.5 MB) out of pages without a diagram."""
    return output if 'class="mermaid"' in output else _RENDERER.sub("", output)


def on_post_build(config: Any) -> None:
    """Remove every address of a public server from the theme's scripts."""
    for bundle in Path(config.site_dir).glob("assets/javascripts/bundle*.js"):
        text = bundle.read_text()
        for address, local in _FALLBACKS:
            text = address.sub(local, text)
        bundle.write_text(text)
    for source_map in Path(config.site_dir).rglob("*.map"):
        source_map.unlink()  # nobody debugs the theme here, and they name outside addresses
