"""What happens to one request, a module a step; `chain.py` shows the order."""
