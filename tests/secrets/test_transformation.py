"""What the operator makes of a secret's fields: each row one behaviour of Vault Secrets Operator 1.4 (helpers/template.go, helpers/secrets.go)."""

import pytest

from presage.secrets.errors import ConfigurationRefused, SecretMissing
from presage.secrets.transformation import transformed

FIELDS = {"access_key": "AKIA", "secret_key": "s3cr3t", "port": 8333, "hosts": ["a", "b"], "on": True, "key.pem": "PEM\n"}
WHOLE = {"data": FIELDS, "metadata": {"version": 1}}


def templates(**texts):
    return {"excludeRaw": True, "includes": ["^$"], "templates": {key.replace("__", "."): {"name": key, "text": text} for key, text in texts.items()}}


ROWS = {
    "every field, as text or as JSON, and no _raw where it is excluded": (
        {"excludeRaw": True},
        {"access_key": b"AKIA", "secret_key": b"s3cr3t", "port": b"8333", "hosts": b'["a","b"]', "on": b"true", "key.pem": b"PEM\n"},
    ),
    "excludes are patterns": ({"excludeRaw": True, "excludes": ["^secret_", "port|hosts|on"]}, {"access_key": b"AKIA", "key.pem": b"PEM\n"}),
    "includes keep what matches": ({"excludeRaw": True, "includes": ["_key$"]}, {"access_key": b"AKIA", "secret_key": b"s3cr3t"}),
    "excludes come first": ({"excludeRaw": True, "includes": ["_key$"], "excludes": ["secret"]}, {"access_key": b"AKIA"}),
    "a template by get": (templates(a='{{ get .Secrets "key.pem" }}'), {"a": b"PEM\n"}),
    "a template by field": (templates(a="{{ .Secrets.access_key }}"), {"a": b"AKIA"}),
    "white space inside does not matter": (templates(a='{{get  .Secrets  "access_key"}}'), {"a": b"AKIA"}),
    "text around actions stays": (templates(a='{{ .Secrets.access_key }}:{{ get .Secrets "secret_key" }}\n'), {"a": b"AKIA:s3cr3t\n"}),
    "a number is printed": (templates(a="{{ .Secrets.port }} {{ .Secrets.on }}"), {"a": b"8333 true"}),
    "a list is joined": (templates(a='{{ join "\\n" .Secrets.hosts }}'), {"a": b"a\nb"}),
    "a template wins over the field of its name": (templates(access_key="x") | {"includes": ["^access_key$"]}, {"access_key": b"x"}),
    "fields stay beside templates": ({"excludeRaw": True, "includes": ["^access"], "templates": {"b": {"text": "x"}}}, {"access_key": b"AKIA", "b": b"x"}),
}  # fmt: skip


@pytest.mark.parametrize(("transformation", "secret"), ROWS.values(), ids=list(ROWS))
def test_a_secret_becomes_what_the_operator_would_write(transformation, secret):
    assert transformed(FIELDS, WHOLE, transformation) == secret


def test_raw_is_the_whole_answer_unless_excluded():
    made = transformed({"a": "b"}, {"data": {"a": "b"}, "metadata": {"version": 1}}, {})
    assert made == {"a": b"b", "_raw": b'{"data":{"a":"b"},"metadata":{"version":1}}'}


WRONG = {
    "a key that the secret lacks": (templates(a='{{ get .Secrets "acess_key" }}'), SecretMissing, "templates.a wants 'acess_key', and the secret holds"),
    "another function": (templates(a="{{ .Secrets.access_key | b64enc }}"), ConfigurationRefused, "is not understood here"),
    "another source": (templates(a="{{ .Metadata.version }}"), ConfigurationRefused, "is not understood here"),
    "a loop": (templates(a="{{ range .Secrets }}x{{ end }}"), ConfigurationRefused, "is not understood here"),
    "trimming": (templates(a="{{- .Secrets.access_key -}}"), ConfigurationRefused, "trims white space"),
    "a list as text": (templates(a="{{ .Secrets.hosts }}"), ConfigurationRefused, "the value is a list"),
    "text as a list": (templates(a='{{ join "," .Secrets.access_key }}'), ConfigurationRefused, "'access_key' is no list"),
    "templates from elsewhere": ({"transformationRefs": [{"name": "x"}]}, ConfigurationRefused, "transformation.transformationRefs is not honoured"),
    "no pattern": ({"excludeRaw": True, "excludes": ["("]}, ConfigurationRefused, "is no regular expression"),
}  # fmt: skip


@pytest.mark.parametrize(("transformation", "kind", "reason"), WRONG.values(), ids=list(WRONG))
def test_what_cannot_be_made_is_said_by_field(transformation, kind, reason):
    with pytest.raises(kind, match=reason):
        transformed(FIELDS, WHOLE, transformation)


def test_a_field_called_raw_asks_for_the_exclusion():
    with pytest.raises(ConfigurationRefused, match=r"Set destination.transformation.excludeRaw"):
        transformed({"_raw": "x"}, {}, {})
