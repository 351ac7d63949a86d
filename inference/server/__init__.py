"""The program that answers: doors around the request path.

    python -m inference.server --model_name=incident --model_dir=/mnt/models --http_port=8080 …

    program     from flags to a running server and back to nothing
    service     one request in, one response out; knows no door
    asgi        the door: uvicorn with limits
    oip, plain  the two dialects
"""
