package sign_test

import (
	"errors"
	"fmt"

	"github.com/caddy-checkout/checkout/sign"
)

func ExampleFields_Key() {
	key, err := sign.Balance.Key("10665CF54E90822951FE80330E9CF715", "10000001400000", "2018-09-02 12:35:06")
	fmt.Println(key, err)
	// Output: c9b922d7dde2c8ad614b998f8d183e84 <nil>
}

func ExampleFields_Key_refused() {
	_, err := sign.Status.Key("10665CF54E90822951FE80330E9CF715", "1&uid=2", "10000001400000")
	fmt.Println(err)
	fmt.Println(errors.Is(err, sign.ErrValue))
	// Output:
	// orderid: value cannot be signed: it holds '&'
	// true
}

// The token was replaced; a notify on its way was signed with the old one.
func ExampleFields_Verify() {
	tokens := []string{"c0ffee5b1d9e4a7f8036d2e1b4a59c77", "2f44c6b906208208c4122c83125ccd7b"}
	err := sign.Notify.Verify("ca1da861b827a0862de28a17fc99ce05", tokens,
		"10000000480012", "10000000480010", "10000000480011", "0.01", "0.01")
	fmt.Println(err)
	// Output: <nil>
}

func ExampleFields_Masked() {
	fmt.Println(sign.Status.Masked("10000000900000", "10000001400000"))
	// Output: orderid=10000000900000&uid=10000001400000&token=********
}
