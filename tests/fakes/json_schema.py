"""Judge of a value by a JSON Schema of the few keywords that our documents use; any other keyword is an error.

It is written here because a validator that skips what it does not know would call every reply right. Schemas become
closures once, so that a test may stream thousands of books through it.
"""

import re
from collections.abc import Callable
from typing import Any

__all__ = ["Mismatch", "Schemas"]

Json = dict[str, Any]
Check = Callable[[Any], None]
_NOTES = frozenset({"title", "description", "format", "discriminator", "summary"})
_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}


class Mismatch(AssertionError):
    """A value that its schema does not allow; the text names the place from the inside out."""


class Schemas:
    """Schemas of one document, with its references."""

    def __init__(self, document: Json) -> None:
        """`$ref`s point into `document`."""
        self._document = document
        self._known: dict[str, Check] = {}

    def target(self, reference: str) -> Json:
        """What a `$ref` points at."""
        place: Any = self._document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        return place

    def check(self, value: Any, schema: Json) -> None:
        """Raise Mismatch unless `value` is what `schema` says; ValueError for a keyword nobody implemented."""
        self.judge(schema)(value)

    def fits(self, value: Any, schema: Json) -> bool:
        """Whether `check` passes."""
        try:
            self.check(value, schema)
        except Mismatch:
            return False
        return True

    def judge(self, schema: Json) -> Check:
        """One function for all keywords of `schema`."""
        checks = [
            self._keyword(name, argument, schema)
            for name, argument in schema.items()
            if name not in _NOTES and not name.startswith("x-")
        ]
        if len(checks) == 1:
            return checks[0]

        def run(value: Any) -> None:
            for check in checks:
                check(value)

        return run

    def _keyword(self, name: str, argument: Any, schema: Json) -> Check:
        makers: dict[str, Callable[[Any, Json], Check]] = {
            "$ref": lambda reference, _: self._reference(reference),
            "type": lambda names, _: _type([names] if isinstance(names, str) else names),
            "const": lambda const, _: _enum([const]),
            "enum": lambda names, _: _enum(names),
            "anyOf": lambda options, _: self._options(options, len(options)),
            "oneOf": lambda options, _: self._options(options, 1),
            "properties": lambda properties, _: self._properties(properties),
            "required": lambda names, _: _required(names),
            "additionalProperties": self._additional,
            "items": self._items,
            "prefixItems": lambda schemas, _: self._prefix(schemas),
            "minItems": lambda size, _: _where(list, lambda value: len(value) >= size, f"fewer than {size} items"),
            "maxItems": lambda size, _: _where(list, lambda value: len(value) <= size, f"more than {size} items"),
            "pattern": lambda text, _: _where(str, lambda value: re.search(text, value), f"does not fit {text}"),
        }
        if name not in makers:
            raise ValueError(f"no check for {name}")
        return makers[name](argument, schema)

    def _reference(self, reference: str) -> Check:
        def run(value: Any) -> None:
            check = self._known.get(reference)
            if check is None:
                check = self._known[reference] = self.judge(self.target(reference))
            check(value)

        return run

    def _options(self, options: list[Json], at_most: int) -> Check:
        checks = [self.judge(option) for option in options]

        def run(value: Any) -> None:
            reasons: list[str] = []
            count = 0
            for check in checks:
                try:
                    check(value)
                    count += 1
                except Mismatch as mismatch:
                    reasons.append(str(mismatch))
            if not 1 <= count <= at_most:
                raise Mismatch(f"fits {count} options; " + "; ".join(reasons)[:1_000])

        return run

    def _properties(self, properties: Json) -> Check:
        checks = {name: self.judge(row) for name, row in properties.items()}

        def run(value: Any) -> None:
            if isinstance(value, dict):
                for name, member in value.items():
                    if name in checks:
                        _inside(name, checks[name], member)

        return run

    def _additional(self, rest: Any, schema: Json) -> Check:
        named = schema.get("properties", {}).keys()
        check = self.judge(rest) if isinstance(rest, dict) else None

        def run(value: Any) -> None:
            others = [name for name in value if name not in named] if isinstance(value, dict) else []
            if others and rest is False:
                raise Mismatch(f"undocumented members {others}")
            for name in others if check else ():
                _inside(name, check, value[name])  # type: ignore[arg-type]

        return run

    def _items(self, rest: Any, schema: Json) -> Check:
        start = len(schema.get("prefixItems", ()))
        check = self.judge(rest) if isinstance(rest, dict) else None

        def run(value: Any) -> None:
            if not isinstance(value, list):
                return
            if rest is False and len(value) > start:
                raise Mismatch(f"more than {start} items")
            for number, item in enumerate(value[start:], start) if check else ():
                _inside(number, check, item)  # type: ignore[arg-type]

        return run

    def _prefix(self, schemas: list[Json]) -> Check:
        checks = [self.judge(schema) for schema in schemas]

        def run(value: Any) -> None:
            if isinstance(value, list):
                for number, (item, check) in enumerate(zip(value, checks, strict=False)):
                    _inside(number, check, item)

        return run


def _inside(place: str | int, check: Check, value: Any) -> None:
    try:
        check(value)
    except Mismatch as mismatch:
        raise Mismatch(f"{mismatch} in {place}") from None


def _type(names: list[str]) -> Check:
    kinds = frozenset(kind for name in names for kind in _TYPES[name])

    def run(value: Any) -> None:
        # JSON has one kind of number: 1.0 is an integer. A boolean is none.
        whole = isinstance(value, float) and value.is_integer() and int in kinds
        if type(value) not in kinds and not whole:
            raise Mismatch(f"{str(value)[:100]!r} is no {' or '.join(names)}")

    return run


def _enum(names: list[Any]) -> Check:
    allowed = {(type(name), name) for name in names}

    def run(value: Any) -> None:
        if isinstance(value, list | dict) or (type(value), value) not in allowed:
            raise Mismatch(f"{str(value)[:100]!r} is none of {names}")

    return run


def _required(names: list[str]) -> Check:
    def run(value: Any) -> None:
        missing = [name for name in names if name not in value] if isinstance(value, dict) else []
        if missing:
            raise Mismatch(f"has no {missing}")

    return run


def _where(kind: type, holds: Callable[[Any], Any], reason: str) -> Check:
    def run(value: Any) -> None:
        if isinstance(value, kind) and not holds(value):
            raise Mismatch(f"{str(value)[:100]!r}: {reason}")

    return run
