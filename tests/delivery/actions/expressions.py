"""The expressions of GitHub Actions, `${{ … }}`, as far as our workflows use them.

What is not known here is an error, never a guess: a workflow that begins to use more says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Contexts = Mapping[str, Any]

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+)|(?P<operator>\|\||&&|==|!=|[!(),])|(?P<name>[\w*.-]+))"
)
WORDS = {"true": True, "false": False, "null": None}
STATUS_FUNCTIONS = {"always", "cancelled", "failure", "success"}


def fill(text: Any, contexts: Contexts) -> Any:
    """The value with each `${{ … }}` replaced; one that is nothing else keeps its type."""
    if not isinstance(text, str):
        return text
    whole = re.fullmatch(r"\s*\$\{\{(.*)\}\}\s*", text, re.DOTALL)
    if whole and "${{" not in whole[1]:
        return evaluate(whole[1], contexts)
    return re.sub(
        r"\$\{\{(.*?)\}\}", lambda found: as_text(evaluate(found[1], contexts)), text, flags=re.DOTALL
    )


def condition(text: Any, contexts: Contexts) -> bool:
    """Whether an `if:` holds. One that asks for no status holds only where nothing failed before."""
    text = "success()" if text is None else str(text)
    bare = re.sub(r"^\s*\$\{\{(.*)\}\}\s*$", r"\1", text, flags=re.DOTALL)
    holds = bool(evaluate(bare, contexts))
    asks = any(re.search(rf"\b{name}\s*\(", bare) for name in STATUS_FUNCTIONS)
    return holds and (asks or bool(contexts["status"]["success"]))


def evaluate(text: str, contexts: Contexts) -> Any:
    parser = Parser(text, contexts)
    value = parser.either()
    parser.end()
    return value


def as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


class Parser:
    """Recursive descent, one method a level, the loosest first."""

    def __init__(self, text: str, contexts: Contexts) -> None:
        self.text, self.contexts, self.tokens = text, contexts, []
        position, end = 0, len(text.rstrip())
        while position < end:
            if not (found := TOKEN.match(text, position)):
                raise ValueError(f"cannot read {text[position:]!r} in the expression {text!r}")
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            position = found.end()

    def either(self) -> Any:
        value = self.both()
        while self.took("||"):
            other = self.both()
            value = value or other
        return value

    def both(self) -> Any:
        value = self.comparison()
        while self.took("&&"):
            other = self.comparison()
            value = value and other
        return value

    def comparison(self) -> Any:
        value = self.negation()
        if self.took("=="):
            return as_text(value) == as_text(self.negation())
        if self.took("!="):
            return as_text(value) != as_text(self.negation())
        return value

    def negation(self) -> Any:
        return not self.negation() if self.took("!") else self.primary()

    def primary(self) -> Any:
        if self.took("("):
            value = self.either()
            self.need(")")
            return value
        if not self.tokens:
            raise ValueError(f"the expression {self.text!r} ends too early")
        kind, text = self.tokens.pop(0)
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return int(text)
        if kind != "name":
            raise ValueError(f"{text!r} has no place in the expression {self.text!r}")
        if self.took("("):
            return self.call(text)
        return WORDS[text] if text in WORDS else self.look_up(text)

    def call(self, name: str) -> Any:
        arguments = []
        while not self.took(")"):
            arguments.append(self.either())
            self.took(",")
        if name in STATUS_FUNCTIONS:
            return name == "always" or bool(self.contexts["status"].get(name))
        if name == "toJSON":
            return json.dumps(arguments[0])
        raise ValueError(f"the function {name} is not known here")

    def look_up(self, path: str) -> Any:
        first, *rest = path.split(".")
        if first not in self.contexts:
            raise ValueError(f"there is no context {first!r}, in the expression {self.text!r}")
        value: Any = self.contexts[first]
        for position, part in enumerate(rest):
            if part == "*":
                return [follow(each, rest[position + 1 :]) for each in value.values()]
            value = follow(value, [part])
        return value

    def took(self, token: str) -> bool:
        if self.tokens and self.tokens[0] == ("operator", token):
            self.tokens.pop(0)
            return True
        return False

    def need(self, token: str) -> None:
        if not self.took(token):
            raise ValueError(f"{token!r} is missing in the expression {self.text!r}")

    def end(self) -> None:
        if self.tokens:
            raise ValueError(f"{self.tokens[0][1]!r} is too much in the expression {self.text!r}")


def follow(value: Any, path: list[str]) -> Any:
    """What is not there is nothing, as GitHub has it."""
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
