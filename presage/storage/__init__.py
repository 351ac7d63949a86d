"""Where named byte strings are kept: a folder, or a bucket of an object store; one interface, told apart by the address alone."""
