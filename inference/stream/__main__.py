import os
import sys

if __name__ == "__main__":
    # A tick's table is small: threads of its own would only compete with the server beside. Polars reads this at import.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    from inference.stream.program import main

    sys.exit(main(sys.argv[1:]))
