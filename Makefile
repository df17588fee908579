# A developer's checks: `make check` is what must pass before a commit.
.PHONY: check lint test slow docs bench

check: lint test

lint:
	ruff check .
	ruff format --check .
	pyright

test:
	pytest -n 2

slow:
	pytest --slow -n 2

docs:
	sphinx-build -W -b html docs docs/_build

bench:
	python benchmarks/digits.py
