# Mesokit: what a person types. Everything is done by go; this file only names
# the commands and says what is missing before they fail in stranger ways.

GO ?= go
# Packages that are tested at the same time. Some start several JVMs, so this
# does not follow the number of cores.
PARALLEL ?= 2
# A package whose tests take longer hangs.
TIMEOUT ?= 20m
# What make test and make lint look at.
PACKAGES ?= ./...

# All of go's fixes but this one: three short strings are read more easily added.
FIXES = -stringsbuilder=false

.DEFAULT_GOAL := help
.PHONY: help quickstart test soak lint tools compiler

help: ## Say what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-21s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

quickstart: tools ## Three real Kafka brokers on an embedded Mesos, until Ctrl-C; ONCE=1 ends by itself.
	@$(call run,quickstart)

# One rule for all: quickstart-cassandra is examples/quickstart-cassandra.
quickstart-%: tools
	@$(call run,$@)

quickstart-cassandra: ## A real Cassandra node is killed while rows are written at QUORUM; nothing is lost.
quickstart-hdfs: ## A real HDFS: the active name node is killed while files are written.
quickstart-mysql: ## A real MySQL primary is killed, and a replica takes over; FLAVOR=mariadb for MariaDB.

# run,folder of examples: the process is the quickstart itself, so that Ctrl-C reaches it alone.
run = dir="$${XDG_CACHE_HOME:-$$HOME/.cache}/mesokit" && mkdir -p "$$dir" && $(GO) build -o "$$dir/$(1)" ./examples/$(1) && exec "$$dir/$(1)" $(if $(filter-out 0,$(ONCE)),-once)

# Tests for which no real server could be had write a line to the file that
# MESOKIT_NOT_RUN names (internal/dist/disttest); with CI=true they fail instead.
test: tools compiler ## Run every test, with the race detector, in a new order each time.
	@notrun=$$(mktemp) && trap 'rm -f "$$notrun"' EXIT && \
	MESOKIT_NOT_RUN=$$notrun $(GO) test -race -shuffle=on -timeout=$(TIMEOUT) -p=$(PARALLEL) $(PACKAGES); result=$$?; \
	if [ -s "$$notrun" ]; then \
		printf '\n**** NOT RUN, because a real server could not be had:\n'; sort -u "$$notrun"; \
		printf '**** The tests above prove nothing on this machine.\n'; \
	fi; exit $$result

# Steps that each simulation takes, and the seed that they begin with: another
# one each time. A finding is saved in the testdata of its package, from where
# every test replays it.
STEPS ?= 1000000
SEED ?= $(shell date +%s)

soak: ## Simulate under faults on all cores, then lose what of HDFS and MySQL can be lost, and grow a ring to five: make soak STEPS=10000000.
	@GOGC=400 MESOKIT_SOAK=$(STEPS) MESOKIT_SEED=$(SEED) $(GO) test -count=1 -timeout=0 -v -run='^TestSim.*ForLong$$' ./scheduler/mesostest ./frameworks/... ./examples/...
	@MESOKIT_SOAK=$(STEPS) MESOKIT_SEED=$(SEED) $(GO) test -count=1 -timeout=0 -run='AtEveryPoint$$|UnderFaults$$|ThenQuiet$$|ThousandNodes$$|Compete$$' ./frameworks
	@MESOKIT_SOAK=$(STEPS) $(GO) test -count=1 -timeout=0 -v -run='^TestLosses$$' ./frameworks/hdfs/mesos-hdfs
	@MESOKIT_SOAK=$(STEPS) $(GO) test -count=1 -timeout=0 -v -run='^TestRing$$' ./frameworks/cassandra/mesos-cassandra
	@MESOKIT_SOAK=$(STEPS) $(GO) test -count=1 -timeout=0 -v -run='^TestLosses$$' ./frameworks/mysql/mesos-mysql

lint: ## Check formatting, vet and static analysis; show outdated idioms.
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .) && if [ -n "$$unformatted" ]; then printf 'not formatted (gofmt -w):\n%s\n' "$$unformatted"; exit 1; fi
	@$(GO) vet $(PACKAGES)
	@$(GO) tool -modfile=.tools/go.mod staticcheck $(PACKAGES)
	@$(GO) fix $(FIXES) -diff $(PACKAGES) || echo 'advice, which grows with each Go: go fix $(FIXES) $(PACKAGES) does the above'

# need,command,what to install,Debian package,macOS package
need = command -v $(1) >/dev/null || { echo "$(1) was not found: install $(2): $(3) (Debian, Ubuntu), brew install $(4) (macOS)" >&2; missing=1; }

# What a server needs beside it, java and the first time mvn, is for internal/dist
# to say: it knows what is in the cache already.
tools:
	@missing=; $(call need,$(GO),Go 1.26 or newer,from go.dev/dl,go); [ -z "$$missing" ]

compiler:
	@missing=; $(call need,cc,a C compiler for the race detector,apt-get install gcc libc6-dev,gcc); [ -z "$$missing" ]
