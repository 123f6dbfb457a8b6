package checkout

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-checkout/checkout/internal/gateway"
	"github.com/caddy-checkout/checkout/internal/order"
	"github.com/caddy-checkout/checkout/internal/payment"
	"github.com/caddy-checkout/checkout/internal/webhook"
)

const (
	defaultPath = "/checkout"

	minToken = 16 // bytes
	maxUID   = 40 // bytes
	maxURL   = 80 // bytes of notifyurl and returnurl, protocol section 1

	minExpire = time.Second
	maxExpire = 30 * 24 * time.Hour
)

// fieldNames are what a buyer can be asked.
var fieldNames = []string{"name", "email", "tel", "address", "note"}

// named puts the setting before what is wrong with it.
func named(setting string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %w", setting, err)
}

func checkUID(s string) error {
	if s == "" {
		return errors.New("is missing; it is the merchant's id at the gateway")
	}
	if len(s) > maxUID {
		return fmt.Errorf("%q is %d bytes long; at most %d are allowed", s, len(s), maxUID)
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return fmt.Errorf("%q must be letters and digits only", s)
		}
	}
	return nil
}

func checkTokens(token string, previous []string) error {
	for _, t := range append([]string{token}, previous...) {
		if err := checkToken(t); err != nil {
			return err
		}
	}
	return nil
}

// unexpanded is a variable as shells write it.
var unexpanded = regexp.MustCompile(`^(\$[A-Za-z_]\w*|%[A-Za-z_]\w*%)$`)

// checkToken says what is wrong with a token, never what it is.
func checkToken(s string) error {
	switch {
	case s == "":
		return errors.New("is missing or empty; write a placeholder like {env.CHECKOUT_TOKEN} and set it in the environment")
	case len(s) < minToken:
		return fmt.Errorf("is %d bytes long; anything under %d can be guessed, so copy all of the gateway's token", len(s), minToken)
	case strings.ContainsFunc(s, unicode.IsControl) || strings.TrimSpace(s) != s:
		return errors.New("holds a line break, another control character or a space at an end; copy the gateway's token alone")
	case unexpanded.MatchString(s):
		return errors.New("looks like a variable that nobody has expanded; write it as {env.NAME}")
	}
	return nil
}

// checkOrigin wants exactly what browsers send as Origin.
func checkOrigin(s string) error {
	if s == "" {
		return errors.New("is missing; write where buyers reach the shop, like https://shop.example.com")
	}
	u, err := parseBase(s, "http(s)://host[:port], like https://shop.example.com")
	if err != nil {
		return err
	}
	host := u.Host
	if u.Port() == defaultPorts[u.Scheme] {
		host = strings.TrimSuffix(host, ":"+u.Port()) // no browser sends it
	}
	if right := u.Scheme + "://" + host; right != s {
		return fmt.Errorf("%q must be http(s)://host[:port] and nothing else; write %s", s, right)
	}
	return nil
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

func checkGateway(s string) error {
	u, err := parseBase(s, "http(s)://host[:port], like "+gateway.DefaultBase)
	if err != nil {
		return err
	}
	if right := u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"); right != s {
		return fmt.Errorf("%q must have no slash at the end and no query; write %s", s, right)
	}
	return nil
}

// parseBase parses an http(s) URL and writes its host in lower case.
func parseBase(s, right string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.Opaque != "" {
		return nil, fmt.Errorf("%q is not %s", s, right)
	}
	if u.User != nil {
		return nil, fmt.Errorf("must not hold a user or a password; write %s", right)
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || r == '%' }) {
		return nil, fmt.Errorf("%q: write the host in its ASCII form (xn--…)", s)
	}
	// Package url takes more for a host, '&' among it, which no URL that is
	// signed may hold.
	if strings.ContainsFunc(u.Host, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-._:[]", r)
	}) {
		return nil, fmt.Errorf("%q is not %s: a host has letters, digits, '-' and '.'", s, right)
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); strings.HasSuffix(u.Host, ":") || u.Port() != "" && (err != nil || n == 0) {
		return nil, fmt.Errorf("%q is not %s: a port is a number from 1 to 65535", s, right)
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

func checkPath(s string) error {
	if s == "/" {
		return errors.New("/ would take the whole site; write a prefix like /checkout")
	}
	if !strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") {
		return fmt.Errorf("%q must begin with a slash and not end with one, like /checkout", s)
	}
	for segment := range strings.SplitSeq(s[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("%q must not hold //, /./ or /../; write it like /checkout", s)
		}
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/-_.~", r)
	}) {
		return fmt.Errorf("%q must be ASCII letters, digits and -_.~ between slashes, like /checkout", s)
	}
	return nil
}

// checkReach holds the URLs that the gateway is given to its limit.
func checkReach(origin, path string) error {
	for _, u := range []struct{ name, text string }{
		{"notifyurl", payment.NotifyURL(origin, path)},
		{"returnurl", payment.ReturnURL(origin, path, order.NewID(time.UnixMilli(0)))},
	} {
		if over := len(u.text) - maxURL; over > 0 {
			return fmt.Errorf("origin %s and path %s make a %s of %d bytes, %d more than the %d that the gateway takes; a shorter path helps",
				origin, path, u.name, len(u.text), over, maxURL)
		}
	}
	return nil
}

func checkSuccess(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err == nil && !strings.ContainsRune(s, '\\') && !strings.ContainsFunc(s, unicode.IsControl) {
		if u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") {
			return nil
		}
		if (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil {
			return nil
		}
	}
	return fmt.Errorf("%q must be a path on this site, like /thanks.html, or an http(s) URL without a user", s)
}

func checkOrderUID(s string) error {
	if strings.Count(s, "{") != strings.Count(s, "}") {
		return fmt.Errorf("%q holds a brace without its other half; write a placeholder like {http.auth.user.id}", s)
	}
	return nil
}

func checkExpire(d time.Duration) error {
	if d < minExpire || d > maxExpire {
		return fmt.Errorf("%s must be from 1s to 30d, like 2h", d)
	}
	return nil
}

func checkField(name string, twice bool) error {
	if !slices.Contains(fieldNames, name) {
		return fmt.Errorf("%q cannot be asked; use %s", name, strings.Join(fieldNames, ", "))
	}
	if twice {
		return fmt.Errorf("%q is asked twice", name)
	}
	return nil
}

func (w Webhook) check() error {
	if err := webhook.CheckURL(w.URL); err != nil {
		return fmt.Errorf("is refused: %w", err)
	}
	if _, err := webhook.ParseSecret(w.Secret); err != nil {
		return fmt.Errorf("is refused: %w", err)
	}
	return nil
}

func (l *Limits) check() error {
	if !(l.GatewayRate > 0 && l.GatewayRate <= maxGatewayRate) {
		return fmt.Errorf("gateway_rate %g must be questions per second, more than 0 and at most %d, like %d", l.GatewayRate, maxGatewayRate, defaultGatewayRate)
	}
	return nil
}

// checkPlain refuses plain http to a gateway that is reached over networks of
// others.
func checkPlain(base string) error {
	rest, plain := strings.CutPrefix(base, "http://")
	if !plain || gateway.Private(hostOf(base)) {
		return nil
	}
	return fmt.Errorf("%q is plain http: anyone on the way can forge that an order is paid; write https://%s, or add the line test if no real money moves", base, rest)
}

// hostOf returns the host of a URL, without the port.
func hostOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
