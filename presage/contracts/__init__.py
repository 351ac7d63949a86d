"""Contracts that callers rely on: what changed between two, which version that needs, and what a caller writes to use one.

    version     semantic versions of contracts
    compare     every difference, and whether it breaks a caller
    successor   whether one contract may follow another under one name
    reading     a contract out of a file or a release
    settling    the contract of a retrained model: ranges kept, version derived
    requests    examples that fit a contract
    snippets    curl, Python and Go that ask for predictions
"""
