package cli

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const token = "2f44c6b906208208c4122c83125ccd7b"

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// execute runs a command with the arguments.
func execute(cmd *cobra.Command, stdin string, args ...string) (out string, err error) {
	var b, notes bytes.Buffer
	cmd.SetOut(&b)
	cmd.SetErr(&notes)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.Execute()
	return b.String(), err
}

var notify = []string{"notify", "payid=10000000480012", "orderid=10000000480010", "paymoney=0.01", "realpay=0.01"}

func TestSign(t *testing.T) {
	t.Setenv(defaultTokenEnv, token)
	t.Setenv("OTHER_TOKEN", "10665CF54E90822951FE80330E9CF715")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status := []string{"status", "uid=10000001400000", "orderid=10000000900000"}
	for name, tc := range map[string]struct {
		args  []string
		stdin string
		want  string
	}{
		"environment":       {notify, "", "42552a90cce5a7ee1a5d3d8794fb8657"},
		"other environment": {append(status, "--token-env", "OTHER_TOKEN"), "", "4ceb420edb88182c3423f4bc4d9bf51a"},
		"file":              {append(slices.Clone(notify), "orderuid=10000000480011", "--token-file", file), "", "ca1da861b827a0862de28a17fc99ce05"},
		"standard input":    {append(status, "--token-file", "-"), "10665CF54E90822951FE80330E9CF715\n", "4ceb420edb88182c3423f4bc4d9bf51a"},
		"other fields":      {append(status, "--fields", "uid,orderid"), "", md5Hex("uid=10000001400000&orderid=10000000900000&token=" + token)},
	} {
		out, err := execute(signCommand(), tc.stdin, tc.args...)
		if err != nil || !strings.Contains(out, "Key       "+tc.want+"\n") || !strings.Contains(out, "&token=********\n") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if strings.Contains(out, token) || strings.Contains(out, "10665CF5") {
			t.Errorf("%s: the token is shown", name)
		}
	}
}

func TestKeysRefuse(t *testing.T) {
	t.Setenv(defaultTokenEnv, token)
	t.Setenv("EMPTY", "")
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no message":     {nil, "balance, notify, pay, status"},
		"message":        {[]string{"refund"}, "balance, notify, pay, status"},
		"token":          {[]string{"status", "token=" + token}, "the token is never an argument"},
		"field":          {[]string{"status", "oderid=1"}, `"oderid" is not a signed field of status; they are orderid, uid`},
		"no equals sign": {[]string{"status", "orderid"}, "is not field=value"},
		"twice":          {[]string{"status", "uid=1", "uid=1"}, "uid is there twice"},
		"empty token":    {[]string{"status", "--token-env", "EMPTY"}, "the environment variable EMPTY is empty"},
		"no file":        {[]string{"status", "--token-file", "/nonexistent"}, "reading token"},
		"empty input":    {[]string{"status", "--token-file", "-"}, "reading token: it is empty"},
		"fields":         {[]string{"status", "--fields", "uid,amount"}, `"amount" is not a field of this message`},
		"fields twice":   {[]string{"status", "--fields", "uid,uid"}, `"uid" is there twice`},
		"value":          {[]string{"status", "orderid=1&uid=2"}, "orderid: value cannot be signed: it holds '&'"},
	} {
		out, err := execute(signCommand(), "", tc.args...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || ExitCode(err) != exitFailed {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
		if err != nil && strings.Contains(out+err.Error(), token) {
			t.Errorf("%s: the token is shown", name)
		}
	}
	if _, err := execute(verifyCommand(), "", "status", "uid=1"); err == nil || !strings.Contains(err.Error(), "write the key to check") || ExitCode(err) != exitFailed {
		t.Errorf("no key: %v", err)
	}
}

func TestVerify(t *testing.T) {
	t.Setenv(defaultTokenEnv, token)
	out, err := execute(verifyCommand(), "", append(slices.Clone(notify), "key=42552a90cce5a7ee1a5d3d8794fb8657")...)
	if err != nil || !strings.Contains(out, "The key fits.") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = execute(verifyCommand(), "", append(slices.Clone(notify), "key=42552a90cce5a7ee1a5d3d8794fb8658")...)
	if !errors.Is(err, errNoFit) || ExitCode(err) != exitNo || !strings.Contains(out, "^ the first difference, at character 32") || !strings.Contains(out, "None of the common mistakes") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = execute(verifyCommand(), "", "status", "uid=1", "orderid=1&uid=2", "key="+md5Hex("orderid=1&uid=2&uid=1&token="+token))
	if !errors.Is(err, errNoFit) || !strings.Contains(out, "orderid: value cannot be signed") || !strings.Contains(out, "can be split another way") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Every mistake is made, and found.
func TestMistakes(t *testing.T) {
	t.Setenv(defaultTokenEnv, token)
	const gbk = "\xca\xd6\xb3\xe5" // 手冲
	pay := []string{"pay", "uid=1", "orderid=2", "ordername=手冲", "paymoney=39.00", "paytype=11", "notifyurl=http://n/a b", "returnurl=http://r"}
	rest := "&paytype=11&notifyurl=http://n/a b&returnurl=http://r&orderinfo=&token=" + token
	for name, tc := range map[string]struct {
		args []string
		key  string
		want []string
	}{
		"upper case": {notify, "42552A90CCE5A7EE1A5D3D8794FB8657", []string{"the key was written in upper case"}},
		"empty field": {notify, md5Hex("payid=10000000480012&orderid=10000000480010&paymoney=0.01&realpay=0.01&token=" + token),
			[]string{"empty fields were left out, which must keep their names: orderuid"}},
		"field": {notify, md5Hex("payid=10000000480012&orderid=10000000480010&orderuid=&paymoney=0.01&token=" + token),
			[]string{"fields were left out: realpay"}},
		"order": {notify, md5Hex("realpay=0.01&payid=10000000480012&orderid=10000000480010&orderuid=&paymoney=0.01&token=" + token),
			[]string{"the fields were in the order realpay, payid, orderid, orderuid, paymoney"}},
		"alphabetical": {notify, md5Hex("orderid=10000000480010&orderuid=&payid=10000000480012&paymoney=0.01&realpay=0.01&token=" + token),
			[]string{"the fields were in alphabetical order"}},
		"token first": {notify, md5Hex("token=" + token + "&payid=10000000480012&orderid=10000000480010&orderuid=&paymoney=0.01&realpay=0.01"),
			[]string{"the token stood first, not last"}},
		"token called key": {notify, md5Hex("payid=10000000480012&orderid=10000000480010&orderuid=&paymoney=0.01&realpay=0.01&key=" + token),
			[]string{"the token was called key"}},
		"token bare": {notify, md5Hex("payid=10000000480012&orderid=10000000480010&orderuid=&paymoney=0.01&realpay=0.01&" + token),
			[]string{"the token had no name"}},
		"token appended": {notify, md5Hex("payid=10000000480012&orderid=10000000480010&orderuid=&paymoney=0.01&realpay=0.01" + token),
			[]string{"the token was appended without & and name"}},
		"token's line break": {notify, md5Hex("payid=10000000480012&orderid=10000000480010&orderuid=&paymoney=0.01&realpay=0.01&token=" + token + "\n"),
			[]string{"a line break followed the token"}},
		"token in upper case": {notify, md5Hex("payid=10000000480012&orderid=10000000480010&orderuid=&paymoney=0.01&realpay=0.01&token=" + strings.ToUpper(token)),
			[]string{"the token was in upper case"}},
		"URL-encoded": {pay, md5Hex("uid=1&orderid=2&ordername=%E6%89%8B%E5%86%B2&paymoney=39.00&orderuid=&paytype=11&notifyurl=http%3A%2F%2Fn%2Fa+b&returnurl=http%3A%2F%2Fr&orderinfo=&token=" + token),
			[]string{"the values were URL-encoded"}},
		"URL-encoded, %20": {pay, md5Hex("uid=1&orderid=2&ordername=%E6%89%8B%E5%86%B2&paymoney=39.00&orderuid=&paytype=11&notifyurl=http%3A%2F%2Fn%2Fa%20b&returnurl=http%3A%2F%2Fr&orderinfo=&token=" + token),
			[]string{"the values were URL-encoded, spaces as %20"}},
		"URL-encoded in lower case": {pay, md5Hex("uid=1&orderid=2&ordername=%e6%89%8b%e5%86%b2&paymoney=39.00&orderuid=&paytype=11&notifyurl=http%3a%2f%2fn%2fa+b&returnurl=http%3a%2f%2fr&orderinfo=&token=" + token),
			[]string{"the values were URL-encoded in lower case"}},
		"encoded arguments": {[]string{"status", "orderid=a%20b", "uid=1"}, md5Hex("orderid=a b&uid=1&token=" + token),
			[]string{"the values were decoded from their URL encoding"}},
		"GBK": {pay, md5Hex("uid=1&orderid=2&ordername=" + gbk + "&paymoney=39.00&orderuid=" + rest),
			[]string{"the values were in GBK, not in UTF-8"}},
		"spaces": {[]string{"status", "orderid= 2 ", "uid=1"}, md5Hex("orderid=2&uid=1&token=" + token),
			[]string{"spaces around values were cut off"}},
		"amount cut": {pay, md5Hex("uid=1&orderid=2&ordername=手冲&paymoney=39&orderuid=" + rest),
			[]string{"amounts were written without needless zeros"}},
		"amount filled": {[]string{"notify", "payid=1", "orderid=2", "paymoney=39", "realpay=39"}, md5Hex("payid=1&orderid=2&orderuid=&paymoney=39.00&realpay=39.00&token=" + token),
			[]string{"amounts were written with two decimals"}},
		"several": {notify, strings.ToUpper(md5Hex("orderid=10000000480010&payid=10000000480012&paymoney=0.01&realpay=0.01&key=" + token)),
			[]string{"empty fields were left out, which must keep their names: orderuid", "the fields were in alphabetical order", "the token was called key", "the key was written in upper case"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(slices.Clone(tc.args), "key="+tc.key)
			out, err := execute(verifyCommand(), "", args...)
			if ExitCode(err) != exitNo {
				t.Errorf("exit status %d, %v", ExitCode(err), err)
			}
			for _, w := range tc.want {
				if !strings.Contains(out, "- "+w+"\n") {
					t.Errorf("lacks %q:\n%s", w, out)
				}
			}
			if strings.Contains(strings.ToLower(out), token) {
				t.Errorf("the token is shown:\n%s", out)
			}
			out, _ = execute(verifyCommand(), "", append(args, "--json")...)
			var a keyAnswer
			if err := json.Unmarshal([]byte(out), &a); err != nil || a.Fits == nil || *a.Fits || !slices.Equal(a.Ways, tc.want) {
				t.Errorf("got %v, %v", a.Ways, err)
			}
		})
	}
}

func TestFirstDifference(t *testing.T) {
	for _, tc := range []struct {
		a, b   string
		alike  int
		differ bool
	}{
		{"", "", 0, false}, {"a", "a", 0, false}, {"a", "", 0, true}, {"ab", "a", 1, true}, {"手冲", "手动", 1, true},
	} {
		if alike, differ := firstDifference(tc.a, tc.b); alike != tc.alike || differ != tc.differ {
			t.Errorf("%q, %q: %d, %v", tc.a, tc.b, alike, differ)
		}
	}
}

func TestKeyCompletion(t *testing.T) {
	names, _ := verifyCommand().ValidArgsFunction(nil, nil, "")
	if !slices.Equal(names, []string{"balance", "notify", "pay", "status"}) {
		t.Errorf("messages %v", names)
	}
	names, _ = verifyCommand().ValidArgsFunction(nil, []string{"status"}, "")
	if !slices.Equal(names, []string{"orderid=", "uid=", "key="}) {
		t.Errorf("fields %v", names)
	}
	for _, name := range messageNames() {
		if len(messages[name]) == 0 || slices.Contains(messages[name], "token") {
			t.Errorf("%s has fields %v", name, messages[name])
		}
	}
}
