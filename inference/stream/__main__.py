import sys

from inference.stream.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
