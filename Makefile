.DEFAULT_GOAL := help

help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start the example shop on http://localhost:8080, its sandbox gateway on :8081
	go run ./cmd/caddy run --config examples/storefront/Caddyfile

build: ## Build Caddy with this plugin into ./caddy
	go build -o caddy ./cmd/caddy

test: ## Run all tests
	go test ./...

race: ## Run all tests with the race detector
	go test -race -p 2 ./...

lint: ## Check style and the walls between the packages
	golangci-lint run ./...

fuzz: ## Fuzz every target for TIME each (default 30s)
	.ci/fuzz $(or $(TIME),30s)

bench: ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

ci: ## Run what must be green before a change lands
	.ci/run

.PHONY: help run build test race lint fuzz bench ci
