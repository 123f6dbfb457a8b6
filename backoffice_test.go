package checkout

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-checkout/checkout/internal/order"
)

// offices are routes to the back office: with a password, with a sign-in
// service, open, and without anything in front.
const offices = `
	handle_path /admin* {
		encode
		basic_auth {
			alice $2a$04$DivQpVfvcW75yfs6raD23.8sXYnh4vSgFWfOK2GvFqNBnVSbr0o42
		}
		checkout_backoffice {
			title "Tea house"
		}
	}
	handle /auth {
		@signed header Cookie session=carol
		header @signed Remote-User carol
		respond 200
	}
	handle /service/* {
		forward_auth SHOP {
			uri /auth
			copy_headers Remote-User
		}
		map {header.Remote-User} {http.auth.user.id} {
			~^(.+)$ "${1}"
		}
		checkout_backoffice
	}
	handle /open/* {
		checkout_backoffice {
			allow_unprotected
		}
	}
	handle /bare/* {
		checkout_backoffice
	}
`

// withOffices loads a configuration that has the routes.
func (r *running) withOffices(t *testing.T) {
	t.Helper()
	routes := strings.ReplaceAll(offices, "SHOP", strings.TrimPrefix(r.shop, "http://"))
	config := strings.Replace(r.caddyfile(), "\thandle {\n", routes+"\thandle {\n", 1)
	if err := reload(t, adaptRaw(t, config)); err != nil {
		t.Fatal(err)
	}
}

func (r *running) asAlice() string {
	return strings.Replace(r.shop, "://", "://alice:wonderland@", 1) + "/admin/"
}

func TestBackOfficeProtection(t *testing.T) {
	r := run(t)
	r.withOffices(t)
	defer r.waitIdle(t)
	for _, c := range []struct {
		name, target string
		header       []string
		status       int
		text         string
	}{
		{"password", r.asAlice(), nil, 200, "Tea house"},
		{"no password", r.shop + "/admin/", nil, 401, ""},
		{"no user", r.shop + "/bare/", nil, 403, "forward_auth"},
		{"no user, any page", r.shop + "/bare/orders.csv", nil, 403, "basic_auth"},
		{"forged header", r.shop + "/bare/", []string{"Remote-User", "mallory"}, 403, ""},
		{"open", r.shop + "/open/", nil, 200, "allow_unprotected"},
		{"signed in", r.shop + "/service/charts", []string{"Cookie", "session=carol"}, 200, "carol"},
		{"not signed in", r.shop + "/service/charts", nil, 403, ""},
		{"not signed in, forged header", r.shop + "/service/charts", []string{"Remote-User", "mallory"}, 403, ""},
		{"signed in, forged header", r.shop + "/service/charts", []string{"Cookie", "session=carol", "Remote-User", "mallory"}, 200, "carol"},
	} {
		a := ask(t, http.DefaultClient, "GET", c.target, "", c.header...)
		if a.status != c.status || !strings.Contains(a.body, c.text) || strings.Contains(a.body, "mallory") {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
}

func TestBackOfficeShips(t *testing.T) {
	r := run(t)
	r.withOffices(t)
	defer r.waitIdle(t)
	f := r.order(t, "sku=mug")
	r.pay(t, f)
	base, err := url.Parse(r.asAlice())
	if err != nil {
		t.Fatal(err)
	}
	page := ask(t, http.DefaultClient, "GET", base.String()+"orders/"+f.OrderID, "")
	seen := regexp.MustCompile(`name="seen" value="(\w+)"`).FindStringSubmatch(page.body)
	action := regexp.MustCompile(`action="([^"]+/shipped)"`).FindStringSubmatch(page.body)
	if seen == nil || action == nil {
		t.Fatalf("%d %s", page.status, page.body)
	}
	to, err := base.Parse("orders/" + f.OrderID)
	if err != nil {
		t.Fatal(err)
	}
	if to, err = to.Parse(action[1]); err != nil {
		t.Fatal(err)
	}
	body := "reason=SF123&seen=" + seen[1]
	if a := ask(t, http.DefaultClient, "POST", to.String(), body, "Content-Type", form, "Origin", "https://evil.example"); a.status != http.StatusForbidden {
		t.Errorf("from elsewhere: %d %s", a.status, a.body)
	}
	// The client follows the redirect, as a browser does.
	if a := ask(t, http.DefaultClient, "POST", to.String(), body, "Content-Type", form, "Origin", r.shop); a.status != http.StatusOK || !strings.Contains(a.body, "Marked as shipped.") {
		t.Errorf("%d %s", a.status, a.body)
	}
	o, _, err := openStore(t).get().Detail(t.Context(), f.OrderID)
	if err != nil {
		t.Fatal(err)
	}
	if e := o.History[len(o.History)-1]; e.Who != "alice" || e.What != "shipped" || e.Reason != "SF123" {
		t.Errorf("history ends with %+v", e)
	}
}

func TestBackOfficeWithoutSlash(t *testing.T) {
	r := run(t)
	r.withOffices(t)
	defer r.waitIdle(t)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	a := ask(t, client, "GET", strings.TrimSuffix(r.asAlice(), "/"), "")
	if a.status != http.StatusPermanentRedirect || a.header.Get("Location") != "./admin/" {
		t.Errorf("%d to %q", a.status, a.header.Get("Location"))
	}
}

// TestBackOfficeLive follows the feed through a compressor, and lets a reload
// and then the end of Caddy end it: a server waits for its requests.
func TestBackOfficeLive(t *testing.T) {
	r := run(t)
	r.withOffices(t)
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(client.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), failsafe)
	defer cancel()
	follow := func() *bufio.Scanner {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, "GET", r.asAlice()+"live", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip, zstd")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Encoding") != "" {
			t.Fatalf("%d, %v", resp.StatusCode, resp.Header)
		}
		lines := bufio.NewScanner(resp.Body)
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), "retry:") {
			t.Fatalf("%q, %v", lines.Text(), lines.Err())
		}
		return lines
	}
	awaitEnd := func(lines *bufio.Scanner) {
		t.Helper()
		for lines.Scan() {
			continue
		}
		if ctx.Err() != nil {
			t.Fatal("the stream does not end")
		}
	}

	lines := follow()
	f := r.order(t, "sku=mug")
	for lines.Scan() && !strings.Contains(lines.Text(), f.OrderID) {
		continue
	}
	if want := `"state":"` + order.Pending.String() + `"`; !strings.Contains(lines.Text(), want) {
		t.Errorf("%q, %v", lines.Text(), lines.Err())
	}
	r.withOffices(t) // what did not change is not loaded again, but this is forced
	awaitEnd(lines)

	lines = follow()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitEnd(lines)
	for poolSize(stores) > 0 && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
}
