"""The rules, a folder an area, a file a rule."""
