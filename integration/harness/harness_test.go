package harness

import (
	"fmt"
	"net/http"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// The vectors are the protocol's own: this gateway and the plugin must both
// come to them by themselves.
func TestKey(t *testing.T) {
	for _, tt := range []struct {
		token string
		pairs []string
		want  string
	}{
		{"10665CF54E90822951FE80330E9CF715", []string{"uid", "10000001400000", "reqtime", "2018-09-02 12:35:06"}, "c9b922d7dde2c8ad614b998f8d183e84"},
		{"2f44c6b906208208c4122c83125ccd7b", []string{"payid", "10000000480012", "orderid", "10000000480010", "orderuid", "", "paymoney", "0.01", "realpay", "0.01"}, "42552a90cce5a7ee1a5d3d8794fb8657"},
	} {
		if got := Key(tt.token, tt.pairs...); got != tt.want {
			t.Errorf("Key(%v) = %s, want %s", tt.pairs, got, tt.want)
		}
	}
}

func TestCaddyKeepsItsPort(t *testing.T) {
	c := NewCaddy(t)
	port := c.Listen()
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	serve := func(text string) string { return fmt.Sprintf("%s {\n\trespond %q\n}\n", url, text) }
	expect := func(text string) {
		t.Helper()
		resp, err := NewClient().Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var got string
		if _, err := fmt.Fscan(resp.Body, &got); err != nil || got != text {
			t.Fatalf("got %q, want %q (%v)", got, text, err)
		}
	}
	c.Start(serve("first"))
	expect("first")
	if err := c.Reload(serve("second")); err != nil {
		t.Fatal(err)
	}
	expect("second")
	if err := c.Reload("{\n\tnonsense\n}\n"); err == nil {
		t.Fatal("a Caddyfile of nonsense was loaded")
	}
	expect("second")
	c.Kill()
	c.Start(serve("third"))
	expect("third")
	if status, _ := c.Admin(http.MethodGet, "/config/", nil); status != http.StatusOK {
		t.Errorf("the admin endpoint answers %d", status)
	}
	if err := NewCaddy(t).TryStart("{\n\tnonsense\n}\n"); err == nil {
		t.Error("a Caddyfile of nonsense started")
	}
}

func TestBrowserSeesPages(t *testing.T) {
	for _, w := range []Window{Desktop, {Width: 390, Height: 844, Language: "zh-CN", NoScript: true, Dark: true}} {
		c := NewCaddy(t)
		url := fmt.Sprintf("http://127.0.0.1:%d", c.Listen())
		c.Start(url + ` {
	header Content-Type text/html
	respond /next <<HTML
		<title>Next</title><p>Hello {http.request.uri.query} {http.request.header.Accept-Language}</p>
		<script>document.title = "scripts run"</script>
		<style>@media (prefers-color-scheme: dark) { p { color: white } }</style>
		HTML
	respond <<HTML
		<title>First</title><form action="/next"><input name="q" value="old"><button>Go</button></form>
		HTML
}
`)
		b := NewBrowser(t, w)
		b.Open(url)
		b.TabTo("[name=q]")
		b.Type("[name=q]", "new")
		b.Click("button")
		b.AwaitText("Hello q=new " + w.Language)
		b.Screenshot("next")
		title, err := b.Eval("document.title")
		if want := map[bool]string{true: "Next", false: "scripts run"}[w.NoScript]; err != nil || title != want {
			t.Errorf("title %q, want %q (%v)", title, want, err)
		}
		if len(b.Problems()) > 0 {
			t.Logf("problems: %v", b.Problems())
		}
	}
}
