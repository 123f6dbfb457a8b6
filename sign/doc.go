// Package sign makes and verifies the keys of the payment gateway's messages.
//
// Every message of the gateway carries a key: the lower-case hexadecimal MD5
// of the message's fields and of a token that only the merchant and the
// gateway know:
//
//	uid=10000001400000&reqtime=2018-09-02 12:35:06&token=10665CF54E90822951FE80330E9CF715
//
// The values are hashed as they are, in UTF-8 and not URL-encoded, although
// the message itself travels as a form or a query. The order is fixed for each
// message, and a field without a value keeps its name. [Pay], [Notify],
// [Status] and [Balance] are the four messages:
//
//	key, err := sign.Balance.Key(token, uid, reqtime)
//	err := sign.Notify.Verify(key, tokens, payid, orderid, orderuid, paymoney, realpay)
//
// # What may be signed
//
// Nothing but '&' keeps two values apart, so whoever can put an '&' into a
// value can move money from one field to another without changing the key.
// These two hash the same string:
//
//	paymoney=100.00, orderuid=&paymoney=0.01&orderuid=bob
//	…&paymoney=100.00&orderuid=, paymoney=0.01, orderuid=bob
//
// Therefore no value may hold '&', a control character or invalid UTF-8, when
// signing as when verifying: [Fields.Check] says which field is at fault, and
// never what it held. With that, two different sets of values never give one
// string. Text that people wrote has to be made fit before it is signed;
// [Signable] tells what may stay.
//
// # Tokens
//
// The token is the whole secret: it belongs on the server, and in no page, log
// or error. A message is signed with one token and verified with several, so
// that a token can be replaced while messages signed with the old one are
// still on their way. An empty token signs nothing and verifies nothing.
//
// MD5 is the gateway's choice, and the token stands last, which keeps length
// extension out. Keys are compared in constant time, and all tokens are tried
// whichever fits.
//
// # Finding a difference
//
// When the gateway refuses a key, compare the two strings, not the two keys:
// [Fields.Masked] writes the string with the token hidden.
package sign
