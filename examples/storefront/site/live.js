// Buys without leaving the page: POST /checkout answers JSON when asked for it,
// and GET /checkout/status waits until the order's state changes.
const form = document.querySelector("#live");
const button = form.querySelector("button");
const says = form.querySelector("output");

form.addEventListener("submit", async (event) => {
	event.preventDefault();
	button.disabled = true;
	says.textContent = "Making the order …";
	try {
		const answer = await fetch(form.action, {
			method: "POST",
			headers: { Accept: "application/json" },
			body: new URLSearchParams(new FormData(form)),
		});
		if (!answer.ok) throw new Error(`the order was not taken (${answer.status})`);
		const order = await answer.json();
		openPayment(order);
		says.textContent = "Waiting for the payment in the other tab …";
		says.textContent = await outcome(order.orderid);
	} catch (error) {
		says.textContent = `Sorry: ${error.message}.`;
	}
	button.disabled = false;
});

// The gateway wants a form that the buyer's browser posts.
function openPayment({ action, method, fields }) {
	const payment = Object.assign(document.createElement("form"), { action, method, target: "_blank" });
	for (const [name, value] of Object.entries(fields)) {
		payment.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
	}
	document.body.append(payment);
	payment.submit();
	payment.remove();
}

async function outcome(orderid) {
	for (;;) {
		const answer = await fetch(`/checkout/status?orderid=${orderid}&wait=25`);
		if (!answer.ok) {
			await new Promise((resolve) => setTimeout(resolve, 5000));
			continue;
		}
		const { state, paymoney } = await answer.json();
		if (state === "paid") return `Paid, ¥${paymoney}. Thank you!`;
		if (state === "expired") return "The time to pay is over. Nothing was charged.";
		if (state === "review") return "We are looking into your payment. Please contact the shop.";
	}
}
