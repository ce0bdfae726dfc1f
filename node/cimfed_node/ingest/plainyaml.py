"""YAML whose every scalar is text, as mapping documents are read."""

from __future__ import annotations

from typing import Any

import yaml

from cimfed.errors import BadMapping


class _Loader(yaml.BaseLoader):
    """Every scalar is text, and no key stands twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is plain text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=True)


def load_plain(text: str, name: str) -> Any:
    """Raises BadMapping with the place, ``name`` being the document's."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise BadMapping(error.problem or "not YAML", place=place) from None
    except (yaml.YAMLError, RecursionError):
        raise BadMapping("not YAML", place=name) from None
