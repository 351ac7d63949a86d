# Seal a new release under a data key of its own, and wrap that key anew after a rotation. It opens none that is sealed already.
path "transit/datakey/plaintext/releases" {
  capabilities = ["update"]
}

# Without "create": a misspelled key name is refused, not made.
path "transit/encrypt/releases" {
  capabilities = ["update"]
}

path "transit/rewrap/releases" {
  capabilities = ["update"]
}
