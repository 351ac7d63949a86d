"""Patterns in free text: e-mail addresses, phone, card, account and social security numbers, network addresses.

presidio's pattern recognisers, on a blank spaCy pipeline: no language model, so **names of people are not found**. What may hold a name is of
class person, and masked whole. Loading presidio takes seconds and some 100 MB, so it is loaded at the first text that could hold a pattern at
all, and each distinct text is looked at once. A look takes about a millisecond: so a round has so many, and what could hold a pattern and was
not looked at is masked whole, as it is where presidio is not installed. Nobody can hold the shipper up, and nothing passes unseen.
"""

import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

MASKED = "<masked>"
LONGEST = 2000
"""Characters; a longer text is masked whole, so that nobody can keep the shipper busy with one."""
LOOKS = 1000
"""Distinct texts that are looked at in one round of the shipper."""
REMEMBERED = 65_536
_COULD_HOLD_ONE = re.compile(r"@|:[^:]*:|(?:\d\D*){6}|\d+(?:\.\d+){3}")
"""Every pattern has an @, two colons (IPv6), six digits, or is four numbers with dots (IPv4)."""
_MADE_BY_A_MACHINE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?=[0-9]*[a-f])[0-9a-f]{16,64}", re.IGNORECASE)
"""A UUID, or 16 and more hexadecimal digits with a letter among them: no number that a person has."""


class Found(NamedTuple):
    """start, end: where it stands; kind: EMAIL_ADDRESS, PHONE_NUMBER, …"""

    start: int
    end: int
    kind: str


Finder = Callable[[str], list[Found]]


class FreeText:
    """Masks texts. load: makes the finder, None where there is none."""

    def __init__(self, load: Callable[[], Finder | None] | None = None) -> None:
        self._load = load or load_presidio
        self._finder: Finder | None = None
        self._loaded = False
        self._known: dict[str, str] = {}
        self._left = LOOKS

    def begin_round(self) -> None:
        """From here on `LOOKS` new texts may be looked at again."""
        self._left = LOOKS

    def masked(self, text: str) -> str:
        """`call <PHONE_NUMBER> please`."""
        if not _COULD_HOLD_ONE.search(text) or _MADE_BY_A_MACHINE.fullmatch(text):
            return text
        known = self._known.get(text)
        if known is None:
            if not self._left:
                return MASKED
            self._left -= 1
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[text] = self._look(text)
        return known

    def _look(self, text: str) -> str:
        if not self._loaded:
            self._finder, self._loaded = self._load(), True
        if self._finder is None or len(text) > LONGEST:
            return MASKED
        parts, at = [], 0
        for found in _apart(self._finder(text)):
            parts += [text[at : found.start], f"<{found.kind}>"]
            at = found.end
        return "".join([*parts, text[at:]])


def _apart(found: list[Found]) -> list[Found]:
    """In order, overlapping ones as one."""
    apart: list[Found] = []
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if apart and one.start < apart[-1].end:
            apart[-1] = apart[-1]._replace(end=max(apart[-1].end, one.end))
        else:
            apart.append(one)
    return apart


def load_presidio() -> Finder | None:
    """presidio's recognisers; None where it is not installed."""
    if find_spec("presidio_analyzer") is None or find_spec("spacy") is None:
        return None
    import logging

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import CreditCardRecognizer, EmailRecognizer, IbanRecognizer, IpRecognizer, PhoneRecognizer, UsSsnRecognizer

    class Blank(SpacyNlpEngine):  # a tokenizer and nothing else
        def __init__(self) -> None:
            super().__init__()
            self.nlp: Any = {"en": spacy.blank("en")}

        def load(self) -> None:
            """Nothing to load: there is no model."""

    class AnyEmail(EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            """presidio asks the network for the list of public domains; an address in a private domain is an address, too."""
            return True

    recognizers = [AnyEmail(), PhoneRecognizer(), IpRecognizer(), CreditCardRecognizer(), IbanRecognizer(), UsSsnRecognizer()]
    registry = RecognizerRegistry(recognizers=recognizers, supported_languages=["en"])
    engine = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["en"])
    return lambda text: [Found(one.start, one.end, one.entity_type) for one in engine.analyze(text, "en")]
