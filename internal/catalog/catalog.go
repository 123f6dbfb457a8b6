// Package catalog knows products and their prices.
package catalog

import "github.com/caddy-checkout/checkout/internal/order"

// Product is one thing for sale.
type Product struct {
	SKU      string
	Name     string
	Price    order.Money
	Image    string   // path or URL of a picture, may be empty
	URL      string   // its page, may be empty
	Webhooks []string // URLs of the webhooks told of orders with it, besides the shop's
}

// Catalog is the inline products and those of a file, which is read again when
// it changes. Safe for concurrent use.
type Catalog struct{}

// Config says where the products are.
type Config struct {
	Inline   []Product
	File     string                        // may be empty
	OnReload func(products int, err error) // after every re-read; a broken file keeps the old products. May be nil
}

// Open checks and reads everything. Errors name the file, the entry and what would be right.
func Open(c Config) (*Catalog, error) { panic("unwritten") }

// Product looks a product up, after looking (at most once a second) whether the file changed.
func (c *Catalog) Product(sku string) (Product, bool) { panic("unwritten") }

// All returns the products, inline ones first.
func (c *Catalog) All() []Product { panic("unwritten") }
