# The same steps as `python3 Testing/checkout.py demo|test|bench|check`, which is what runs on Windows.
PYTHON ?= python3

.PHONY: setup demo test bench check clean

setup demo test bench check:
	$(PYTHON) Testing/checkout.py $@

clean:
	rm -rf .venv demo-output bench-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
