// Package operations tests that what docs/ tells those who run a shop is true.
package operations

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-checkout/checkout/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const root = "../../"

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(root + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// database is where a shop keeps its orders unless it is told otherwise.
func database(shop *harness.Shop) string {
	return filepath.Join(shop.Dir, "data", "caddy", "checkout", "orders.db")
}

// notify tells the shop of a payment, which must be acknowledged.
func notify(t *testing.T, shop *harness.Shop, p harness.Payment) {
	t.Helper()
	if a := shop.Notify(p); a.Status != http.StatusOK || a.Body != "success" {
		t.Errorf("a notify is answered HTTP %d %q", a.Status, a.Body)
	}
}

// A backup is taken while the shop sells, and restored as the page says after
// a crash that leaves a log behind.
func TestBackupAndRestore(t *testing.T) {
	shop := harness.StartShop(t)
	paid, pending, review := shop.Order(), shop.Order(), shop.Order()
	notify(t, shop, paid.Payment("pay-1"))
	little := review.Payment("pay-2")
	little.RealPay = "0.01"
	notify(t, shop, little)

	copied := filepath.Join(shop.Dir, "orders-copy.db")
	backup := []string{"checkout", "backup", copied, "--address", shop.AdminAddress()}
	if out, err := shop.Run(backup...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := shop.Run(backup...); err == nil {
		t.Errorf("a copy was overwritten: %s", out)
	}
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy is %v, %v; want it readable by its owner only", info, err)
	}
	late := shop.Order()
	notify(t, shop, late.Payment("pay-3"))
	shop.Kill()

	if _, err := os.Stat(database(shop) + "-wal"); err != nil {
		t.Errorf("the crash left no log, so this test does not show that it must go: %v", err)
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(database(shop) + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(copied, database(shop)); err != nil {
		t.Fatal(err)
	}
	shop.Start(shop.Caddyfile())

	for want, o := range map[string]harness.Order{"paid": paid, "pending": pending, "review": review} {
		if got := shop.Status(o.OrderID); got.State != want || got.PayMoney != "39.00" {
			t.Errorf("an order that was %s is %+v", want, got)
		}
	}
	out, err := shop.Run("checkout", "orders", "--json", "--address", shop.AdminAddress())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var page struct{ Orders []struct{ ID string } }
	if err := json.Unmarshal([]byte(out), &page); err != nil || len(page.Orders) != 3 {
		t.Errorf("%d orders, %v; want the 3 of the copy\n%s", len(page.Orders), err, out)
	}

	// It sells on, and what was paid after the copy is told of as an orphan.
	notify(t, shop, pending.Payment("pay-4"))
	notify(t, shop, shop.Order().Payment("pay-5"))
	if a := shop.Notify(late.Payment("pay-3")); a.Status != http.StatusNotFound {
		t.Errorf("a notify for a lost order: HTTP %d %q", a.Status, a.Body)
	}
	out, err = shop.Run("checkout", "orphans", "--address", shop.AdminAddress())
	if err != nil || !strings.Contains(out, late.OrderID) {
		t.Errorf("the lost order is not among the orphans: %v\n%s", err, out)
	}
}

func TestCaddyfilesAreValid(t *testing.T) {
	c := harness.NewCaddy(t)
	found := regexp.MustCompile("(?ms)^```caddyfile\n(.*?)^```").FindAllStringSubmatch(readFile(t, "docs/operations.md"), -1)
	if len(found) == 0 {
		t.Fatal("no snippet")
	}
	for _, m := range found {
		if out, err := c.Validate(m[1]); err != nil {
			t.Errorf("%v:\n%s\n%s", err, m[1], out)
		}
	}
}

// Every command that the page names is there.
func TestCommandsExist(t *testing.T) {
	c := harness.NewCaddy(t)
	names := make(map[string]bool)
	for _, m := range regexp.MustCompile(`caddy checkout ([a-z-]+)`).FindAllStringSubmatch(readFile(t, "docs/operations.md"), -1) {
		names[m[1]] = true
	}
	if len(names) < 5 {
		t.Errorf("only %d commands", len(names))
	}
	out, err := c.Run("checkout", "--help")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name := range names {
		if !regexp.MustCompile(`(?m)^  ` + name + ` `).MatchString(out) {
			t.Errorf("there is no command %s", name)
		}
	}
}

// Every log line in the page's table is a text in the program.
func TestLogLinesExist(t *testing.T) {
	var program strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		program.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(readFile(t, "docs/operations.md"), "\n## Logs\n")
	section, _, _ = strings.Cut(section, "\n## ")
	lines := 0
	for row := range strings.Lines(section) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			lines++
			if !strings.Contains(program.String(), fmt.Sprintf("%q", m[1])) {
				t.Errorf("the program never logs %q", m[1])
			}
		}
	}
	if lines < 15 {
		t.Errorf("only %d log lines in the table", lines)
	}
}
