"""Pages as a real HTML parser reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from prober.model import Outcome, Stage
from tests.outlets.client import client
from tests.outlets.fleet import (
    FakeService,
    alert,
    certificate,
    default_certificate,
    differential,
    ending,
    reset,
    target,
)

__all__ = ["Element", "Page", "fleet", "page", "rows"]

VOID = {"meta", "link", "input", "br", "wbr", "col", "img"}


@dataclass
class Element:
    """One element with what is in it."""

    name: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text within, white space folded."""
        parts = [child if isinstance(child, str) else child.text for child in self.children]
        return " ".join("".join(parts).split()) if self.name not in {"script", "style"} else ""

    def all(self, tag: str, /, **attributes: str) -> list[Element]:
        """Elements within, by name and attributes (``class_`` is one of several)."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if (not tag or child.name == tag) and all(child.has(key, value) for key, value in attributes.items()):
                    found.append(child)
                found += child.all(tag, **attributes)
        return found

    def has(self, key: str, value: str) -> bool:
        """Whether an attribute has the value."""
        actual = self.attributes.get(key.rstrip("_"), "")
        return value in actual.split() if key == "class_" else actual == value


class Page(HTMLParser):
    """A page as a tree; elements that are not closed in order are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(text)
        assert [element.name for element in self._open] == [""]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Into the tree."""
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As in SVG."""
        self._open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Must be the one that is open."""
        assert self._open.pop().name == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        """Text."""
        self._open[-1].children.append(data)


async def page(service: FakeService, path: str = "/", status: int = 200) -> Element:
    """The tree of one page."""
    async with client(service) as http:
        answer = await http.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Page(answer.text).root


def rows(tree: Element) -> list[Element]:
    """One table body an endpoint."""
    return tree.all("tbody")


def fleet() -> FakeService:
    """Fine, resetting, wrong default, rejecting on purpose, not judged."""
    service = FakeService()
    for name, ip, none, policy in (
        ("fine", "192.0.2.1", certificate(), "certificate"),
        ("unsure", "192.0.2.2", ending(Outcome.LOCAL_ERROR, Stage.CONNECT, errno="EMFILE"), "certificate"),
        ("strict", "192.0.2.3", alert(), "rejected"),
        ("resets", "192.0.2.4", reset(), "certificate"),
        ("fake", "192.0.2.5", certificate(default_certificate().ders), "certificate"),
    ):
        of = target(name, ip, policy=policy, environment="prod")
        service.see(of, differential(of, none=none))
    return service
