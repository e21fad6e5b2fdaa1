# Everything here needs Go and make; what needs more says so and is skipped or refused with a line that says why.

# Versions of the tools that are not part of go.mod. They are built from the Go module proxy on first use.
GOLANGCI_LINT_VERSION := v2.15.0
GOFUMPT_VERSION       := v0.12.0

GO            ?= go
GOLANGCI_LINT := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
GOFUMPT       := $(GO) run mvdan.cc/gofumpt@$(GOFUMPT_VERSION)

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
IMAGE    ?= millrace:$(VERSION)
# ARGS goes to the command of `run`, `bench`: make run ARGS=--once
ARGS     ?=
# FUZZTIME is how long each fuzz target runs.
FUZZTIME ?= 30s

.DEFAULT_GOAL := help
.PHONY: help build run test race fuzz bench e2e chaos lint fmt generate check-rules image

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/millrace
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o bin/millrace ./cmd/millrace

run: build ## the shipped rules on a month of real purchases, with everything embedded (ARGS=--once: and then end)
	bin/millrace dev --rules rules --feed testdata/retail/feed.yaml $(ARGS)

test: ## all tests; those on a real Kafka only where there is a JVM
	@command -v java >/dev/null && command -v mvn >/dev/null || echo "make test: no java or no mvn: tests on a real Kafka are skipped"
	$(GO) test ./...

race: ## all tests under the race detector (needs a C compiler)
	$(GO) test -race ./...

fuzz: ## every fuzz target for FUZZTIME (30s)
	@set -e; for file in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | sort); do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' $$file); do \
			echo "== $$(dirname $$file) $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$(dirname $$file); \
		done; \
	done

bench: ## Go benchmarks, then millrace beside plain goka and bare sarama (Kafka part: needs a JVM)
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) run ./bench -compare $(ARGS)

e2e: ## whole program on a real Kafka and a real registry, with foreign clients (needs a JVM, Maven, Python)
	MILLRACE_E2E=1 $(GO) test -count=1 -v -timeout 60m ./e2e/...

chaos: ## 10,000 simulated lives, then workers and brokers killed and frozen under load (embedded broker and real Kafka: needs a JVM)
	MILLRACE_CHAOS=1 $(GO) test -count=1 -v -timeout 60m -run '^TestChaosSimulation' ./topologies
	MILLRACE_CHAOS=1 $(GO) test -count=1 -v -timeout 60m -run '^TestChaos' ./e2e/chaos $(ARGS)

lint: ## vet and golangci-lint
	$(GO) vet ./...
	$(GOLANGCI_LINT) run ./...

fmt: ## gofumpt, and imports in their order
	$(GOFUMPT) -l -w .
	$(GOLANGCI_LINT) fmt

generate: ## tables and code that are made from other files
	$(GO) generate ./...

check-rules: build ## the shipped rules
	bin/millrace check rules

image: ## container image with the static binary (needs docker)
	docker build -f deploy/Dockerfile --build-arg VERSION=$(VERSION) -t $(IMAGE) .
