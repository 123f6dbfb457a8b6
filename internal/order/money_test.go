package order

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, c := range map[string]struct {
		price Money
		wire  bool // ParseMoney takes it, too
		bad   bool
	}{
		"39.00":                   {price: 3900, wire: true},
		"0.01":                    {price: 1, wire: true},
		"0.10":                    {price: 10, wire: true},
		"0.00":                    {price: 0, wire: true},
		"99999999999.99":          {price: MaxMoney, wire: true},
		"39":                      {price: 3900},
		"39.5":                    {price: 3950},
		"0":                       {price: 0},
		"100000000000":            {bad: true},
		"100000000000.00":         {bad: true},
		"039.00":                  {bad: true},
		"00.01":                   {bad: true},
		"39.000":                  {bad: true},
		"1.005":                   {bad: true},
		"39.":                     {bad: true},
		".50":                     {bad: true},
		".":                       {bad: true},
		"":                        {bad: true},
		" 1":                      {bad: true},
		"1 ":                      {bad: true},
		"1\n":                     {bad: true},
		"+1":                      {bad: true},
		"-1":                      {bad: true},
		"-0.01":                   {bad: true},
		"1e2":                     {bad: true},
		"1E2":                     {bad: true},
		"0x10":                    {bad: true},
		"1_000":                   {bad: true},
		"1,000.00":                {bad: true},
		"1.0.0":                   {bad: true},
		"3９.00":                   {bad: true},
		"３９.００":                   {bad: true},
		"٣٩":                      {bad: true},
		"39。00":                   {bad: true},
		"¥39":                     {bad: true},
		"NaN":                     {bad: true},
		"Inf":                     {bad: true},
		"1\x00":                   {bad: true},
		"9223372036854775807":     {bad: true},
		strings.Repeat("9", 4096): {bad: true},
	} {
		price, err := ParsePrice(text)
		if (err != nil) != c.bad || (err != nil && !errors.Is(err, ErrMoney)) || price != c.price {
			t.Errorf("ParsePrice(%.20q) = %d, %v", text, price, err)
		}
		money, err := ParseMoney(text)
		if (err == nil) != c.wire || (err != nil && !errors.Is(err, ErrMoney)) || (c.wire && money != c.price) {
			t.Errorf("ParseMoney(%.20q) = %d, %v", text, money, err)
		}
	}
}

func FuzzParseMoney(f *testing.F) {
	for _, s := range []string{"39.00", "0.01", "1e2", "+1", "99999999999.99", "3９.00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMoney(s)
		if err != nil {
			return
		}
		if m.String() != s || m < 0 || m > MaxMoney || len(s) > 14 {
			t.Errorf("ParseMoney(%q) = %d, which is written %q", s, m, m)
		}
	})
}

func TestMoneyText(t *testing.T) {
	for m, want := range map[Money]string{0: "0.00", 7: "0.07", 70: "0.70", 3900: "39.00", -105: "-1.05", MaxMoney: "99999999999.99"} {
		text, err := m.MarshalText()
		if string(text) != want || err != nil {
			t.Errorf("%d is written %q, %v", int64(m), text, err)
		}
		var back Money
		if err := back.UnmarshalText(text); (err == nil) != (m >= 0) || (err == nil && back != m) {
			t.Errorf("%q read back as %d, %v", text, back, err)
		}
	}
}

func TestMoneySums(t *testing.T) {
	if m, ok := Money(3900).Times(999); m != 3_896_100 || !ok {
		t.Error(m, ok)
	}
	if m, ok := MaxMoney.Times(1); m != MaxMoney || !ok {
		t.Error(m, ok)
	}
	for _, bad := range []func() (Money, bool){
		func() (Money, bool) { return MaxMoney.Times(2) },
		func() (Money, bool) { return Money(1).Times(-1) },
		func() (Money, bool) { return Money(-1).Times(1) },
		func() (Money, bool) { return MaxMoney.Plus(1) },
		func() (Money, bool) { return Money(1).Plus(MaxMoney) },
		func() (Money, bool) { return Money(1).Plus(-1) },
	} {
		if m, ok := bad(); ok {
			t.Errorf("%d is within the bounds", m)
		}
	}
	if m, ok := Money(5).Times(0); m != 0 || !ok {
		t.Error(m, ok)
	}
}
