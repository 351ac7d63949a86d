"""What the API server refuses, compiled from policies/: ValidatingAdmissionPolicies with limits and digests as literals.

    releases.yaml   CEL of the policy presage-releases: by which way alone a model enters a Pod. It depends on no policy file but the domains
    tiers           the policy presage-tiers: approved and revoked digests, and what each risk tier allows of replicas, canaries and promotions
    compiling       both, with their bindings, as files of manifests/base/policies/generated

Literals and not parameter objects: those freeze (facts of Kubernetes, docs/architecture.md), and a change of a limit is a commit anyway.
"""

from presage.governance.admission.compiling import MANIFESTS, compile_admission

__all__ = ["MANIFESTS", "compile_admission"]
