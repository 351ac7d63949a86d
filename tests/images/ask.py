"""One HTTP request to 127.0.0.1, asked and answered as JSON on stdin and stdout; status 0 where nothing listens yet. Runs in a Pod's network."""

import json
import sys
from http.client import HTTPConnection, HTTPException

wanted = json.load(sys.stdin)
connection = HTTPConnection("127.0.0.1", wanted["port"], timeout=30)
body = None if wanted["document"] is None else json.dumps(wanted["document"]).encode()
try:
    connection.request(wanted["method"], wanted["path"], body, {"content-type": "application/json"} if body else {})
    response = connection.getresponse()
    answer = {"status": response.status, "body": response.read().decode()}
except (OSError, HTTPException) as error:
    answer = {"status": 0, "body": str(error)}
print(json.dumps(answer))
