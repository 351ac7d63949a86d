# WRK-1: Predictor Pods. The gate fetches a sealed release and has its data key opened. It can seal nothing.
# Compiled from policies/access.yaml by `presage policies render`: change it there.
path "kv/data/presage/models-databases/release-storage" {
  capabilities = ["read"]
}

path "kv/data/presage/clients/revocations" {
  capabilities = ["read"]
}
