package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const token = "canary-of-the-shop"

func options() Options {
	return Options{Lookup: func(p string) (string, bool) { return token, p == "{env.TOKEN}" }}
}

// routed is a configuration with one server that has these routes.
func routed(routes string) string {
	return fmt.Sprintf(`{"apps":{"http":{"servers":{"srv0":{"listen":[":443"],"routes":[%s]}}}}}`, routes)
}

const block = `{"handler":"checkout","uid":"1","token":"{env.TOKEN}","origin":"https://shop.example.com","products":[]}`

func examine(t *testing.T, config string, o Options) []string {
	t.Helper()
	r, err := Examine(t.Context(), []byte(config), o)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]string, 0, len(r.Findings))
	for _, f := range r.Findings {
		list = append(list, string(f.Severity)+" "+f.Code)
		if strings.Contains(fmt.Sprint(f), "canary") {
			t.Errorf("a finding holds the token: %v", f)
		}
	}
	return list
}

// Each matcher stands before a redirect that comes before the shop.
func TestMatchers(t *testing.T) {
	const lost, doubt = "error notify-redirect", "warning notify-redirect"
	for _, test := range []struct{ match, want string }{
		{`{}`, lost},
		{`{"path":["/checkout/notify"]}`, lost},
		{`{"path":["/CHECKOUT/*"]}`, lost},
		{`{"path":["*/notify"]}`, lost},
		{`{"path":["*out/not*"]}`, lost},
		{`{"path":["/*/notify"]}`, lost},
		{`{"path":["/blog/*","*"]}`, lost},
		{`{"path":["/checkout"]}`, ""},
		{`{"path":["/notify"]}`, ""},
		{`{"path":["{http.request.uri.path}"]}`, lost},
		{`{"path":["{http.vars.x}"]}`, doubt},
		{`{"path_regexp":{"pattern":"^/check.*fy$"}}`, lost},
		{`{"path_regexp":{"pattern":"^/notify"}}`, ""},
		{`{"host":["shop.example.com"]}`, lost},
		{`{"host":["*.example.com"]}`, lost},
		{`{"host":["*.com"]}`, ""},
		{`{"host":["{env.TOKEN}"]}`, ""},
		{`{"method":["GET","HEAD"]}`, ""},
		{`{"method":["POST"]}`, lost},
		{`{"path":["/checkout/*"],"method":["GET"]}`, ""},
		{`{"not":[{"path":["/checkout/*"]}]}`, ""},
		{`{"not":[{"path":["/checkout/*"]},{"expression":"x"}]}`, ""},
		{`{"not":[{"path":["/blog/*"]}]}`, lost},
		{`{"not":[{"path":["/blog/*"]},{"expression":"x"}]}`, doubt},
		{`{"expression":{"expr":"true"}}`, doubt},
		{`{"path":["/blog/*"],"expression":"x"}`, ""},
		{`{"header":{"Cookie":["*"]}}`, ""},
		{`{"header":{"cookie":null}}`, lost},
		{`{"header":{"Content-Type":["application/x-www-form-urlencoded*"]}}`, lost},
		{`{"header":{"Content-Type":["application/json"]}}`, ""},
		{`{"header":{"User-Agent":["*bot*"]}}`, doubt},
		{`{"query":{"page":["*"]}}`, ""},
		{`{"query":{}}`, lost},
		{`{"protocol":"https"}`, lost},
		{`{"protocol":"http"}`, ""},
		{`{"protocol":"grpc"}`, ""},
		{`{"protocol":"http/2+"}`, doubt},
		{`{"remote_ip":{"ranges":["10.0.0.0/8","::1"]}}`, ""},
		{`{"client_ip":{"ranges":["203.0.113.0/24"]}}`, doubt},
		{`{"not":[{"remote_ip":{"ranges":["192.168.0.0/16"]}}]}`, lost},
		{`{"file":{"root":"/nowhere"}}`, doubt},
		{`{"of_a_plugin":1}`, doubt},
		{`{"path":7}`, doubt},
	} {
		route := fmt.Sprintf(`{"match":[%s],"handle":[{"handler":"static_response","status_code":"302"}]},{"handle":[%s]}`, test.match, block)
		got := examine(t, routed(route), options())
		got = slices.DeleteFunc(got, func(c string) bool { return strings.HasSuffix(c, "buyer-blocked") })
		if want := strings.Fields(test.want); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: got %q, want %q", test.match, got, test.want)
		}
	}
}

func TestRoutes(t *testing.T) {
	const respond = `{"handler":"static_response","body":"x"}`
	for _, test := range []struct {
		name, routes string
		want         []string
	}{
		{"alone", `{"handle":[` + block + `]}`, nil},
		{"terminal route before", `{"handle":[{"handler":"headers"}],"terminal":true},{"handle":[` + block + `]}`, []string{"error notify-swallowed"}},
		{"group taken", `{"group":"a","handle":[{"handler":"headers"}]},{"group":"a","handle":[` + block + `]}`, []string{"error notify-swallowed"}},
		{"another group", `{"group":"a","handle":[{"handler":"headers"}]},{"group":"b","handle":[` + block + `]}`, nil},
		{"pass_thru", `{"handle":[{"handler":"file_server","pass_thru":true},` + block + `]}`, nil},
		{"a plugin", `{"handle":[{"handler":"waf"},` + block + `]}`, []string{"note notify-unknown"}},
		{"error", `{"handle":[{"handler":"error"},` + block + `]}`, []string{"error notify-swallowed"}},
		{"the body replaced", `{"handle":[{"handler":"request_body","set":"x"},` + block + `]}`, []string{"error notify-body"}},
		{"doubtful either way", `{"match":[{"expression":"x"}],"handle":[` + block + `]},{"handle":[` + respond + `]}`, []string{"warning notify-matcher"}},
		{"doubtful without a way", `{"match":[{"expression":"x"}],"handle":[` + respond + `]},{"handle":[{"handler":"error"}]},{"handle":[` + block + `]}`, []string{"error notify-swallowed", "error notify-swallowed"}},
		{"a doubt that changes nothing", `{"match":[{"expression":"x"}],"handle":[{"handler":"headers"}]},{"handle":[{"handler":"authentication"},` + block + `]}`, []string{"error notify-auth"}},
		{"stripped and put back", `{"handle":[{"handler":"rewrite","strip_path_prefix":"/checkout"},{"handler":"rewrite","uri":"/checkout{http.request.uri.path}"},` + block + `]}`, nil},
		{"another path", `{"handle":[{"handler":"rewrite","uri":"/checkout/status?a=b"},` + block + `]}`, []string{"error notify-rewrite"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := examine(t, routed(test.routes), options())
			got = slices.DeleteFunc(got, func(c string) bool { return strings.HasSuffix(c, "buyer-blocked") })
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Each is the servers of a configuration.
func TestReach(t *testing.T) {
	site := func(origin string) string {
		b := strings.Replace(block, "https://shop.example.com", origin, 1)
		return `"routes":[{"match":[{"host":["shop.example.com"]}],"handle":[` + b + `],"terminal":true}]`
	}
	const secure = `"listen":[":443"],"routes":[{"match":[{"host":["localhost"]}],"handle":[{"handler":"error"}]}]`
	local := `"listen":[":80"],"routes":[{"handle":[` + strings.Replace(block, "https://shop.example.com", "http://localhost", 1) + `]}]`
	for _, test := range []struct {
		name, servers string
		want          []string
	}{
		{"https port", `"a":{"listen":[":443"],` + site("https://shop.example.com") + `}`, nil},
		{"another port", `"a":{"listen":[":8443"],` + site("https://shop.example.com:8443") + `}`, nil},
		{"a range of ports", `"a":{"listen":["tcp/:8440-8449"],` + site("https://shop.example.com:8443") + `}`, nil},
		{"no TLS", `"a":{"listen":[":8443"],"automatic_https":{"disable":true},` + site("https://shop.example.com:8443") + `}`, []string{"note origin-proxied"}},
		{"TLS skipped", `"a":{"listen":[":8443"],"automatic_https":{"skip":["shop.example.com"]},` + site("https://shop.example.com:8443") + `}`, []string{"note origin-proxied"}},
		{"a unix socket", `"a":{"listen":["unix//run/caddy.sock"],"automatic_https":{"disable":true},` + site("https://shop.example.com") + `}`, []string{"note origin-proxied"}},
		{"redirect before a catch-all", `"a":{` + local + `},"b":{` + secure + `}`, []string{"error notify-redirect"}},
		{"no redirects", `"a":{` + local + `},"b":{"automatic_https":{"disable_redirects":true},` + secure + `}`, nil},
		{"the public one of two", `"a":{"listen":["127.0.0.1:443"],` + site("https://shop.example.com") + `},"b":{"listen":["203.0.113.1:443"],` + site("https://shop.example.com") + `}`, nil},
		{"nobody but this machine", `"a":{"listen":["127.0.0.1:443","[::1]:443"],` + site("https://shop.example.com") + `}`, []string{"note origin-bound"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := examine(t, `{"apps":{"http":{"servers":{`+test.servers+`}}}}`, options())
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestListen(t *testing.T) {
	for text, want := range map[string]listen{
		":443":                 {"", 443, 443},
		"127.0.0.1:8080":       {"127.0.0.1", 8080, 8080},
		"tcp/[::1]:8000-8010":  {"::1", 8000, 8010},
		"unix//run/caddy.sock": {"unix//run/caddy.sock", 0, 0},
		"nonsense":             {"nonsense", 0, 0},
		":x":                   {":x", 0, 0},
	} {
		if got := parseListen(text); got != want {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	for _, config := range []string{"", "[]", `{"apps":{"http":{"servers":{"srv0":null}}}}`, `{"apps":{"http":{"http_port":"canary"}}}`} {
		_, err := Examine(t.Context(), []byte(config), options())
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got error %v", config, err)
		}
	}
}

func TestRefused(t *testing.T) {
	o := options()
	o.Refused = func(raw json.RawMessage) error {
		if string(raw) != block {
			t.Errorf("got %s", raw)
		}
		return errors.New("no")
	}
	if got := examine(t, routed(`{"handle":[`+block+`]}`), o); !slices.Equal(got, []string{"error refused"}) {
		t.Errorf("got %q", got)
	}
	wrong := strings.Replace(block, `"{env.TOKEN}"`, `["canary"]`, 1)
	if got := examine(t, routed(`{"handle":[`+wrong+`]}`), options()); !slices.Equal(got, []string{"error refused", "warning no-shop"}) {
		t.Errorf("got %q", got)
	}
}

// Whatever Caddy would refuse too, doctor must survive.
func FuzzExamine(f *testing.F) {
	f.Add(routed(`{"handle":[` + block + `]}`))
	f.Add(routed(`{"match":[{"not":[{"file":{}}]}],"handle":[{"handler":"subroute","routes":[{"handle":[` + block + `]}]}]}`))
	f.Add(`{"apps":{"http":{"servers":{"a":{"named_routes":{"b":{"handle":[{"handler":"invoke","name":"b"}]}},"routes":[{"handle":[{"handler":"invoke","name":"b"}]}]}}}}}`)
	f.Add(strings.Replace(routed(`{"handle":[`+block+`]}`), "https://shop", "http://[::1%25x]:99", 1))
	f.Fuzz(func(t *testing.T, config string) {
		_, _ = Examine(t.Context(), []byte(config), options())
	})
}
