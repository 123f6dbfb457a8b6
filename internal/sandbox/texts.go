package sandbox

import "net/http"

// texts are the words of the pages in one language.
type texts struct {
	Lang string

	// everywhere
	Sandbox, NoMoney, Inspector, Yuan, Received, Sent string

	// cashier
	Cashier, Amount, OrderID, PayBefore, Pay, Cancel, Try, OtherAmount, OtherAmountHint, PayThis,
	PayTwice, PayTwiceHint, LetTimeOut, LetTimeOutHint, FormFields,
	Paid, PaidHint, Cancelled, CancelledHint, TimedOut, TimedOutHint, Returning, BackToShop string

	// refused
	Refused, RefusedHint, Hashed, HashedHint, FieldOrder, YourFields string

	// excuse
	CannotDo, Back string

	// inspector
	Intro, Reload, StartLive, StopLive, Misbehave, MisbehaveHint, Behave, Set, StatusReplies, BalanceReplies, Notifies,
	Orders, NoOrders, Messages, NoMessages, Older, TryNumber, Reply, To, Late,
	TimeOut, PayLate, PayLess, SecondPayment, Duplicate, Concurrent, WrongKey, ChangedAmount, WrongAmount, OtherPayID string

	kinds, states map[string]string
	excuses       map[int]string // by HTTP status
}

var allTexts = [languages]texts{
	english: {
		Lang:      "en",
		Sandbox:   "Sandbox",
		NoMoney:   "Test gateway, no real money",
		Inspector: "Inspector",
		Yuan:      "¥",
		Received:  "received",
		Sent:      "sent",

		Cashier:         "Cashier",
		Amount:          "Amount",
		OrderID:         "Order",
		PayBefore:       "Pay before",
		Pay:             "Pay",
		Cancel:          "Cancel",
		Try:             "Try something else",
		OtherAmount:     "Another amount",
		OtherAmountHint: "Pay too little or too much; the shop must notice.",
		PayThis:         "Pay this",
		PayTwice:        "Pay twice",
		PayTwiceHint:    "Two payments with two payment ids, two notifies.",
		LetTimeOut:      "Let it time out now",
		LetTimeOutHint:  "As if the time to pay were over. It can still be paid late in the inspector.",
		FormFields:      "What the shop sent",
		Paid:            "Paid",
		PaidHint:        "The shop is being notified.",
		Cancelled:       "Cancelled",
		CancelledHint:   "Nothing was paid.",
		TimedOut:        "Timed out",
		TimedOutHint:    "This order was not paid in time.",
		Returning:       "Taking you back to the shop …",
		BackToShop:      "Back to the shop",

		Refused:     "The gateway refused this form",
		RefusedHint: "A real gateway would turn the buyer away. Here is why:",
		Hashed:      "The string that was hashed",
		HashedHint:  "UTF-8, values not URL-encoded, the token masked. Hash it with your token in place of the asterisks.",
		FieldOrder:  "Order of the signed fields",
		YourFields:  "The fields that you sent",

		CannotDo: "That cannot be done",
		Back:     "Back to the inspector",

		Intro:          "Every message that this gateway received and sent. Times are Beijing time.",
		Reload:         "Reload",
		StartLive:      "Reload by itself",
		StopLive:       "Stop reloading",
		Misbehave:      "Misbehave",
		MisbehaveHint:  "Stays until it is changed back.",
		Behave:         "behave",
		Set:            "Set",
		StatusReplies:  "Status replies",
		BalanceReplies: "Balance replies",
		Notifies:       "Notifies",
		Orders:         "Orders",
		NoOrders:       "No order yet. Buy something in your shop.",
		Messages:       "Messages",
		NoMessages:     "No message yet.",
		Older:          "Older messages",
		TryNumber:      "try %d",
		Reply:          "Reply",
		To:             "To",
		Late:           "late",
		TimeOut:        "Time out",
		PayLate:        "Pay late",
		PayLess:        "Pay too little",
		SecondPayment:  "Pay again",
		Duplicate:      "Notify again",
		Concurrent:     "8 at once",
		WrongKey:       "Wrong key",
		ChangedAmount:  "Changed amount, old key",
		WrongAmount:    "Wrong amount, right key",
		OtherPayID:     "Other payid",

		kinds: map[string]string{
			kindPay: "pay request", kindNotify: "notify", kindReturn: "return",
			kindStatus: "order status", kindBalance: "balance",
		},
		states: map[string]string{
			stateWaiting: "waiting", statePaid: "paid", stateCancelled: "cancelled", stateTimeout: "timed out",
		},
		excuses: map[int]string{
			http.StatusBadRequest:         "The request is not right.",
			http.StatusNotFound:           "There is no such order.",
			http.StatusConflict:           "The order is in another state. Perhaps the page was old.",
			http.StatusServiceUnavailable: "The sandbox is busy or closed. Try again in a minute.",
		},
	},
	chinese: {
		Lang:      "zh-CN",
		Sandbox:   "沙箱",
		NoMoney:   "测试网关，不涉及真实资金",
		Inspector: "报文检查",
		Yuan:      "¥",
		Received:  "收到",
		Sent:      "发出",

		Cashier:         "收银台",
		Amount:          "金额",
		OrderID:         "订单",
		PayBefore:       "请在此时间前付款",
		Pay:             "付款",
		Cancel:          "取消",
		Try:             "试试其他情况",
		OtherAmount:     "其他金额",
		OtherAmountHint: "少付或多付，商店必须发现。",
		PayThis:         "按此付款",
		PayTwice:        "付两次",
		PayTwiceHint:    "两笔付款、两个 payid、两次通知。",
		LetTimeOut:      "立即超时",
		LetTimeOutHint:  "如同付款时间已过；之后仍可在报文检查页迟付。",
		FormFields:      "商店发来的内容",
		Paid:            "已付款",
		PaidHint:        "正在通知商店。",
		Cancelled:       "已取消",
		CancelledHint:   "没有付款。",
		TimedOut:        "已超时",
		TimedOutHint:    "该订单未在规定时间内付款。",
		Returning:       "正在返回商店……",
		BackToShop:      "返回商店",

		Refused:     "网关拒绝了该表单",
		RefusedHint: "真实网关会拒绝买家。原因如下：",
		Hashed:      "参与计算的字符串",
		HashedHint:  "UTF-8，值不做 URL 编码，token 已遮盖。把星号换成你的 token 再计算。",
		FieldOrder:  "签名字段的顺序",
		YourFields:  "你发送的字段",

		CannotDo: "无法执行",
		Back:     "返回报文检查",

		Intro:          "本网关收到和发出的全部报文。时间为北京时间。",
		Reload:         "刷新",
		StartLive:      "自动刷新",
		StopLive:       "停止自动刷新",
		Misbehave:      "异常行为",
		MisbehaveHint:  "保持有效，直到改回。",
		Behave:         "正常",
		Set:            "设置",
		StatusReplies:  "订单查询应答",
		BalanceReplies: "余额查询应答",
		Notifies:       "通知",
		Orders:         "订单",
		NoOrders:       "还没有订单。请在商店里下单。",
		Messages:       "报文",
		NoMessages:     "还没有报文。",
		Older:          "更早的报文",
		TryNumber:      "第 %d 次",
		Reply:          "应答",
		To:             "发往",
		Late:           "迟付",
		TimeOut:        "超时",
		PayLate:        "迟付",
		PayLess:        "少付",
		SecondPayment:  "再付一次",
		Duplicate:      "重复通知",
		Concurrent:     "同时 8 次",
		WrongKey:       "错误的 key",
		ChangedAmount:  "改金额、旧 key",
		WrongAmount:    "错金额、正确 key",
		OtherPayID:     "另一个 payid",

		kinds: map[string]string{
			kindPay: "支付请求", kindNotify: "支付通知", kindReturn: "页面跳转",
			kindStatus: "订单查询", kindBalance: "余额查询",
		},
		states: map[string]string{
			stateWaiting: "待支付", statePaid: "已支付", stateCancelled: "已取消", stateTimeout: "已超时",
		},
		excuses: map[int]string{
			http.StatusBadRequest:         "请求不正确。",
			http.StatusNotFound:           "没有该订单。",
			http.StatusConflict:           "订单已处于其他状态，页面可能已过期。",
			http.StatusServiceUnavailable: "沙箱繁忙或已关闭。请一分钟后再试。",
		},
	},
}
