// Package catalog knows products and their prices.
package catalog

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-checkout/checkout/internal/order"
)

// Product is one thing for sale.
type Product struct {
	SKU      string      // 1 to 64 bytes, no control characters, no space at its ends
	Name     string      // 1 to 200 bytes, no control characters
	Price    order.Money // of one, more than nothing
	Image    string      // path or http(s) URL of a picture, may be empty
	URL      string      // its page: path or http(s) URL, may be empty
	Webhooks []string    // URLs of the webhooks told of orders with it, besides the shop's
}

// lookInterval is the least time between two looks at the file.
const lookInterval = time.Second

// Catalog is the inline products and those of a file, which is read again when
// it changes. Safe for concurrent use.
type Catalog struct {
	c     Config
	start time.Time
	now   func() time.Time

	products atomic.Pointer[list]
	nextLook atomic.Int64 // nanoseconds since start

	looking sync.Mutex // held by the one lookup that looks at the file
	file    file       // as it was last seen
}

// list is never changed once it is made.
type list struct {
	all   []Product
	bySKU map[string]int
}

// Config says where the products are.
type Config struct {
	Inline []Product
	File   string // may be empty

	// OnReload hears of every changed content of the file, once: the number
	// of all products now, or why the old ones stay. It is called from
	// within a lookup, one call at a time. May be nil.
	OnReload func(products int, err error)
}

// Open checks and reads everything. Errors name the file, the entry and what would be right.
func Open(c Config) (*Catalog, error) {
	return open(c, time.Now)
}

func open(c Config, now func() time.Time) (*Catalog, error) {
	k := &Catalog{c: c, start: now(), now: now}
	var filed []entry
	if c.File != "" {
		var err error
		if k.file, err = readFile(c.File, k.start); err != nil {
			return nil, err
		}
		if filed, err = parse(c.File, k.file.content); err != nil {
			return nil, err
		}
	}
	l, err := merge(c.Inline, filed)
	if err != nil {
		return nil, err
	}
	k.products.Store(l)
	k.file.content = nil
	k.nextLook.Store(int64(lookInterval))
	return k, nil
}

// Product looks a product up, after looking (at most once a second) whether the file changed.
func (c *Catalog) Product(sku string) (Product, bool) {
	c.look()
	l := c.products.Load()
	i, ok := l.bySKU[sku]
	if !ok {
		return Product{}, false
	}
	return l.all[i], true
}

// All returns the products, inline ones first.
func (c *Catalog) All() []Product {
	c.look()
	return slices.Clone(c.products.Load().all)
}

// look reads the file again if it changed. One lookup looks; those that come
// meanwhile go on with the products they have.
func (c *Catalog) look() {
	if c.c.File == "" {
		return
	}
	now := c.now()
	since := int64(now.Sub(c.start))
	if since < c.nextLook.Load() || !c.looking.TryLock() {
		return
	}
	defer c.looking.Unlock()
	c.nextLook.Store(since + int64(lookInterval))
	if c.file.unchanged(c.c.File) {
		return
	}

	read, err := readFile(c.c.File, now)
	told := read.sum == c.file.sum
	c.file = read
	c.file.content = nil
	if told {
		return
	}
	n := 0
	if err == nil {
		n, err = c.replace(read.content)
	}
	if c.c.OnReload != nil {
		c.c.OnReload(n, err)
	}
}

func (c *Catalog) replace(content []byte) (products int, err error) {
	filed, err := parse(c.c.File, content)
	if err != nil {
		return 0, err
	}
	l, err := merge(c.c.Inline, filed)
	if err != nil {
		return 0, err
	}
	c.products.Store(l)
	return len(l.all), nil
}

// merge checks the inline products (those of a file are checked where their
// lines are known) and that every sku is there once.
func merge(inline []Product, filed []entry) (*list, error) {
	entries := make([]entry, 0, len(inline)+len(filed))
	for i, p := range inline {
		e := entry{Product: p, place: fmt.Sprintf("inline product %d", i+1)}
		if err := p.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", e.place, err)
		}
		entries = append(entries, e)
	}
	entries = append(entries, filed...)

	l := &list{all: make([]Product, 0, len(entries)), bySKU: make(map[string]int, len(entries))}
	for i, e := range entries {
		if first, ok := l.bySKU[e.SKU]; ok {
			return nil, fmt.Errorf("%s: sku %q is taken by %s; every sku must be there once", e.place, e.SKU, entries[first].place)
		}
		l.bySKU[e.SKU] = i
		l.all = append(l.all, e.Product)
	}
	return l, nil
}
