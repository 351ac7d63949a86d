"""Strategic merge patches, as KServe applies them to containers and Pods."""

from presage.manifests.expand.merge import merged_container, strategic


def names(items):
    return "".join(item["name"] for item in items)


def merged(base, over):
    return names(strategic({"env": [{"name": name} for name in base]}, {"env": [{"name": name} for name in over]})["env"])


def test_an_item_that_only_the_patch_has_comes_first():
    assert merged("AB", "C") == "CAB"


def test_items_that_both_have_keep_the_base_order_around_them():
    assert merged("AB", "BC") == "ABC"
    assert merged("AB", "CB") == "CAB"
    assert merged("ABC", "BD") == "ABDC"


def test_a_keyed_item_merges_and_another_list_is_replaced():
    base = {"volumes": [{"name": "a", "emptyDir": {"medium": "Memory"}}], "tolerations": [{"key": "x"}]}
    over = {"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "1Gi"}}], "tolerations": [{"key": "y"}]}
    assert strategic(base, over) == {"volumes": [{"name": "a", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}], "tolerations": [{"key": "y"}]}


def test_a_variable_has_a_value_or_a_source():
    base = {"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {}}}], "args": ["--x"]}
    over = {"env": [{"name": "A", "valueFrom": {"fieldRef": {}}}, {"name": "B", "value": "2"}], "args": ["--y"]}
    assert merged_container(base, over) == {"env": [{"name": "A", "valueFrom": {"fieldRef": {}}}, {"name": "B", "value": "2"}], "args": ["--x", "--y"]}


def test_neither_side_is_changed():
    base, over = {"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}
    strategic(base, over)["env"][0]["value"] = "3"
    assert (base["env"][0]["value"], over["env"][0]["value"]) == ("1", "2")
