# Open the data key of a sealed release: what a predictor's Pod does before it loads a model. It can wrap nothing.
path "transit/decrypt/releases" {
  capabilities = ["update"]
}
