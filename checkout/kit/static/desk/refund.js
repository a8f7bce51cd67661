// What the refund page says while an amount is typed: what is left, and who decides. The server decides all the same.
(() => {
  const live = document.getElementById("refund-live");
  const input = document.querySelector("input[name=amount]");
  if (!live || !input) return;
  const { address, currency } = live.dataset;
  const decimals = Number(live.dataset.decimals);
  const standing = { refundable: Number(live.dataset.refundable), alone: Number(live.dataset.alone) };
  const help = input.closest(".field").querySelector(".help");
  const part = (name) => live.querySelector(`[data-${name}]`);

  const plain = (minor) => {
    const digits = String(minor).padStart(decimals + 1, "0");
    const point = digits.length - decimals;
    return decimals ? `${digits.slice(0, point)}.${digits.slice(point)}` : digits;
  };
  const money = (minor) => `${plain(minor).replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, ",")} ${currency}`;
  const typed = () => {
    const match = /^([0-9]{1,12})(?:\.([0-9]{1,3}))?$/.exec(input.value.trim());
    if (!match || (match[2] || "").length > decimals) return null;
    return Number(match[1] + (match[2] || "").padEnd(decimals, "0"));
  };

  const say = () => {
    const amount = typed();
    const { refundable, alone } = standing;
    const isTooMuch = amount !== null && amount > refundable;
    const isFine = amount && !isTooMuch;
    if (help) help.textContent = `At most ${money(refundable)}.`;
    part("full").textContent = money(refundable);
    part("left").textContent = isTooMuch
      ? `That is more than the ${money(refundable)} that can be refunded now.`
      : isFine
        ? `Afterwards ${money(refundable - amount)} can still be refunded.`
        : `${money(refundable)} can be refunded now.`;
    part("left").className = isTooMuch ? "bad" : "";
    part("who").textContent = !isFine ? "" : amount > alone ? "Somebody else has to approve it." : "You refund it alone.";
    part("who").className = isFine && amount > alone ? "warn" : "";
  };

  let isAsking = false;
  const askAgain = async () => {
    if (isAsking || document.hidden) return;
    isAsking = true;
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" }, redirect: "error" });
      if (answer.ok) {
        const now = await answer.json();
        Object.assign(standing, { refundable: now.refundable, alone: now.alone });
        document.getElementById("refund-rule").textContent = now.rule;
        say();
      }
    } catch {
      // The page stays as it was: what it says is checked again when the form is sent.
    } finally {
      isAsking = false;
    }
  };

  live.querySelectorAll("[data-choose]").forEach((choice) => {
    choice.hidden = false;
    choice.addEventListener("click", () => {
      input.value = choice.dataset.choose === "full" ? plain(standing.refundable) : "";
      input.focus();
      say();
    });
  });
  input.addEventListener("input", say);
  window.addEventListener("focus", askAgain);
  document.addEventListener("visibilitychange", askAgain);
  setInterval(askAgain, 5000);
  say();
})();
