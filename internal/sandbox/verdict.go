package sandbox

import (
	"encoding/json"
	"fmt"
	"strings"
)

// reason is something there is to say about a message.
type reason struct {
	code string // a key of reasons
	args []any
}

// verdict is everything there is to say, the first reason being the main one.
type verdict []reason

func because(code string, args ...any) verdict {
	return verdict{{code, args}}
}

func (v verdict) code() string {
	if len(v) == 0 {
		return ""
	}
	return v[0].code
}

func (v verdict) text(l lang) string {
	lines := make([]string, len(v))
	for i, r := range v {
		lines[i] = r.in(l)
	}
	return strings.Join(lines, "; ")
}

// MarshalJSON writes the English text.
func (v verdict) MarshalJSON() ([]byte, error) {
	return json.Marshal(v.text(english))
}

func (r reason) in(l lang) string {
	return fmt.Sprintf(reasons[r.code][l], r.args...)
}

// Hint reports whether r only helps to find a mistake.
func (r reason) Hint() bool { return strings.HasPrefix(r.code, "hint_") }

// masked is v without the token, as text.
func (g *Gateway) masked(v verdict) verdict {
	clean := make(verdict, len(v))
	for i, r := range v {
		args := make([]any, len(r.args))
		for j, arg := range r.args {
			args[j] = arg
			if s, ok := arg.(string); ok {
				args[j] = g.shorten(s)
			}
		}
		clean[i] = reason{r.code, args}
	}
	return clean
}

// reasons are the texts of every code, in the order of the languages.
var reasons = map[string][languages]string{
	// received
	"accepted":    {"accepted; the cashier is shown", "已受理，显示收银台"},
	"shown_again": {"the same form again; the cashier is shown again", "相同的表单再次提交，重新显示收银台"},
	"answered":    {"answered", "已应答"},

	// the form
	"query":         {"the URL has a query; the fields belong in the body of the POST", "网址带有查询参数；字段应放在 POST 正文中"},
	"content_type":  {"Content-Type is %q; want application/x-www-form-urlencoded in UTF-8", "Content-Type 是 %q；应为 UTF-8 的 application/x-www-form-urlencoded"},
	"too_large":     {"the body is over %d bytes", "正文超过 %d 字节"},
	"form_syntax":   {"the form cannot be decoded: %s", "表单无法解码：%s"},
	"missing":       {"%s is missing; an empty field must be sent, too", "缺少 %s；空字段也必须发送"},
	"repeated":      {"%s is there %d times; want it exactly once", "%s 出现了 %d 次；只能出现一次"},
	"unknown_field": {"%q is no field of this message", "%q 不是该报文的字段"},
	"token_sent":    {"the token must never leave the merchant's server; take it out of the form and change it", "token 绝不能离开商户服务器；请从表单中去掉并更换 token"},
	"empty":         {"%s is empty, but required", "%s 为空，但它是必填项"},
	"too_long":      {"%s has %d bytes; at most %d are allowed", "%s 有 %d 字节；最多 %d 字节"},
	"value":         {"%s holds '&', a control character or invalid UTF-8 and cannot be signed safely", "%s 含有 '&'、控制字符或无效的 UTF-8，无法安全签名"},
	"paytype":       {"paytype is %q; want 11 (Alipay)", "paytype 是 %q；应为 11（支付宝）"},
	"amount":        {"paymoney is %q; want yuan with exactly two decimals, like 39.00", "paymoney 是 %q；应为恰好两位小数的元，例如 39.00"},
	"amount_zero":   {"paymoney must be more than zero", "paymoney 必须大于零"},
	"url":           {"%s is %q; want an absolute http or https URL", "%s 是 %q；应为完整的 http 或 https 网址"},
	"uid":           {"uid %q is unknown; this sandbox serves %s", "未知的 uid %q；本沙箱的 uid 是 %s"},
	"reused":        {"this orderid was used before with another %s", "该 orderid 已被使用，但 %s 不同"},

	// the key
	"key":            {"key does not match", "key 不匹配"},
	"key_form":       {"key is not 32 lower-case hex digits", "key 不是 32 位小写十六进制"},
	"hint_case":      {"it would match in lower case without spaces around it", "改为小写并去掉首尾空格后即可匹配"},
	"hint_encoded":   {"it matches URL-encoded values: hash the raw values, and encode only for sending", "它与 URL 编码后的值匹配：请对原始值计算，发送时再编码"},
	"hint_empty":     {"it matches without the empty fields: an empty field keeps its name, like orderinfo=", "它与去掉空字段的字符串匹配：空字段也要写参数名，例如 orderinfo="},
	"hint_sorted":    {"it matches alphabetical order: use the order of the table", "它与按字母排序的字符串匹配：请按表中的字段顺序"},
	"hint_returnurl": {"it matches without returnurl: it belongs between notifyurl and orderinfo", "它与缺少 returnurl 的字符串匹配：returnurl 应在 notifyurl 与 orderinfo 之间"},
	"hint_order":     {"it matches with two fields swapped: use the order of the table", "它与两个字段互换后的字符串匹配：请按表中的字段顺序"},
	"hint_none":      {"none of the usual mistakes gives this key: compare the string byte by byte, and the token on both sides", "不属于常见错误：请逐字节比较字符串，并核对两边的 token"},

	// queries
	"order_unknown": {"no such order", "没有该订单"},
	"too_soon":      {"asked again after %s; at most one query per %s", "距上次查询仅 %s；每 %s 最多查询一次"},
	"reqtime_form":  {"reqtime is %q; want Beijing time like 2018-09-02 12:35:06", "reqtime 是 %q；应为北京时间，例如 2018-09-02 12:35:06"},
	"reqtime_off":   {"reqtime is %s off; it is %s in Beijing, and at most 10 minutes are allowed", "reqtime 相差 %s；现在的北京时间是 %s，误差不能超过 10 分钟"},
	"misbehaved":    {"misbehaved on request: %s", "按要求异常应答：%s"},

	// sent
	"acknowledged": {"the merchant acknowledged with HTTP %d", "商户已确认（HTTP %d）"},
	"refused":      {"the merchant answered HTTP %d", "商户应答 HTTP %d"},
	"redirected":   {"the merchant redirected (HTTP %d); not followed, a notifyurl must answer itself", "商户重定向（HTTP %d）；不跟随，notifyurl 必须自己应答"},
	"no_answer":    {"no answer: %s", "没有应答：%s"},
	"lost":         {"lost on request: nothing was sent", "按要求丢失：没有发送"},
	"aborted":      {"the sandbox was closed", "沙箱已关闭"},
	"returned":     {"the browser was sent to returnurl", "浏览器已跳转到 returnurl"},
}
