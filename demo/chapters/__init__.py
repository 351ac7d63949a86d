"""What is shown, a module each: `show(stage, tell)` acts, claims, and leaves what later chapters need in what it returns."""
