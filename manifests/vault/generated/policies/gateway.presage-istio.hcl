# WRK-4: The gateway. It proves to clients outside who it is.
# Compiled from policies/access.yaml by `presage policies render`: change it there.
path "pki-edge/issue/gateway" {
  capabilities = ["create", "update"]
}
