# "make help" lists the targets. CI runs .ci/run, which is: make lint test.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := build
.PHONY: help deps build install unit test lint fmt race fuzz bench chaos demo generate clean

export PATH := $(PATH):/usr/local/go/bin
export CGO_ENABLED ?= 0
# Debian's go does not fetch the version that go.mod asks for unless it is told to.
export GOTOOLCHAIN ?= auto
export GOFLAGS ?= -buildvcs=false

# Tools are pinned here and run from the module cache; they are no part of go.mod.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ERRCHECK := github.com/kisielk/errcheck@v1.30.0
PROTOC_GEN_GO := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
PROTOC_GEN_GO_GRPC := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2

FUZZTIME ?= 30s
PREFIX ?= /usr/local
VERSION ?= $(or $(shell git describe --tags --match 'v*' 2>/dev/null),dev)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
STAMP := github.com/barman-go/barman/core/version
BUILD := go build -trimpath -ldflags '-s -w -X $(STAMP).Version=$(VERSION) -X $(STAMP).Commit=$(COMMIT) -X "main.version=$(VERSION) ($(shell echo $(COMMIT) | cut -c1-12))"'

# plugins/sink-s3 is barman-plugin-sink-s3; a directory whose name starts with no kind is a transform: plugins/compress is
# barman-plugin-transform-compress.
PLUGINS := $(patsubst plugins/%/main.go,%,$(wildcard plugins/*/main.go))
binary = barman-plugin-$(if $(filter source-% sink-% hook-%,$(1)),,transform-)$(1)
# What the one binary is by other names: the clients for PostgreSQL's host.
NAMES := barman-wal-archive barman-wal-restore $(addprefix barman-cloud-,backup backup-delete backup-keep backup-list backup-show \
	check-wal-archive restore wal-archive wal-restore)
# Examples are modules of their own: they are built and tested as a stranger would. examples/transform-age becomes
# bin/examples/barman-plugin-transform-age.
MODULES := $(patsubst %/go.mod,%,$(wildcard examples/*/go.mod))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what building and testing need (Debian; root or sudo)
	scripts/install-deps

build: ## barman and its plugins into bin/, the example plugins into bin/examples/
	@mkdir -p bin
	$(BUILD) -o bin/barman ./cmd/barman
	$(foreach n,$(NAMES),ln -sf barman bin/$(n) &&) true
	$(foreach p,$(PLUGINS),$(BUILD) -o bin/$(call binary,$(p)) ./plugins/$(p) &&) true
	$(foreach m,$(MODULES),go -C $(m) build -trimpath -o $(CURDIR)/bin/examples/barman-plugin-$(notdir $(m)) . &&) true

install: build ## barman, its names, plugins, manual pages and completions below $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/barman
	install -m 755 bin/barman bin/barman-plugin-* $(DESTDIR)$(PREFIX)/libexec/barman
	$(foreach n,barman $(NAMES),ln -sf ../libexec/barman/barman $(DESTDIR)$(PREFIX)/bin/$(n) &&) true
	bin/barman -c test/testdata/empty.hcl docs man $(DESTDIR)$(PREFIX)/share/man
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions zsh/site-functions fish/vendor_completions.d)
	bin/barman completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/barman
	bin/barman completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_barman
	bin/barman completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/barman.fish

unit: ## the tests that start no PostgreSQL, while you write
	go test $$(go list ./... | grep -v '/test\(/\|$$\)')

test: deps build ## everything, against real servers; what CI runs
	BARMAN_BIN=$(CURDIR)/bin go test -timeout 18m -p 2 ./...
	$(foreach m,$(MODULES),BARMAN_BIN=$(CURDIR)/bin go -C $(m) test -timeout 5m ./... &&) true

lint: ## gofmt, vet, staticcheck, errcheck and the import table
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); [ -z "$$out" ] || { echo "gofmt these (make fmt):"; echo "$$out"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go run $(ERRCHECK) -ignoretests -exclude scripts/errcheck.exclude ./...
	$(foreach m,$(MODULES),go -C $(m) vet ./... &&) true
	go test -count=1 .

fmt: ## format the Go files
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

race: ## the unit tests under the race detector (needs a C compiler)
	scripts/install-deps race
	CGO_ENABLED=1 go test -race -timeout 30m $$(go list ./... | grep -v '/test\(/\|$$\)')

fuzz: ## every fuzz test for FUZZTIME
	scripts/fuzz $(FUZZTIME)

bench: build ## speed, paired with pg_basebackup and pgbackrest on this machine
	scripts/install-deps bench
	scripts/bench

chaos: deps build ## every system call of the commands fails or is the last one: all of the crash harness (long)
	BARMAN_BIN=$(CURDIR)/bin BARMAN_CHAOS=all go test -count=1 -timeout 12h -v -run 'Chaos|EveryBroken' ./test/... ./sdk/sdktest

demo: deps build ## back up a scratch PostgreSQL, recover it to a moment, prove it, clean up
	scripts/demo

generate: build ## protobuf code, docs/configuration.md, docs/commands.md and README's table
	scripts/install-deps generate
	GOBIN=$(CURDIR)/.cache/bin go install $(PROTOC_GEN_GO)
	GOBIN=$(CURDIR)/.cache/bin go install $(PROTOC_GEN_GO_GRPC)
	PATH=$(CURDIR)/.cache/bin:$$PATH protoc -I sdk --go_out=sdk --go_opt=paths=source_relative --go-grpc_out=sdk --go-grpc_opt=paths=source_relative sdk/proto/*.proto
	bin/barman -c test/testdata/empty.hcl config reference >docs/configuration.md
	bin/barman docs commands >docs/commands.md
	bin/barman docs readme README.md >README.md.new && mv README.md.new README.md

clean: ## remove what make made
	rm -rf bin .cache
