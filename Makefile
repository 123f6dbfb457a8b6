.DEFAULT_GOAL := help

help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

simulate: ## Run a million random histories of orders and faults
	CHECKOUT_SIMULATIONS=1000000 go test -count=1 -timeout 6h -v -run TestHistories ./internal/simulation

bench: ## Compare durable orders with a static answer and a proxied app
	go run ./bench

benchmarks: ## Run the benchmarks of every package
	go test -run '^$$' -bench . -benchmem ./...

ci: ## Run what must be green before a change lands
	.ci/run

.PHONY: help run build test race lint fuzz simulate bench benchmarks ci
