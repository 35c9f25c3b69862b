# The same steps as `python3 Testing/checkout.py demo|test|bench|check|attack`, which is what runs on Windows.
PYTHON ?= python3

.PHONY: setup demo test bench check attack clean

setup demo test bench check attack:
	$(PYTHON) Testing/checkout.py $@

clean:
	rm -rf .venv demo-output bench-output attack-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
