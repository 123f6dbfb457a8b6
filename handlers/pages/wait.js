(function () {
  var url = document.getElementById("wait").getAttribute("data-url");
  if (!window.fetch) {
    setTimeout(function () { location.reload(); }, 5000);
    return;
  }
  function ask() {
    fetch(url, { cache: "no-store", headers: { Accept: "application/json" } })
      .then(function (answer) {
        if (!answer.ok) { throw new Error(String(answer.status)); }
        return answer.json();
      })
      .then(function (order) {
        if (order.state !== "pending") { location.reload(); return; }
        setTimeout(ask, 2000);
      })
      .catch(function () { setTimeout(ask, 5000); });
  }
  ask();
})();
