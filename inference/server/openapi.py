"""`GET /openapi.json`: the plain endpoint's description, made from the very types that parse and write it."""

from typing import Any

import msgspec

from inference.path.served import ServedRelease
from inference.server.plain import PredictBody, Predictions, Servers


class Refusal(msgspec.Struct):
    """What was wrong, where, and what to send instead."""

    error: str


def openapi_document(release: ServedRelease, program: str) -> dict[str, Any]:
    """OpenAPI 3.1. The model's inputs, with unit and range, are listed as `x-inputs`."""
    types = (PredictBody, Predictions, Servers, Refusal)
    references, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    body, predictions, servers, refusal = references

    def content(schema: dict[str, Any]) -> dict[str, Any]:
        return {"application/json": {"schema": schema}}

    refusals = {
        code: {"description": meaning, "content": content(refusal)}
        for code, meaning in {
            "400": "The body is outside the contract.", "404": "A server has no row.", "405": "Another method is due.", "408": "The body came too slowly.",
            "413": "The body is too large.", "415": "Another content type is due.", "503": "Not ready, no features, or the journal is full.",
        }.items()
    }  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"presage: {release.name}",
            "version": program,
            "description": f"Release {release.name}:{release.version}. The same model speaks the Open Inference Protocol at /v2.",
        },
        "paths": {
            "/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Predict incidents for servers (features looked up) or for rows of features.",
                    "requestBody": {"required": True, "content": content(body)},
                    "responses": {"200": {"description": "One prediction a server or row, in order.", "content": content(predictions)}, **refusals},
                }
            },
            "/servers": {
                "get": {
                    "operationId": "servers",
                    "summary": "The servers that have a row in the online store.",
                    "responses": {"200": {"description": "Names, sorted.", "content": content(servers)}, "503": refusals["503"]},
                }
            },
        },
        "components": {"schemas": components},
        "x-inputs": msgspec.to_builtins(release.contract.inputs),
    }
