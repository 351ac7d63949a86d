"""Retention: how long each store keeps what it holds, and what is deleted when that is over (docs/retention.md).

    policy          policies/retention.yaml: a rule a store, by risk tier and region of residency; legal holds; buckets' lifecycles
    terms           the policy with each model's tier and region: one document, one digest
    items           one thing that can be deleted; what a store must be able to do
    stores/         prediction log, packages and leftovers of a release store, snapshots of runs, MLflow runs
    in_use          releases that stay whatever their age
    deciding        what becomes of an item, by which rule: pure
    journal         what is about to go, on the disk before it does
    applying        intent, deletion, entry of the audit log: one thing after another; finishes what a kill left
    verifying       whether anything is overdue, and each deletion judged again from its entry
    compiling       the jobs that do it in clusters, and buckets' lifecycles
    lifecycles      a bucket's lifecycle: written, compared, set
    changes         what a change of policies changes: every compiled object, and what falls due earlier, in sentences
"""
