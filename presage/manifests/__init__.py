"""Manifests as they are written, rendered and expanded.

    folder = manifests_folder()
    for application, yaml in render_overlay(folder, "local").items(): ...
    objects = expand(parse_objects(yaml))
"""
