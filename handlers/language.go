package handlers

import (
	"fmt"
	"html"
	"regexp"
)

// language is one that pages are written in.
type language int

const (
	english language = iota
	chinese
	languages // how many there are
)

// String is the form that orders keep.
func (l language) String() string { return [languages]string{"en", "zh"}[l] }

// orderLanguage is the inverse of [language.String].
func orderLanguage(s string) language {
	if s == chinese.String() {
		return chinese
	}
	return english
}

// text returns a message. Its key is part of the program.
func (l language) text(key string) string { return messages[key][l] }

var placeholder = regexp.MustCompile(`\[\[(\w+)]]`)

// translate puts the messages into a page, where [[key]] stands for them.
func (l language) translate(page string) (string, error) {
	var err error
	page = placeholder.ReplaceAllStringFunc(page, func(found string) string {
		key := found[2 : len(found)-2]
		message, ok := messages[key]
		if !ok {
			err = fmt.Errorf("unknown message %q", key)
		}
		return html.EscapeString(message[l])
	})
	return page, err
}

// messages are all words of the pages.
var messages = map[string][languages]string{
	"lang":       {english: "en", chinese: "zh-CN"},
	"test_mode":  {english: "Test mode: no real money is charged.", chinese: "测试模式：不会真实扣款。"},
	"home":       {english: "Back to the shop", chinese: "返回商店"},
	"order_no":   {english: "Order number", chinese: "订单号"},
	"items":      {english: "Items", chinese: "商品"},
	"total":      {english: "Total", chinese: "合计"},
	"beijing":    {english: "Beijing time", chinese: "北京时间"},
	"order_time": {english: "Ordered", chinese: "下单时间"},
	"paid_time":  {english: "Paid", chinese: "付款时间"},

	"review_title": {english: "Your order", chinese: "确认订单"},
	"review_lead":  {english: "Please check your order before you pay.", chinese: "付款前请核对您的订单。"},
	"details":      {english: "Your details", chinese: "您的信息"},
	"optional":     {english: "optional", chinese: "选填"},
	"pay":          {english: "Pay", chinese: "支付宝付款"},
	"pay_with":     {english: "with Alipay", chinese: ""},
	"pay_hint":     {english: "You will be taken to Alipay to pay. Nothing is charged before you confirm there.", chinese: "您将前往支付宝完成付款，确认之前不会扣款。"},
	"fix_fields":   {english: "Please correct the fields marked below.", chinese: "请更正下方标出的内容。"},

	"field_name":    {english: "Name", chinese: "姓名"},
	"field_email":   {english: "E-mail", chinese: "电子邮箱"},
	"field_tel":     {english: "Phone", chinese: "电话"},
	"field_address": {english: "Address", chinese: "地址"},
	"field_note":    {english: "Note", chinese: "备注"},

	"missing":        {english: "Please fill in this field.", chinese: "请填写此项。"},
	"too_long":       {english: "This is too long.", chinese: "内容过长。"},
	"bad_email":      {english: "Please enter an e-mail address like name@example.com.", chinese: "请输入正确的电子邮箱，例如 name@example.com。"},
	"bad_tel":        {english: "Please enter a phone number in digits.", chinese: "请输入正确的电话号码。"},
	"bad_characters": {english: "This holds characters that cannot be used.", chinese: "含有无法使用的字符。"},

	"sending_title":  {english: "On to Alipay", chinese: "前往支付宝"},
	"sending_text":   {english: "You are being taken to Alipay. If nothing happens, press the button.", chinese: "正在前往支付宝。如果没有自动跳转，请点击下面的按钮。"},
	"sending_button": {english: "Continue to Alipay", chinese: "前往支付宝付款"},
	"sending_done":   {english: "Paid already? See your order", chinese: "已经付款？查看订单"},

	"wait_title":  {english: "Waiting for your payment", chinese: "正在等待付款结果"},
	"wait_text":   {english: "We have not heard of your payment yet. This usually takes a few seconds, and this page updates by itself.", chinese: "暂未收到付款结果，通常只需几秒钟，本页会自动更新。"},
	"wait_unpaid": {english: "If you did not pay, you can start over:", chinese: "如果您没有付款，可以："},

	"receipt_title":    {english: "Thank you, your payment has arrived", chinese: "付款成功，谢谢惠顾"},
	"receipt_text":     {english: "Please keep your order number.", chinese: "请保存好您的订单号。"},
	"receipt_refunded": {english: "This order has been refunded.", chinese: "此订单已退款。"},

	"expired_title": {english: "This order has expired", chinese: "订单已过期"},
	"expired_text":  {english: "No payment arrived in time. If you did pay after all, keep the order number: the payment still counts when it arrives.", chinese: "未在规定时间内收到付款。如果您其实已经付款，请保存好订单号，款项到达后仍会入账。"},
	"order_again":   {english: "Order again", chinese: "重新下单"},

	"contact_title": {english: "Please contact the shop", chinese: "请联系商家"},
	"contact_text":  {english: "Your payment needs to be checked by a person. Please contact the shop and give the order number. Do not pay again.", chinese: "您的付款需要人工核对。请联系商家并提供订单号，请勿重复付款。"},

	"malformed_title":          {english: "This link or form is not complete", chinese: "链接或表单不完整"},
	"malformed_text":           {english: "Please go back to the shop and try again.", chinese: "请返回商店重试。"},
	"no_items_title":           {english: "Nothing is chosen yet", chinese: "还没有选择商品"},
	"no_items_text":            {english: "Please choose a product in the shop first.", chinese: "请先在商店选择商品。"},
	"bad_qty_title":            {english: "This quantity is not possible", chinese: "数量不正确"},
	"bad_qty_text":             {english: "Please choose a quantity from 1 to 999.", chinese: "请选择 1 到 999 之间的数量。"},
	"too_many_lines_title":     {english: "Too many products in one order", chinese: "一个订单中的商品种类过多"},
	"too_many_lines_text":      {english: "Please order at most 50 different products at a time.", chinese: "每个订单最多 50 种商品。"},
	"bad_total_title":          {english: "This total cannot be paid", chinese: "无法支付此金额"},
	"bad_total_text":           {english: "Please change the quantities and try again.", chinese: "请调整数量后重试。"},
	"cross_site_title":         {english: "This order came from another site", chinese: "请求来自其他网站"},
	"cross_site_text":          {english: "For your safety it was not accepted. Please order in the shop itself.", chinese: "为了您的安全，请求未被接受。请在商店内下单。"},
	"not_found_title":          {english: "There is no such page or order", chinese: "没有这个页面或订单"},
	"not_found_text":           {english: "Please check the address, or contact the shop with your order number.", chinese: "请检查网址，或提供订单号联系商家。"},
	"unknown_product_title":    {english: "This product is not available", chinese: "没有这个商品"},
	"unknown_product_text":     {english: "It may have been renamed or sold out. Please choose it again in the shop.", chinese: "商品可能已下架或更名，请在商店重新选择。"},
	"method_not_allowed_title": {english: "This cannot be done here", chinese: "不支持此操作"},
	"method_not_allowed_text":  {english: "Please go back to the shop and try again.", chinese: "请返回商店重试。"},
	"too_large_title":          {english: "This is too long", chinese: "内容过长"},
	"too_large_text":           {english: "Please shorten what you wrote and try again.", chinese: "请缩短内容后重试。"},
	"bad_fields_text":          {english: "Fields are missing or wrong.", chinese: "信息缺失或有误。"},
	"too_many_orders_title":    {english: "Too many orders at the moment", chinese: "订单过多"},
	"too_many_orders_text":     {english: "Please wait a little and try again. Nothing was ordered or charged.", chinese: "请稍后再试。没有下单，也没有扣款。"},
	"internal_title":           {english: "Something went wrong", chinese: "出错了"},
	"internal_text":            {english: "Please try again, or contact the shop.", chinese: "请重试，或联系商家。"},
	"unavailable_title":        {english: "Checkout is not available right now", chinese: "暂时无法结账"},
	"unavailable_text":         {english: "Please try again in a moment. No order is lost.", chinese: "请稍后再试，已有的订单不会丢失。"},
}
