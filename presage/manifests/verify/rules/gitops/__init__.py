"""What Argo CD makes of the objects."""
