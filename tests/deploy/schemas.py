"""Whether a manifest is one that an API server takes: by Kubernetes' OpenAPI schemas and the Prometheus Operator's definitions.

Both refuse fields that they do not know: a misspelt field, which an API server would drop in silence, is an error here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.servers.kubernetes_schemas import InvalidDocument, require_valid
from tests.servers.requirements import require_module

__all__ = ["InvalidDocument", "problems", "require_manifests"]

_VECTORS = Path(__file__).parents[1] / "vectors"
_OPERATOR = "monitoring.coreos.com/v1"


def require_manifests(documents: Iterable[Mapping[str, Any]]) -> None:
    """Return if an API server could store them all. Raises `InvalidDocument` for the first that it would not."""
    for document in documents:
        if document.get("apiVersion") == _OPERATOR:
            for problem in problems("crds/prometheus-operator.json", document, str(document["kind"])):
                raise InvalidDocument(f"{document['kind']}: {problem}")
        else:
            require_valid(document)


def problems(schema: str, document: object, definition: str | None = None) -> list[str]:
    """What the schema in ``tests/vectors``, or one of its definitions, finds wrong: path and message."""
    errors = _validator(schema, definition).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in errors]


@cache
def _validator(schema: str, definition: str | None) -> Any:
    jsonschema = require_module("jsonschema")
    read = json.loads((_VECTORS / schema).read_text())
    if definition is not None:
        read = {**read, "$ref": f"#/$defs/{definition}"}
    jsonschema.Draft202012Validator.check_schema(read)
    return jsonschema.Draft202012Validator(read)
