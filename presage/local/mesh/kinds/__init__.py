"""The Kubernetes kinds that shape the mesh, each read strictly into one small type: an unknown field is a FieldError, never skipped."""
