"""The component redis laid over one domain of an overlay, in a copy of manifests/."""

import yaml

from presage.manifests.render import render_overlay, write_rendered


def with_redis(folder, overlay="local", domain="models-network", streams="streams"):
    """The three parts, laid over one domain of an overlay of `folder`, a copy of manifests/; the fourth where Argo CD follows it."""
    place = folder / "overlays" / overlay
    own = place / "platform" / f"redis-{domain}"
    own.mkdir()
    document = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": domain}
    (own / "kustomization.yaml").write_text(yaml.safe_dump({**document, "components": ["../../../../components/redis/platform"]}))
    changes = [("platform", {"resources": [own.name]}), (domain, _component(place, place / domain, "models")),
               (streams, _component(place, place / streams, "streams"))]  # fmt: skip
    if (place / "argocd").is_dir():
        changes.append(("argocd", _component(place, place / "argocd", "argocd")))
    for application, change in changes:
        file = place / application / "kustomization.yaml"
        document = yaml.safe_load(file.read_text())
        for key, values in change.items():
            document[key] = [*document.get(key, []), *values]
        file.write_text(yaml.safe_dump(document))
    write_rendered(folder, overlay, render_overlay(folder, overlay))


def _component(overlay, place, part):
    up = "/".join([".."] * (len(place.relative_to(overlay.parents[1]).parts)))
    return {"components": [f"{up}/components/redis/{part}"]}
