"""`python -m xailib.params.schema` writes the JSON schemas of `params/schema/` from the records, for editors."""

import json
from typing import Any

from xailib.params.records import CLASSES
from xailib.workspace import SHIPPED


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema of one kind: study, roar_study, dataset, model, method, metric or estimator."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_plain(CLASSES[kind].model_json_schema())}


def _plain(node: Any) -> Any:
    """A schema without the titles that pydantic gives to fields, and without null as the default of what is left out."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    absent = node.get("default", ...) is None and {"type": "null"} not in node.get("anyOf", ())
    dropped = {"title" if isinstance(node.get("title"), str) else "", "default" if absent else ""}
    return {key: _plain(value) for key, value in node.items() if key not in dropped}


def text(kind: str) -> str:
    """Return the contents of `params/schema/KIND.json`."""
    return json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for kind in CLASSES:
        (SHIPPED / "params" / "schema" / f"{kind}.json").write_text(text(kind), encoding="utf-8")
