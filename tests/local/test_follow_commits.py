"""What a commit holds is read from Git: not what a person has in the working tree, and nothing that Git does not call a file."""

import pytest
from branches import RENDERED, branch, commit, config_map

from presage.errors import InputError, PresageError
from presage.local.following.commits import KEPT, LARGEST, export_vault, name_of, rendered_at, vault_at, vault_folder


@pytest.fixture
def checkout(tmp_path):
    return branch(tmp_path / "repository", web=[config_map("committed")])


def test_local_edits_are_not_seen(checkout):
    (checkout.root / RENDERED / "web" / "manifest.yaml").write_text("edited")
    (checkout.root / RENDERED / "new").mkdir()
    (checkout.root / RENDERED / "new" / "manifest.yaml").write_text("untracked")
    found = rendered_at(checkout.repository, checkout.repository.head(), "local")
    assert found.keys() == {"web"} and b"committed" in found["web"]


def test_an_older_commit_is_read_as_it_was(checkout):
    old = checkout.repository.head()
    commit(checkout, web=[config_map("newer")], second=[config_map("x", "second")])
    assert b"committed" in rendered_at(checkout.repository, old, "local")["web"]
    assert rendered_at(checkout.repository, checkout.repository.head(), "local").keys() == {"web", "second"}


def test_a_bare_repository_is_read_as_well(checkout, tmp_path):
    checkout.git("clone", "--quiet", "--bare", str(checkout.root), str(tmp_path / "bare.git"))
    bare = type(checkout)(tmp_path / "bare.git").repository
    assert rendered_at(bare, bare.head(), "local").keys() == {"web"}


def test_other_files_of_the_folder_are_no_application(checkout):
    checkout.commit("notes", **{f"{RENDERED}/README.md": "x", f"{RENDERED}/web/notes.yaml": "x", f"{RENDERED}/deep/er/manifest.yaml": "x"})
    assert rendered_at(checkout.repository, checkout.repository.head(), "local").keys() == {"web"}


def test_an_overlay_without_anything_rendered_is_said(checkout):
    with pytest.raises(InputError, match=r"has nothing in manifests/rendered/absent\. Run `presage manifests render`"):
        rendered_at(checkout.repository, checkout.repository.head(), "absent")


def test_yaml_without_end_is_refused(checkout):
    commit(checkout, web="#" * (LARGEST + 1))
    with pytest.raises(InputError, match="no file of at most 10 MiB"):
        rendered_at(checkout.repository, checkout.repository.head(), "local")


def test_a_link_is_its_own_text_and_leads_nowhere(checkout):
    path = checkout.root / RENDERED / "web" / "manifest.yaml"
    path.unlink()
    path.symlink_to("/etc/hostname")
    checkout.commit("a link")
    assert rendered_at(checkout.repository, checkout.repository.head(), "local")["web"] == b"/etc/hostname"


def test_vaults_configuration_lies_in_the_state_directory_under_one_name_for_one_content(checkout, tmp_path):
    assert vault_at(checkout.repository, checkout.repository.head()) == {}
    names = []
    for text in ("one", "two", "two", "three", "four", "five"):
        checkout.commit("configure", **{"manifests/vault/policies/x.hcl": f"# {text}", "unrelated": str(len(names))})
        names.append(export_vault(tmp_path, vault_at(checkout.repository, checkout.repository.head())))
    assert (vault_folder(tmp_path, names[-1]) / "vault" / "policies" / "x.hcl").read_text() == "# five"
    assert len(set(names)) == 5 and names[1] == names[2]
    assert len(list(vault_folder(tmp_path, "x").parent.iterdir())) <= KEPT + 1


def test_a_configuration_that_is_no_good_is_not_kept(tmp_path):
    bad = {"vault/configuration.yaml": b"engines: 1\n"}
    with pytest.raises(PresageError, match=r"configuration\.yaml"):
        export_vault(tmp_path, bad)
    assert not vault_folder(tmp_path, name_of(bad)).exists()


def test_no_path_leads_out_of_the_folder(tmp_path):
    with pytest.raises(InputError, match="no path of a configuration"):
        export_vault(tmp_path / "state", {"vault/../../../x": b""})
    assert not (tmp_path / "x").exists()
