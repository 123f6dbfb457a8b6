// Command caddy is stock Caddy with the checkout plugin compiled in, the same
// program that xcaddy builds.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-checkout/checkout"
)

func main() {
	caddycmd.Main()
}
