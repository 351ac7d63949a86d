"""What an Envoy is told: plain functions from the mesh's objects to the documents that it reads, and the little that hands them over."""
