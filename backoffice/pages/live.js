(() => {
  "use strict";
  const script = document.currentScript;
  const following = document.getElementById("following");
  const news = document.getElementById("news");
  const pause = 1000;
  let source, timer, missed = false;

  // What a person is busy with stays as it is.
  const inUse = (part) => {
    const focus = document.activeElement;
    if (part.contains(focus) && focus.matches("input, select, textarea, summary")) return true;
    if (!getSelection().isCollapsed && part.contains(getSelection().anchorNode)) return true;
    return part.querySelector("details[open]") !== null ||
      [...part.querySelectorAll("form input:not([type=hidden])")].some((field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked);
  };

  const update = async () => {
    timer = undefined;
    const answer = await fetch(location.href, { cache: "no-store" }).catch(() => undefined);
    if (!answer || !answer.ok || answer.redirected) return;
    const text = await answer.text();
    // The rest of the page, its styles among it, is not for this document's policy.
    const main = text.slice(text.indexOf("<main"), text.indexOf("</main>"));
    const fresh = new DOMParser().parseFromString(main, "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (!next || next.innerHTML === part.innerHTML) continue;
      if (inUse(part)) {
        news.hidden = false;
        continue;
      }
      const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
      part.replaceWith(document.adoptNode(next));
      if (focused) document.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
    }
  };

  const soon = () => { timer ??= setTimeout(update, pause); };

  const open = () => {
    source = new EventSource(script.dataset.url);
    source.onopen = () => {
      following.textContent = following.dataset.following;
      if (missed) soon();
      missed = true;
    };
    source.onerror = () => {
      following.textContent = following.dataset.waiting;
      if (source.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || open(), 5 * pause);
    };
    source.onmessage = (event) => {
      const order = script.dataset.order;
      if (!order || JSON.parse(event.data).id === order) soon();
    };
  };

  // A browser keeps few connections to one server: tabs in the back give theirs up.
  document.addEventListener("visibilitychange", () => {
    source?.close();
    if (!document.hidden) open();
  });
  if (!document.hidden) open();
})();
