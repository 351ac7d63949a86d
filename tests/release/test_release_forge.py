"""Pull requests, against a server that answers as a forge's documentation says."""

import pytest
from builders.forge import running_forge
from builders.repositories import Checkout, checkout

from presage.errors import InputError, StateError
from presage.release.forge import Forge

BRANCH = "release/production.models-network.incident.incident-7.03"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Checkout:
    return checkout(tmp_path_factory.mktemp("repository") / "main", "local")


@pytest.fixture(params=["finds", "pages"])
def server(request, source, tmp_path):
    """One that filters by branch, as GitHub does, and one that gives page after page, as Gitea does."""
    with running_forge(tmp_path, source, finds=request.param == "finds") as server:
        yield server


@pytest.fixture
def forge(server) -> Forge:
    return Forge.of(server.url, server.token)


def test_a_step_is_one_request_however_often_it_is_opened(forge, server):
    first = forge.open(BRANCH, "incident:7 raise", "gets 25 percent of the requests")
    again = forge.open(BRANCH, "incident:7 raise", "gets 25 percent of the requests")
    assert first == again and len(server.requests) == 1 and first.url.endswith("/pull/1") and not first.merged
    assert server.requests[0]["title"] == "incident:7 raise" and server.requests[0]["body"] == "gets 25 percent of the requests"


def test_a_request_that_is_not_wanted_any_more_is_closed_and_says_why(forge, server):
    made = forge.open(BRANCH, "incident:7 raise", "")
    forge.close(made.number, "fails more often than the stable release")
    assert forge.look(made.number).state == "closed" and server.comments == ["fails more often than the stable release"]
    assert forge.find(BRANCH).state == "closed"
    assert forge.open(BRANCH, "incident:7 raise", "").number == 2
    assert forge.find(BRANCH).number == 2


def test_a_request_is_found_among_many(forge):
    made = forge.open(BRANCH, "incident:7 raise", "")
    for number in range(8):
        forge.open(f"feature/{number}", "another", "")
    assert forge.find(BRANCH) == made and forge.find("release/other") is None
    assert forge.open_ones("release/") == [made]


def test_a_fork_s_branch_of_the_same_name_is_not_ours(forge, server):
    forge.open(BRANCH, "mine", "")
    server.requests[0]["head"]["repo"] = {"full_name": "stranger/presage"}
    assert forge.find(BRANCH) is None and forge.open_ones("release/") == []


def test_a_merged_request_is_known_as_such(forge, server):
    made = forge.open(BRANCH, "incident:7 raise", "")
    server.requests[0].update(state="closed", merged=True)
    assert forge.look(made.number).merged


def test_what_a_forge_refuses_is_said_in_its_words(forge, tmp_path):
    forge.token.write_text("bad")
    with pytest.raises(StateError, match=r"401: Bad credentials.*right to write pull requests"):
        forge.open(BRANCH, "t", "b")
    forge.token.write_text("good")
    with pytest.raises(StateError, match="404: Not Found"):
        Forge(forge.api, "team/other", forge.token).open(BRANCH, "t", "b")
    with pytest.raises(StateError, match="does not answer"):
        Forge("http://127.0.0.1:9/api", "team/presage", forge.token).open(BRANCH, "t", "b")
    with pytest.raises(InputError, match="token cannot be read"):
        Forge(forge.api, "team/presage", tmp_path / "absent").open(BRANCH, "t", "b")


def test_a_forge_is_asked_over_https_alone(tmp_path):
    with pytest.raises(InputError, match="https alone"):
        Forge("http://forge.example/api", "team/presage", tmp_path)
    with pytest.raises(InputError, match="OWNER/NAME"):
        Forge("https://forge.example/api", "presage", tmp_path)
    with pytest.raises(InputError, match="/repos/OWNER/NAME"):
        Forge.of("https://forge.example/team/presage", tmp_path)
