# SPDX-License-Identifier: Apache-2.0
"""Python workload: a document is built, written as JSON and parsed again, three times."""
import json

for round_ in range(3):
    document = [{"id": i, "name": f"item-{i}", "tags": [i % 7, i % 11, i % 13], "price": i / 3} for i in range(120_000)]
    assert json.loads(json.dumps(document))[-1]["id"] == 119_999
