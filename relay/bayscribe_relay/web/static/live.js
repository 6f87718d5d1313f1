// Keeps a page new: pieces come as Server-Sent Events and replace those of the same id.
"use strict";

(() => {
  const source = document.body.dataset.live;
  if (!source || !window.EventSource) return;

  const shown = new Map();
  const held = new Map();
  const lost = document.getElementById("lost");
  const heldNotice = document.getElementById("held");

  // A region in which somebody writes is not replaced under their hands.
  const busy = (region) => {
    for (const field of region.querySelectorAll("textarea, input:not([type=hidden]), select")) {
      const changed = field.type === "checkbox" ? field.checked : field.value !== field.defaultValue;
      if (field === document.activeElement || (changed && field.tagName !== "SELECT")) return true;
    }
    return false;
  };

  const openDetails = (region) =>
    [...region.querySelectorAll("details[open]")].map((d) => d.querySelector("summary").textContent);

  // Whether a piece is what stands there: a live region must not be read out for nothing.
  const same = (region, html) => {
    if (shown.has(region.id)) return shown.get(region.id) === html;
    const box = document.createElement("template");
    box.innerHTML = html;
    return box.innerHTML === region.innerHTML;
  };

  const put = (id, html) => {
    const region = document.getElementById(id);
    if (!region || same(region, html)) return;
    const focused = region.contains(document.activeElement) ? document.activeElement : null;
    const label = focused ? focused.textContent + (focused.getAttribute("name") || "") : "";
    const opened = openDetails(region);
    region.innerHTML = html;
    shown.set(id, html);
    for (const details of region.querySelectorAll("details"))
      if (opened.includes(details.querySelector("summary").textContent)) details.open = true;
    if (focused) {
      const again = [...region.querySelectorAll("a, button, summary, input, textarea")].find(
        (e) => e.textContent + (e.getAttribute("name") || "") === label,
      );
      (again || document.getElementById("main")).focus({ preventScroll: true });
    }
    document.dispatchEvent(new CustomEvent("piece", { detail: id }));
  };

  const showHeld = () => {
    for (const [id, html] of held) put(id, html);
    held.clear();
    if (heldNotice) heldNotice.hidden = true;
  };
  const offer = (id, html) => {
    const region = document.getElementById(id);
    if (region && busy(region)) {
      if (same(region, html)) return;
      held.set(id, html);
      if (id === "draft" && heldNotice) heldNotice.hidden = false;
    } else {
      held.delete(id);
      put(id, html);
      if (id === "draft" && heldNotice) heldNotice.hidden = true;
    }
  };
  document.addEventListener("focusout", () => {
    setTimeout(() => {
      for (const [id, html] of [...held]) if (id !== "draft") offer(id, html);
    }, 0);
  });
  document.getElementById("show-held")?.addEventListener("click", showHeld);
  window.bayscribe = { showHeld };

  const stream = new EventSource(source);
  const on = (name, act) => stream.addEventListener(name, (e) => act(JSON.parse(e.data)));
  stream.onopen = () => { lost.hidden = true; document.body.dataset.connected = "yes"; };
  stream.onerror = () => {
    document.body.dataset.connected = "no";
    // A stream that was refused (the session is over) does not come back by itself.
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 2000);
    lost.hidden = false;
  };
  on("region", (piece) => offer(piece.id, piece.html));
  on("locked", () => location.reload());
  on("utterance", (piece) => {
    const known = document.getElementById(piece.id);
    if (!piece.html) { known?.remove(); return; }
    const list = document.getElementById("turns");
    const box = document.createElement("template");
    box.innerHTML = piece.html;
    const turn = box.content.querySelector("li");
    const scroll = document.getElementById("transcript-scroll");
    const atEnd = scroll && scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
    if (known) {
      if (known.outerHTML === turn.outerHTML || known.querySelector("details[open]")?.contains(document.activeElement)) return;
      known.replaceWith(turn);
    } else {
      const later = [...list.children].find((li) => Number(li.dataset.at) > piece.at);
      list.insertBefore(turn, later || null);
    }
    document.getElementById("no-turns")?.remove();
    if (atEnd) scroll.scrollTop = scroll.scrollHeight;
  });
  // Take the stream down with the page, so that a page out of the cache opens a new one.
  window.addEventListener("pagehide", () => stream.close());
  window.addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });
})();
