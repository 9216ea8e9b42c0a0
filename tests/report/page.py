"""Reads a report back, as a browser without scripts would."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input", "rect", "path", "base", "embed", "source", "area"}


class Page(HTMLParser):
    """Tags with attributes, texts of scripts and styles, and the cells of every table by ``data-arm`` and key."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self.words: list[str] = []
        self.cells: dict[tuple[str, str], dict[str, str]] = {}
        """By arm and column, per table: the value, the text and the note, as shown."""
        self.roles: dict[str, list[str]] = {}
        self._open: list[tuple[str, dict[str, str]]] = []
        self._arm = ""
        self._table = -1
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if tag == "table" and "comparison" in found.get("class", ""):
            self._table += 1
        if tag == "tr":
            self._arm = found.get("data-arm", "")
        if tag == "td" and self._arm:
            self.cells[f"{self._table}:{self._arm}", found["data-key"]] = {"value": found["data-value"]}
        if "data-role" in found:
            self.roles.setdefault(found["data-role"], []).append("")
        if tag not in VOID:
            self._open.append((tag, found))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        tag = self._open[-1][0] if self._open else ""
        if tag in self.inline:
            self.inline[tag].append(data)
            return
        self.words.append(data)
        for _, attributes in self._open:
            if "data-role" in attributes:
                self.roles[attributes["data-role"]][-1] += data
        cell = next((facts for name, facts in self._open if name == "td" and "data-key" in facts), None)
        if cell and self._arm and data.strip():
            kind = "note" if tag == "small" else "text"
            self.cells[f"{self._table}:{self._arm}", cell["data-key"]][kind] = data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def cell(self, arm: str, key: str, table: int = 0) -> dict[str, str]:
        return self.cells[f"{table}:{arm}", key]
