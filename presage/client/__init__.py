"""A small client of the request path, whose last rung answers when no Pod does.

    from presage.client import Client
    with Client(["https://risk-a.example", "https://risk-b.example"], memory=Path("~/.cache/risk.json").expanduser()) as client:
        for prediction in client.predict(["web-01", "db-03"], seconds=2.0):
            print(prediction.server, prediction.risk, prediction.rung, prediction.because)

    answers      what a prediction is
    connection   how an endpoint is reached: address, mutual TLS, token
    settings     patience, retries, how old a last answer may be
    attempts     which endpoint is tried next, when, and how often at all
    memory       last answers and the release's rules, in a file of one's own
    last_rung    answers without a Pod, each marked
    client       all of it together

Errors: InputError where the request cannot be answered as it is, PlaneError where nothing answers and nothing is known.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from presage.client.answers import Prediction
    from presage.client.client import Client
    from presage.client.connection import Access
    from presage.client.settings import ClientSettings

_PLACES = {"Access": "connection", "Client": "client", "ClientSettings": "settings", "Prediction": "answers"}
__all__ = ["Access", "Client", "ClientSettings", "Prediction"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'presage.client' has no attribute {name!r}")
    return getattr(import_module(f"presage.client.{_PLACES[name]}"), name)
