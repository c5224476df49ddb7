"""Every document: its links lead somewhere, and it names no machine."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path
    for folder, pattern in ((ROOT, "*.md"), (ROOT / "docs", "**/*.md"), (ROOT / "benchmarks", "*.md"))
    for path in folder.glob(pattern)
)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
#: homes and build places of one machine; what a reader types is relative, or begins with ~ or $
_MACHINE = re.compile(r"(?<![\w.~$/-])/(?:work|root|tmp|home|Users|mnt|private|var/folders)(?:/|\b)|\b[A-Z]:\\")


def anchors(text: str) -> set[str]:
    """Headings as GitHub links to them."""
    titles = re.findall(r"^#+ (.*)$", _FENCE.sub("", text), re.MULTILINE)
    kept = ("".join(c for c in title.lower() if c in " -_" or unicodedata.category(c)[0] in "LN") for title in titles)
    return {title.strip().replace(" ", "-") for title in kept}


def test_there_are_documents() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in DOCUMENTS}
    assert {
        "README.md",
        "CHANGELOG.md",
        "docs/commands.md",
        "docs/hooks.md",
        "docs/replay.md",
        "docs/settings.md",
        "docs/writing-a-plugin.md",
    } <= names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_inside_the_project_leads_somewhere(document: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (document.parent / file).resolve() if file else document
        assert place.exists(), target
        assert place == ROOT or ROOT in place.parents, target
        if anchor:
            assert anchor in anchors(place.read_text(encoding="utf-8")), target


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, ROOT / "config.example.yaml"], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_no_document_names_a_place_on_somebodys_machine(document: Path) -> None:
    assert _MACHINE.findall(document.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("text", ["see /root/x", "`/tmp/ffe`", "C:\\Users\\me", "(/home/me/data)", "at /work"])
def test_a_place_on_a_machine_is_recognised(text: str) -> None:
    assert _MACHINE.search(text)


@pytest.mark.parametrize("text", ["docs/home/x", "~/tmp", "work/root", "and/or", "FFE_HOME/tmp"])
def test_other_paths_are_let_pass(text: str) -> None:
    assert not _MACHINE.search(text)


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(name[:3]) for name in names] == list(range(1, len(names) + 1))
    for name in names:
        text = (ROOT / "docs" / "decisions" / name).read_text(encoding="utf-8")
        assert text.startswith(f"# {int(name[:3])}. "), name
        assert all(part in text for part in ("**Context.**", "**Choice.**", "**Consequence.**")), name
