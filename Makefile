# Mailark. `make demo` and `make test` need nothing set up beforehand but Go.

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -X mailark/internal/cli.version=$(VERSION)
FUZZTIME ?= 10s
LINT     := .cache/bin/golangci-lint-v2.15.0

.PHONY: build demo test dovecot check format vet lint tidy race bench fuzz clean

build:
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/mailark-export ./cmd/export
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/mailark-import ./cmd/import
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/mailark ./cmd/mailark

# A made-up mailbox: server, export, verify, list, import, second server, audit.
demo: build
	go run ./internal/demo bin

test: dovecot
	go test -timeout 20m ./...

# Tests against a real IMAP server need Dovecot; without it they are skipped.
dovecot:
	@.ci/dovecot

# Everything a change must pass.
check: format vet lint tidy race

format:
	@files=$$(gofmt -l .); test -z "$$files" || { echo "gofmt -w these:"; echo "$$files"; exit 1; }

vet:
	go vet ./...

lint: $(LINT)
	$(LINT) run ./...

$(LINT):
	GOBIN=$(CURDIR)/.cache/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv .cache/bin/golangci-lint $@

tidy:
	go mod tidy -diff

# With fewer rounds of the crash tests than `make test`: the race detector needs each path once. The programs that
# internal/e2e starts are built without it.
race: dovecot
	go test -race -short -timeout 25m $$(go list ./... | grep -v /internal/e2e)

# Exports side by side with mbsync, Go benchmarks, sizes. MAILARK_BENCH_ONLY='plain 50 ms' chooses; see .ci/bench.
bench:
	@.ci/bench

# Every fuzz target there is, FUZZTIME each.
fuzz:
	@.ci/fuzz $(FUZZTIME)

clean:
	rm -rf bin .cache
