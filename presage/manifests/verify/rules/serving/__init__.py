"""What a model server beside the request path lets through."""
