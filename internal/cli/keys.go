package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-checkout/checkout/sign"
)

// errNoFit: the key does not fit. The output says why.
var errNoFit = errors.New("the key does not fit")

// defaultTokenEnv is the environment variable that holds the token.
const defaultTokenEnv = "CHECKOUT_TOKEN"

const maxTokenFile = 4 << 10 // bytes

var messages = map[string]sign.Fields{
	"pay":     sign.Pay,
	"notify":  sign.Notify,
	"status":  sign.Status,
	"balance": sign.Balance,
}

func messageNames() []string { return slices.Sorted(maps.Keys(messages)) }

const tokenHelp = `
The token comes from the environment (CHECKOUT_TOKEN, or another variable named
by --token-env), from a file (--token-file), or from the standard input
(--token-file -). It is never an argument: every user of the machine can read
the arguments of a running program, and the shell keeps them in its history.

Nothing is sent anywhere, and no Caddy has to run. A field that is not given is
empty; it keeps its name in the string all the same.`

func signCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sign <message> [<field>=<value>…]",
		Short: "Explains the key of a message, offline",
		Long: `
Signs a message of the gateway (pay, notify, status or balance) and shows the
string that is hashed, with the token masked, and the key.
` + tokenHelp,
		Example: `  caddy checkout sign status orderid=10000000900000 uid=10000001400000 --token-file token.txt`,
	}
	keyFlags(cmd, false)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, err := readQuestion(cmd, args, false)
		if err != nil {
			return err
		}
		key, err := q.fields.Key(q.token, q.values...)
		if err != nil {
			return err
		}
		s := newScreen(cmd)
		return s.answer(keyAnswer{Message: q.message, String: q.fields.Masked(q.values...), Key: key}, func() {
			s.printf("String    %s\nKey       %s\n", clean(q.fields.Masked(q.values...)), key)
		})
	}
	return cmd
}

func verifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify <message> key=<key> [<field>=<value>…]",
		Short: "Checks a key and finds out what was signed otherwise, offline",
		Long: `
Checks the key of a message of the gateway (pay, notify, status or balance).
Where it does not fit, the common mistakes are tried: values that were
URL-encoded, fields that were left out or in another order, a key in upper case,
a token in another place, and more. The exit status is 0 if the key fits, 1 if
it does not, and 2 if it could not be checked.
` + tokenHelp,
		Example: `  caddy checkout verify notify payid=10000000480012 orderid=10000000480010 \
    orderuid= paymoney=0.01 realpay=0.01 key=42552a90cce5a7ee1a5d3d8794fb8657`,
	}
	keyFlags(cmd, true)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, err := readQuestion(cmd, args, true)
		if err != nil {
			return err
		}
		return newScreen(cmd).verdict(q)
	}
	return cmd
}

func keyFlags(cmd *cobra.Command, verify bool) {
	f := cmd.Flags()
	f.String("token-env", defaultTokenEnv, "The environment variable that holds the token")
	f.String("token-file", "", "The file that holds the token; - is the standard input")
	f.StringSlice("fields", nil, "The signed fields in their order, where the gateway signs another list (sign_fields in the Caddyfile)")
	f.Bool("json", false, "Write JSON for programs")
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return messageNames(), cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, name := range messages[args[0]] {
			names = append(names, name+"=")
		}
		if verify {
			names = append(names, "key=")
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// question is a message whose key is made or checked.
type question struct {
	message string
	fields  sign.Fields
	values  []string // in the order of fields
	token   string
	key     string
}

func readQuestion(cmd *cobra.Command, args []string, verify bool) (*question, error) {
	if len(args) == 0 || messages[args[0]] == nil {
		return nil, fmt.Errorf("write which message it is: %s", strings.Join(messageNames(), ", "))
	}
	q := &question{message: args[0], fields: messages[args[0]]}
	if custom, err := cmd.Flags().GetStringSlice("fields"); err == nil && len(custom) > 0 {
		q.fields = custom
	}
	if err := checkNames(q.fields, messages[q.message]); err != nil {
		return nil, err
	}
	q.values = make([]string, len(q.fields))
	seen := make(map[string]bool)
	for _, arg := range args[1:] {
		if err := q.take(arg, seen, verify); err != nil {
			return nil, err
		}
	}
	if verify && q.key == "" {
		return nil, errors.New("write the key to check: key=<32 hex digits>")
	}
	var err error
	q.token, err = readToken(cmd)
	return q, err
}

func checkNames(fields, known sign.Fields) error {
	for i, name := range fields {
		if !slices.Contains(known, name) {
			return fmt.Errorf("--fields: %q is not a field of this message; it has %s", name, strings.Join(known, ", "))
		}
		if slices.Contains(fields[:i], name) {
			return fmt.Errorf("--fields: %q is there twice", name)
		}
	}
	return nil
}

// take reads one name=value.
func (q *question) take(arg string, seen map[string]bool, verify bool) error {
	name, value, ok := strings.Cut(arg, "=")
	if name == "token" {
		return fmt.Errorf("the token is never an argument, which others on this machine can read and the shell keeps: use %s, --token-env or --token-file", defaultTokenEnv)
	}
	if !ok {
		return fmt.Errorf("%q is not field=value", clean(arg))
	}
	if seen[name] {
		return fmt.Errorf("%s is there twice", clean(name))
	}
	seen[name] = true
	if name == "key" && verify {
		q.key = value
		return nil
	}
	i := slices.Index(q.fields, name)
	if i < 0 {
		return fmt.Errorf("%q is not a signed field of %s; they are %s", clean(name), q.message, strings.Join(q.fields, ", "))
	}
	q.values[i] = value
	return nil
}

func readToken(cmd *cobra.Command) (string, error) {
	file, err := cmd.Flags().GetString("token-file")
	if err != nil {
		return "", err
	}
	if file == "" {
		name, err := cmd.Flags().GetString("token-env")
		if err != nil {
			return "", err
		}
		token := os.Getenv(name)
		if token == "" {
			return "", fmt.Errorf("the environment variable %s is empty; set it to the token, or name a file with --token-file", name)
		}
		return token, nil
	}
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("reading token: %w", err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxTokenFile+1))
	if err != nil {
		return "", fmt.Errorf("reading token: %w", err)
	}
	if len(b) > maxTokenFile {
		return "", fmt.Errorf("reading token: more than %d bytes", maxTokenFile)
	}
	// As Caddy's {file.*} does.
	token := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if token == "" {
		return "", errors.New("reading token: it is empty")
	}
	return token, nil
}

// keyAnswer is what sign and verify write with --json.
type keyAnswer struct {
	Message string   `json:"message"`
	String  string   `json:"string"`            // what is hashed, with the token masked
	Key     string   `json:"key"`               // computed; empty where the values cannot be signed
	Fits    *bool    `json:"fits,omitempty"`    // of verify
	Problem string   `json:"problem,omitempty"` // why it does not fit
	Ways    []string `json:"ways,omitempty"`    // how the given key was made instead
	Theirs  string   `json:"theirs,omitempty"`  // the string that gives the given key
}

func (s *screen) answer(a keyAnswer, show func()) error {
	var raw bytes.Buffer
	e := json.NewEncoder(&raw)
	e.SetEscapeHTML(false)
	if err := e.Encode(a); err != nil {
		return err
	}
	return s.give(raw.Bytes(), show)
}

// verdict says whether the key fits, and what may have gone wrong.
func (s *screen) verdict(q *question) error {
	ours := q.fields.Masked(q.values...)
	a := keyAnswer{Message: q.message, String: ours, Fits: new(bool)}
	err := q.fields.Verify(q.key, []string{q.token}, q.values...)
	if err == nil {
		*a.Fits, a.Key = true, q.key
		return s.answer(a, func() {
			s.printf("String    %s\n%s\n", clean(ours), s.paint("The key fits.", green))
		})
	}
	a.Problem = err.Error()
	if a.Key, err = q.fields.Key(q.token, q.values...); err != nil {
		a.Problem = err.Error()
	}
	m := findMistake(q.fields, q.values, q.token, q.key)
	upper := q.key != strings.ToLower(q.key)
	if m != nil {
		a.Ways, a.Theirs = m.ways, m.masked()
		if upper {
			a.Ways = append(a.Ways, "the key was written in upper case")
		}
	}
	err = s.answer(a, func() { s.explain(q, a, m) })
	return errors.Join(err, errNoFit)
}

func (s *screen) explain(q *question, a keyAnswer, m *mistake) {
	s.printf("String    %s\n", clean(a.String))
	if a.Key == "" {
		s.printf("Given     %s\n", clean(q.key))
	} else {
		s.pointAt("Given", q.key, "Computed", a.Key)
	}
	s.printf("Refused   %s\n", s.paint(clean(a.Problem), red))
	if m == nil {
		s.printf("\nNone of the common mistakes makes the given key. Compare the token and every\nvalue with what was really signed, character by character.\n")
		return
	}
	if len(a.Ways) == 0 {
		s.printf("\nThe given key is made of this very string, which can be split another way all the\nsame. Whoever signed it must not let such values in.\n")
		return
	}
	s.printf("\nThe given key fits if\n")
	for _, w := range a.Ways {
		s.printf("- %s\n", w)
	}
	if a.Theirs != a.String {
		s.printf("\n")
		s.pointAt("Theirs", a.Theirs, "Ours", a.String)
	}
}
