"""`presage verify --running`: what runs is what is rendered, or each difference is named with both values."""

import os
import signal

import pytest
from planes import container, deployment, manifests

from presage.errors import PlaneError
from presage.local import up
from presage.local.compare import compare
from presage.local.record import read_record


def with_word(word):
    return deployment(containers=[container(env=[{"name": "WORD", "value": word}])])


def test_a_plane_that_runs_as_rendered_differs_in_nothing(state, tmp_path):
    folder = manifests(tmp_path, with_word("one"))
    up(state=state, manifests=folder)
    assert compare(state, folder) == []


def test_a_port_that_a_program_opened_by_its_mapped_address_is_open(state, tmp_path):
    code = ["import socket, sys, http.server as web", "web.ThreadingHTTPServer.address_family = socket.AF_INET6",
            "web.ThreadingHTTPServer(('::ffff:' + sys.argv[1], 8080), web.SimpleHTTPRequestHandler).serve_forever()"]  # fmt: skip
    folder = manifests(tmp_path, deployment(containers=[container(command=["python", "-c", "\n".join(code)], args=["0.0.0.0"])]))
    up(state=state, manifests=folder)
    assert compare(state, folder) == []


def test_an_edit_that_was_not_applied_is_named_with_both_values(state, tmp_path):
    up(state=state, manifests=manifests(tmp_path, with_word("one")))
    [found] = compare(state, manifests(tmp_path, with_word("two")))
    assert (found.object, found.rendered, found.running) == ("Deployment presage/web", "two", "one")
    assert found.field == "spec.template.spec.containers[0].env[0].value"


def test_an_object_that_is_not_rendered_any_more_is_named(state, tmp_path):
    up(state=state, manifests=manifests(tmp_path, with_word("one"), deployment("old")))
    found = compare(state, manifests(tmp_path, with_word("one")))
    assert [(difference.object, difference.rendered, difference.running) for difference in found] == [("Deployment presage/old", "absent", "present")]


def test_a_program_that_stopped_is_named(state, tmp_path):
    folder = manifests(tmp_path, with_word("one"))
    up(state=state, manifests=folder)
    pid = next(process.pid for process in read_record(state.plane).processes)
    os.kill(pid, signal.SIGSTOP)
    os.kill(read_record(state.plane).supervisor, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        assert any("container web" in found.field and found.running == "gone" for found in compare(state, folder))
    finally:
        os.kill(read_record(state.plane).supervisor, signal.SIGCONT)


def test_nothing_running_cannot_be_compared(state, tmp_path):
    with pytest.raises(PlaneError, match="nothing runs in"):
        compare(state, manifests(tmp_path, with_word("one")))
