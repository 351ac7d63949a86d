# WRK-3: Whoever publishes a release. It signs the release, seals it under a fresh data key and puts it into the store. It can open none.
# Compiled from policies/access.yaml by `presage policies render`: change it there.
path "kv/data/presage/pipelines/release-signing" {
  capabilities = ["read"]
}

path "kv/data/presage/pipelines/release-storage" {
  capabilities = ["read"]
}
