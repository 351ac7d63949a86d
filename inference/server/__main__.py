import sys

from inference.server.program import main

sys.exit(main(sys.argv[1:]))
