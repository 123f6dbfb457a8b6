package checkout

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// canary is a token that must never be seen.
const canary = "canary-0123456789abcdef"

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// validate does what caddy validate does.
func validate(t *testing.T, raw []byte) error {
	t.Helper()
	var cfg *caddy.Config
	if err := caddy.StrictUnmarshalJSON(raw, &cfg); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(cfg)
}

func adaptRaw(t *testing.T, input string) []byte {
	t.Helper()
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("%v in\n%s", err, input)
	}
	return raw
}

// global are the options of every configuration in tests.
func global(dir string) string {
	return "admin off\npersist_config off\nauto_https off\nstorage file_system " + dir + "/caddy\n"
}

// block is a checkout block with other lines for some of the settings.
func block(lines ...string) string {
	b := map[string]string{
		"uid":     "uid 10000001400000",
		"token":   "token {env.CHECKOUT_TEST_TOKEN}",
		"origin":  "origin https://shop.example.com",
		"product": `product mug 39.00 "Coffee mug"`,
	}
	var more []string
	for _, l := range lines {
		name, _, _ := strings.Cut(l, " ")
		if _, ok := b[name]; ok {
			b[name] = l
		} else {
			more = append(more, l)
		}
	}
	all := append([]string{b["uid"], b["token"], b["origin"], b["product"]}, more...)
	return "checkout {\n" + strings.Join(all, "\n") + "\n}\n"
}

// mail is a mail block with other lines for some of the settings.
func mail(lines ...string) string {
	all := []string{"server smtp.example.com:587", "from shop@example.com", "to owner@example.com"}
	for _, l := range lines {
		name, _, _ := strings.Cut(l, " ")
		all = append(slices.DeleteFunc(all, func(old string) bool { return strings.HasPrefix(old, name+" ") }), l)
	}
	return "mail {\n" + strings.Join(all, "\n") + "\n}"
}

func site(port string, body string) string {
	return "http://:" + port + " {\n" + body + "}\n"
}

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CHECKOUT_TEST_TOKEN", canary)
	t.Setenv("CHECKOUT_TEST_SHORT", "canary12")
	t.Setenv("CHECKOUT_TEST_EMPTY", "")
	t.Setenv("CHECKOUT_TEST_BRACES", "${canary_TOKEN_NOT_EXPANDED}")
	t.Setenv("CHECKOUT_TEST_LINES", canary+"\n"+canary)
	t.Setenv("CHECKOUT_TEST_ORIGIN", "https://shop.example.com")
	t.Setenv("CHECKOUT_TEST_SECRET", secret)
	file := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tokenFile := file("token", canary+"\n")
	good := file("good.json", `[{"sku":"pot","name":"Pot","price":128}]`)
	bad := file("bad.json", "[\n{\"sku\":\"pot\",\"name\":\"Pot\",\"prize\":128}]")
	taken := file("taken.json", `[{"sku":"mug","name":"Mug","price":1}]`)
	t.Setenv("CHECKOUT_TEST_DSN", "postgres://u:canary@db.example.com/shop")
	t.Setenv("CHECKOUT_TEST_BAD_DSN", "postgres://u:canary@db.example.com:port/shop")
	t.Setenv("CHECKOUT_TEST_GATEWAY", "http://pay.example.com")
	t.Setenv("CHECKOUT_TEST_SMTP", "smtp.example.com:587")
	texts, wrong := filepath.Join(dir, "texts"), filepath.Join(dir, "wrong")
	for _, d := range []string{texts, wrong} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file("texts/merchant.en.txt", "Sold: {{.ID}}\n\nHurray.\n")
	file("wrong/merchant.en.txt", "Sold: {{.Nothing}}\n")
	db := filepath.Join(dir, "db", "orders.db")

	for name, tc := range map[string]struct {
		options string
		sites   string
		want    string // a part of the error; "" for none
	}{
		"smallest":                {sites: site("1", block())},
		"token from a file":       {sites: site("1", block("token {file."+tokenFile+"}"))},
		"former token":            {sites: site("1", block("token {env.CHECKOUT_TEST_TOKEN} {file."+tokenFile+"}"))},
		"everything from outside": {sites: site("1", block("origin {env.CHECKOUT_TEST_ORIGIN}", "webhook https://hooks.example.com/ {env.CHECKOUT_TEST_SECRET}"))},
		"catalog":                 {sites: site("1", block("catalog "+good))},
		"same block twice":        {sites: site("1", block()) + site("2", block())},
		"two shops":               {sites: site("1", block()+block("path /other"))},
		"dsn from outside":        {options: "checkout {\nstore postgres {env.CHECKOUT_TEST_DSN}\n}\n", sites: site("1", block())},
		"mail":                    {sites: site("1", block(mail("tls starttls", "templates "+texts)))},
		"mail from outside":       {sites: site("1", block(mail("server {env.CHECKOUT_TEST_SMTP}", "username u", "password {env.CHECKOUT_TEST_TOKEN}")))},
		"gateway in a test":       {sites: site("1", block("gateway http://pay.example.com", "test"))},
		"gateway nearby":          {sites: site("1", block("gateway http://192.168.1.2:8081"))},
		"limits off":              {sites: site("1", block("limits off"))},

		"token not set":          {sites: site("1", block("token {env.CHECKOUT_TEST_NOPE}")), want: "token {env.CHECKOUT_TEST_NOPE} is empty; set it in the environment of Caddy"},
		"token set to nothing":   {sites: site("1", block("token {env.CHECKOUT_TEST_EMPTY}")), want: "token {env.CHECKOUT_TEST_EMPTY} is empty"},
		"token file missing":     {sites: site("1", block("token {file."+dir+"/absent}")), want: "/absent} is empty; set it in the environment of Caddy, or make the file readable"},
		"token of unknown kind":  {sites: site("1", block("token {http.canary}")), want: "token holds a brace, but no placeholder like {env.NAME}"},
		"token half open":        {sites: site("1", block("token {env.canary_0123456789")), want: "token holds a brace, but no placeholder like {env.NAME}"},
		"token short":            {sites: site("1", block("token {env.CHECKOUT_TEST_SHORT}")), want: "token is 8 bytes long"},
		"former token short":     {sites: site("1", block("token {env.CHECKOUT_TEST_TOKEN} {env.CHECKOUT_TEST_SHORT}")), want: "token is 8 bytes long"},
		"token not expanded":     {sites: site("1", block("token {env.CHECKOUT_TEST_BRACES}")), want: "token {env.CHECKOUT_TEST_BRACES} gives a value that holds a brace itself"},
		"token of two lines":     {sites: site("1", block("token {env.CHECKOUT_TEST_LINES}")), want: "token holds a line break"},
		"origin and path long":   {sites: site("1", block("origin {env.CHECKOUT_TEST_ORIGIN}", "path /"+strings.Repeat("p", 50))), want: "make a notifyurl of 82 bytes, 2 more than the 80"},
		"secret not set":         {sites: site("1", block("webhook https://hooks.example.com/ {env.CHECKOUT_TEST_NOPE}")), want: "webhook {env.CHECKOUT_TEST_NOPE} is empty"},
		"secret is none":         {sites: site("1", block("webhook https://hooks.example.com/ {env.CHECKOUT_TEST_TOKEN}")), want: "webhook is refused"},
		"catalog missing":        {sites: site("1", block("catalog "+dir+"/absent.json")), want: "catalog: reading catalog: stat " + dir + "/absent.json"},
		"catalog malformed":      {sites: site("1", block("catalog "+bad)), want: "catalog: " + bad + `:2: entry 1 (sku "pot"): unknown field "prize"`},
		"catalog and inline":     {sites: site("1", block("catalog "+taken)), want: taken + ` entry 1 (sku "mug"): sku "mug" is taken by inline product 1`},
		"two tokens":             {sites: site("1", block()) + site("2", block("token {env.CHECKOUT_TEST_TOKEN}x")), want: `shop https://shop.example.com/checkout: two checkout blocks differ in "token"`},
		"two webhooks":           {sites: site("1", block()) + site("2", block("webhook https://hooks.example.com/ "+secret)), want: `two checkout blocks differ in "webhooks"`},
		"two merchants":          {sites: site("1", block()) + site("2", block("uid 2")), want: `two checkout blocks differ in "uid"`},
		"dsn not set":            {options: "checkout {\nstore postgres {env.CHECKOUT_TEST_NOPE}\n}\n", sites: site("1", block()), want: "store: dsn {env.CHECKOUT_TEST_NOPE} is empty"},
		"dsn malformed":          {options: "checkout {\nstore postgres {env.CHECKOUT_TEST_BAD_DSN}\n}\n", sites: site("1", block()), want: "store: dsn: parsing the PostgreSQL address: want postgres://"},
		"gateway by plain http":  {sites: site("1", block("gateway {env.CHECKOUT_TEST_GATEWAY}")), want: `gateway "http://pay.example.com" is plain http: anyone on the way can forge that an order is paid; write https://pay.example.com, or add the line test if no real money moves`},
		"mail password not set":  {sites: site("1", block(mail("username u", "password {env.CHECKOUT_TEST_NOPE}"))), want: "mail password {env.CHECKOUT_TEST_NOPE} is empty"},
		"mail server not one":    {sites: site("1", block(mail("server {env.CHECKOUT_TEST_ORIGIN}"))), want: "mail server"},
		"mail without templates": {sites: site("1", block(mail("templates "+dir+"/absent"))), want: "mail templates"},
		"mail template wrong":    {sites: site("1", block(mail("templates "+wrong))), want: "merchant.en.txt"},
		"two mails":              {sites: site("1", block()) + site("2", block(mail())), want: `two checkout blocks differ in "mail"`},
		"sandbox token short":    {sites: site("1", "checkout_sandbox {\nuid 1\ntoken {env.CHECKOUT_TEST_SHORT}\n}\n"), want: "token is 8 bytes long"},
	} {
		t.Run(name, func(t *testing.T) {
			options := tc.options
			if options == "" {
				options = "checkout {\nstore sqlite " + db + "\n}\n"
			}
			err := validate(t, adaptRaw(t, "{\n"+global(dir)+options+"}\n"+tc.sites))
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error holds a secret: %v", err)
			}
			if _, err := os.Stat(filepath.Dir(db)); !os.IsNotExist(err) {
				t.Errorf("validating touched the database: %v", err)
			}
			if left := poolSize(stores) + poolSize(sandboxes); left != 0 {
				t.Errorf("%d references are left", left)
			}
		})
	}
}

func poolSize(p *caddy.UsagePool) (n int) {
	p.Range(func(_, _ any) bool { n++; return true })
	return n
}

// A JSON configuration gets the checks that a Caddyfile gets.
func TestValidateJSON(t *testing.T) {
	t.Setenv("CHECKOUT_TEST_TOKEN", canary)
	dir := t.TempDir()
	for name, tc := range map[string]struct{ set, want string }{
		"nothing wrong":      {`{}`, ""},
		"no uid":             {`{"uid":""}`, "uid is missing"},
		"no token":           {`{"token":""}`, "token is missing or empty"},
		"short token":        {`{"token":"canary12"}`, "token is 8 bytes long"},
		"short former token": {`{"previous_tokens":["canary12"]}`, "token is 8 bytes long"},
		"no origin":          {`{"origin":""}`, "origin is missing"},
		"origin":             {`{"origin":"https://shop.example.com/"}`, "write https://shop.example.com"},
		"gateway":            {`{"gateway":"sun"}`, `gateway "sun" is not`},
		"path":               {`{"path":"/"}`, "path / would take the whole site"},
		"long path":          {`{"path":"/` + strings.Repeat("p", 60) + `"}`, "more than the 80"},
		"no products":        {`{"products":[]}`, "nothing is for sale"},
		"price":              {`{"products":[{"sku":"a","price":"1e2","name":"A"}]}`, `product "a": price: not an amount of money`},
		"no price":           {`{"products":[{"sku":"a","name":"A"}]}`, `product "a": price: not an amount of money`},
		"sku twice":          {`{"products":[{"sku":"a","price":"1","name":"A"},{"sku":"a","price":"2","name":"B"}]}`, `sku "a" is taken by inline product 1`},
		"field":              {`{"fields":[{"name":"phone"}]}`, `field "phone" cannot be asked`},
		"field twice":        {`{"fields":[{"name":"tel"},{"name":"tel"}]}`, `field "tel" is asked twice`},
		"success":            {`{"success":"//evil.example"}`, `success "//evil.example" must be a path`},
		"expire":             {`{"expire":"1ms"}`, "expire 1ms must be from 1s"},
		"allow_origins":      {`{"allow_origins":["null"]}`, `allow_origin "null" is not`},
		"sign_fields":        {`{"sign_fields":{"pay":["amount"]}}`, `sign_fields pay "amount" is not a field`},
		"limits":             {`{"limits":{"gateway_rate":-1}}`, "limits gateway_rate -1 must be"},
		"webhook":            {`{"webhooks":[{"url":"https://hooks.example.com/"}]}`, "webhook is refused"},
		"gateway, plain":     {`{"gateway":"http://pay.example.com"}`, `gateway "http://pay.example.com" is plain http`},
		"gateway, test":      {`{"gateway":"http://pay.example.com","test":true}`, ""},
		"mail":               {`{"mail":{"server":"smtp.example.com:25","from":"a@example.com","to":"b@example.com"}}`, ""},
		"mail, no server":    {`{"mail":{"from":"a@example.com","to":"b@example.com"}}`, "mail needs server"},
		"mail, no to":        {`{"mail":{"server":"smtp.example.com:25","from":"a@example.com"}}`, "mail needs to"},
		"mail, receipt":      {`{"mail":{"server":"smtp.example.com:25","from":"a@example.com","to":"b@example.com","receipt":true}}`, "buyers are not asked for their address"},
		"product webhook":    {`{"products":[{"sku":"a","price":"1","name":"A","webhooks":[{"url":"x"}]}]}`, "webhook is refused"},
	} {
		t.Run(name, func(t *testing.T) {
			handler := map[string]any{
				"handler": "checkout", "uid": "1", "token": "{env.CHECKOUT_TEST_TOKEN}", "origin": "https://shop.example.com",
				"products": []any{map[string]any{"sku": "mug", "price": "39.00", "name": "Mug"}},
			}
			if err := json.Unmarshal([]byte(tc.set), &handler); err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(map[string]any{
				"admin":   map[string]any{"disabled": true},
				"storage": map[string]any{"module": "file_system", "root": dir},
				"apps": map[string]any{
					"checkout": map[string]any{"store": map[string]any{"file": filepath.Join(dir, "orders.db")}},
					"http": map[string]any{"servers": map[string]any{"shop": map[string]any{
						"listen": []any{":1"},
						"routes": []any{map[string]any{"handle": []any{handler}}},
					}}},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			err = validate(t, raw)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestStoreResolve(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/data")
	t.Setenv("CHECKOUT_TEST_DSN", "postgres://u:canary@db.example.com/shop")
	for name, tc := range map[string]struct {
		store *Store
		want  Store
		fails string
	}{
		"none":             {nil, Store{Kind: "sqlite", File: "/data/caddy/checkout/orders.db"}, ""},
		"file":             {&Store{File: "/x/../y.db"}, Store{Kind: "sqlite", File: "/y.db"}, ""},
		"postgres":         {&Store{Kind: "postgres", DSN: "{env.CHECKOUT_TEST_DSN}"}, Store{Kind: "postgres", DSN: "postgres://u:canary@db.example.com/shop"}, ""},
		"kind":             {&Store{Kind: "mysql"}, Store{}, `"mysql" is not a kind of store; use sqlite or postgres`},
		"postgres, no dsn": {&Store{Kind: "postgres"}, Store{}, "needs a dsn"},
		"postgres, file":   {&Store{Kind: "postgres", File: "x"}, Store{}, "a postgres store has a dsn, no file"},
		"sqlite, dsn":      {&Store{DSN: "x"}, Store{}, "a sqlite store has a file, no dsn"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.store.resolve(caddy.NewReplacer())
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("got %v, want %q", err, tc.fails)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}
