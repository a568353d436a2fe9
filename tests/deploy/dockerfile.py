"""The Dockerfile, read: its stages and what each of them does."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DOCKERFILE", "Instruction", "Stage", "read_stages"]

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, on one line."""

    name: str
    text: str

    def words(self) -> list[str]:
        """Arguments: of the exec form, or as a shell splits them."""
        return list(json.loads(self.text)) if self.text.startswith("[") else shlex.split(self.text)

    def commands(self) -> list[str]:
        """The commands of a RUN that go one after the other."""
        return re.split(r"\s*&&\s*", self.text)


@dataclass(slots=True)
class Stage:
    """What begins with a FROM."""

    image: str
    name: str | None
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        """All instructions of a name."""
        return [each for each in self.instructions if each.name == name]

    def last(self, name: str) -> Instruction:
        """The one that counts where the last one does."""
        return self.all(name)[-1]

    def environment(self) -> dict[str, str]:
        """What ENV sets, each value as it is written."""
        return dict(word.split("=", 1) for each in self.all("ENV") for word in each.words())


def read_stages(file: Path = DOCKERFILE) -> list[Stage]:
    """In order; comments are left out, also those between continued lines, and what is continued is one line."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines():
        name, _, text = line.strip().partition(" ")
        if name == "FROM":
            image, *rest = text.split()
            stages.append(Stage(image, rest[1] if rest else None))
        elif name:
            stages[-1].instructions.append(Instruction(name, text.strip()))
    return stages
