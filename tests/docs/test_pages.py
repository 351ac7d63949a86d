"""The pages say what is so: links lead somewhere, commands and options exist, and nothing in them names a machine."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from presage.cli import app_command
from presage.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def commands(text):
    """Every `presage …` command line in indented blocks and code spans, without its comment."""
    lines = re.findall(r"^    (?:.*?[;&|] )?(presage .*)$", text, flags=re.MULTILINE) + re.findall(r"`(presage [^`]*)`", text)
    return [shlex.split(line.split(" #")[0].split(" < ")[0]) for line in lines]


@pages
def test_every_relative_link_leads_to_a_file(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pages
def test_every_command_shown_exists_with_its_options(page):
    known = {listed.name: listed for listed in COMMANDS}
    root = app_command()
    for words in commands(page.read_text()):
        if words[1:2] and words[1].startswith("-"):  # options of presage itself
            assert words[1] in {"--state", "--version", "--help"}
            continue
        name = " ".join(words[1:3]) if " ".join(words[1:3]) in known else (words[1] if len(words) > 1 else "")
        if not name or name == "manifests" or name.isupper():
            continue
        assert name in known, f"{page.name} shows `{' '.join(words)}`"
        module, _, function = known[name].target.partition(":")
        assert getattr(import_module(module), function)
        group = root.get_command(None, name.split()[0])
        command = group.get_command(None, name.split()[1]) if " " in name else group
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
        assert {word.split("=")[0] for word in words[2:] if word.startswith("-")} <= options, f"{page.name} shows `{' '.join(words)}`"


MAKEFILES = ("Makefile", "install.mk", "images.mk")


@pages
def test_every_make_target_shown_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", "".join((ROOT / name).read_text() for name in MAKEFILES), flags=re.MULTILINE))
    shown = set(re.findall(r"(?:^    |`)(?:time )?make ([a-z-]+)", page.read_text(), flags=re.MULTILINE))
    assert shown <= targets


@pages
def test_no_page_names_a_place_of_one_machine(page):
    assert not re.search(r"(?<![\w.])/(?:home|root|work|tmp|Users)/", page.read_text())


def test_the_readme_s_test_command_is_the_one_ci_runs():
    """And the lanes after it are those that CONTRIBUTING.md says, the long ones where all are asked for."""
    assert "    make test " in (ROOT / "README.md").read_text()
    always, _, asked = (ROOT / ".ci" / "run").read_text().partition("!= --all")
    first, *steps = re.findall(r"^ *step make (\S+)", always, flags=re.MULTILINE)
    table = re.findall(r"^\| (`.+?) \|.*\| (yes|`--all`) \|$", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    told = [(lane, when) for lanes, when in table for lane in re.findall(r"make ([a-z-]+)", lanes)]
    assert first == "tools" and steps[:2] == ["check", "test"]
    assert told == [(lane, "yes") for lane in steps] + [(lane, "`--all`") for lane in re.findall(r"^ *step make (\S+)", asked, flags=re.MULTILINE)]
