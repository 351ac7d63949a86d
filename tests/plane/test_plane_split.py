"""The split of a canary, over many requests."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from builders.mesh_plane import PREDICT, RunningPlane

REQUESTS, CLIENTS = 20_000, 4
METHOD, PATH, BODY = PREDICT


def asked(plane: RunningPlane, count: int) -> Counter[str]:
    import json

    connection = plane.connection(plane.certificate("operators"))
    headers = {"content-type": "application/json", "authorization": f"Bearer {plane.token(seconds=3600)}"}
    found: Counter[str] = Counter()
    for _ in range(count):
        connection.request(METHOD, PATH, BODY, headers)
        answer = connection.getresponse()
        content = answer.read()
        found[json.loads(content)["predictions"][0]["model"]["version"] if answer.status == 200 else str(answer.status)] += 1
        if answer.will_close:
            connection.close()
            connection = plane.connection(plane.certificate("operators"))
    return found


@pytest.mark.slow
def test_five_percent_is_five_percent_of_twenty_thousand_requests(plane):
    second = plane.second_release()
    plane.apply(canary=second, percent=5)
    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            found = sum(pool.map(lambda _: asked(plane, REQUESTS // CLIENTS), range(CLIENTS)), Counter())
    finally:
        plane.apply()
    version = second.partition(":incident:")[2] or second.split(":")[2].partition("@")[0]
    assert sum(found.values()) == REQUESTS
    assert found.keys() == {"1", version}
    # five standard deviations of a binomial with p = 0.05
    assert abs(found[version] - 0.05 * REQUESTS) < 5 * (REQUESTS * 0.05 * 0.95) ** 0.5
