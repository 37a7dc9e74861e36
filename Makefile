# The two commands: `make demo` and `make test`. Each sets up all it needs.
PYTHON ?= python3
RUN := .venv/bin/python
HOME_DIR ?= .proofrail-demo
LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate

.PHONY: demo test test-long month assurance assurance-long fuzz bench bench-decode artifacts dist man docs lint lock setup setup-dev setup-tools stop clean

demo: setup          ## the whole rail on this machine; KEEP=1 leaves it running
	@$(RUN) -m scripts.demo --home $(HOME_DIR) $(if $(KEEP),--keep)

test: setup-dev      ## every test
	@$(RUN) -m scripts.run_tests

test-long: setup-dev ## the tests that take minutes each and that `make test` leaves out
	@$(RUN) -m pytest -m extended --timeout=3600

month: setup         ## a month of 1,250 devices, with everything that goes wrong, to the cent
	@$(RUN) -m scripts.month $(if $(SCALE),--scale $(SCALE)) $(if $(SEED),--seed $(SEED))

assurance: setup-dev setup-tools ## what an auditor asks of the contracts: one table, in 25 minutes at most
	@$(RUN) -m scripts.assurance $(PARTS)

assurance-long: setup-dev setup-tools ## also mutants, proofs and 10 million calls; rewrites docs/ASSURANCE.md
	@$(RUN) -m scripts.assurance --long $(PARTS)

fuzz: setup-dev      ## a million random claims of index agreements: the contract against Python
	@$(RUN) -m tests.fuzz

bench: setup-dev     ## the speed of this rail against a naive loop
	@$(RUN) -m tests.bench

bench-decode: setup-dev ## how many records of each protocol one core reads in a second
	@$(RUN) -m tests.bench.decode

artifacts: setup-dev ## recompiles the contracts and rewrites the artifacts that ship with the package
	@$(RUN) -m scripts.compile_contracts

dist: setup-dev      ## the source distribution and the wheel, in dist/
	@.venv/bin/uv build --quiet --no-build-isolation --python $(RUN) --out-dir dist .

man: setup-dev       ## rewrites packaging/proofrail.1 from the table of commands
	@$(RUN) -m scripts.man_page

docs: setup-dev      ## the documentation as a site in site/; it works without a network
	@NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --quiet

lint: setup-dev      ## style: linter and formatter
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

stop:                ## stops what `make demo KEEP=1` left running
	@$(RUN) -m scripts.demo --home $(HOME_DIR) --stop

setup:
	@$(PYTHON) scripts/bootstrap.py runtime

setup-dev:
	@$(PYTHON) scripts/bootstrap.py dev

setup-tools:         ## Ape and slither in .venv-tools, halmos in .venv-halmos; `python -m scripts.with_ape` needs the first
	@$(PYTHON) scripts/bootstrap.py tools
	@$(PYTHON) scripts/bootstrap.py halmos

lock: setup-dev      ## renews the hash-locked requirements from the .in files
	$(LOCK) requirements/uv.in -o requirements/uv.txt
	$(LOCK) requirements/node.in -o requirements/node.txt
	$(LOCK) requirements/dev.in -o requirements/dev.txt
	$(LOCK) -c requirements/dev.txt requirements/runtime.in -o requirements/runtime.txt
	$(LOCK) -c requirements/dev.txt requirements/base.in -o requirements/base.txt
	$(LOCK) -c requirements/dev.txt requirements/base.in requirements/device.in -o requirements/device.txt
	$(LOCK) -c requirements/dev.txt requirements/base.in requirements/oracle.in -o requirements/oracle.txt
	$(LOCK) -c requirements/dev.txt requirements/base.in requirements/device.in requirements/oracle.in \
	        requirements/rail.in -o requirements/rail.txt
	$(LOCK) -c requirements/dev.txt requirements/otel.in -o requirements/otel.txt
	$(LOCK) requirements/tools.in -o requirements/tools.txt
	$(LOCK) requirements/halmos.in -o requirements/halmos.txt
	$(LOCK) requirements/opendsm.in -o requirements/opendsm.txt

clean:               ## what can be made again, and never a rail
	rm -rf build dist *.egg-info .venv .venv-tools .venv-halmos .venv-opendsm node_modules site .build .pytest_cache .hypothesis
