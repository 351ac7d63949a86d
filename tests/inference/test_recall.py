"""A release that is revoked while it is in service: the path leaves it for the next rung, and comes back if the list says so."""

import json

import pytest
from builders.releases import world

from inference.path.recall import Recall, RevocationList
from inference.path.served import ready_release
from presage.package.release import verify_folder


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def listed(tmp_path):
    """(write a list, a clock, the list as the path reads it)"""
    path, clock = tmp_path / "revocations.json", Clock()

    def write(*revoked):
        path.write_text(json.dumps({"schema": "presage.revocations/v1", "revoked": [{"digest": one, "because": "leaks labels"} for one in revoked]}))

    write()
    return write, clock, RevocationList(path, clock)


def away(release):
    return {id: member.away() for id, member in release.members.items()}


def test_a_revoked_release_leaves_no_model_and_a_revoked_package_leaves_its_rung(tmp_path, listed):
    write, clock, revocations = listed
    made = world(tmp_path / "world")
    release = ready_release(verify_folder(made.pod(), made.trust), revocations=revocations, clock=clock)
    primary, simpler = (member.package for member in made.published.document.members)
    assert away(release) == {"primary": None, "simpler": None}
    write(primary)
    assert away(release)["primary"] is None  # not looked at again yet
    clock.now += 1.0
    assert away(release) == {"primary": "primary: revoked: leaks labels", "simpler": None}
    write(made.published.reference.digest)
    clock.now += 1.0
    assert all(because is not None and "revoked" in because for because in away(release).values())
    write(simpler)
    clock.now += 1.0
    assert away(release) == {"primary": None, "simpler": "simpler: revoked: leaks labels"}


@pytest.mark.parametrize("torn", [b"", b'{"revoked": [', b"\xff\xfe", None])
def test_a_list_that_cannot_be_read_changes_nothing(listed, tmp_path, torn):
    write, clock, revocations = listed
    recall = Recall(revocations, ("sha256:a", "sha256:b"))
    write("sha256:b")
    assert recall.reason() == "revoked: leaks labels"
    path = tmp_path / "revocations.json"
    path.unlink() if torn is None else path.write_bytes(torn)
    clock.now += 1.0
    assert recall.reason() == "revoked: leaks labels"
